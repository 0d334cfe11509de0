//! Reading documents: what is not well-formed is refused in AWS's words.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>; messages as AWS answers
//! them, except those marked inferred.

use crate::condition::{Condition, Operator};
use crate::document::{Effect, Listed, Policy, Statement};
use crate::json::Json;
use crate::principal::{Named, Principals};
use crate::template::{Colons, Style, Template};
use std::collections::BTreeSet;
use std::fmt;

/// Greatest size of a document in bytes: what IAM's interface lets through.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html> (`PolicyDocument`)
pub const DOCUMENT_BYTES_MAX: usize = 131_072;

/// What a document is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A role's trust policy: who may assume it.
    Trust,
    /// An identity's policy, a permissions boundary or a session policy: what it may do.
    Identity,
    /// The policy of another resource: who may do what to it.
    Resource,
}

/// Why a document is none. Shown is AWS's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

const SYNTAX: &str = "Syntax errors in policy.";
const VENDOR: &str = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";
const DOCUMENT_KEYS: [&str; 3] = ["Version", "Id", "Statement"];
const STATEMENT_KEYS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

type Members<'a> = &'a [(String, Json)];

impl Policy {
    /// Reads a document.
    ///
    /// Errors: it is not well-formed, or not of that kind.
    pub fn parse(document: &str, kind: Kind) -> Result<Policy, Malformed> {
        let not_json = if kind == Kind::Trust { "This policy contains invalid Json" } else { SYNTAX };
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(malformed(SYNTAX));
        }
        let json = Json::read(document).map_err(|_| malformed(not_json))?;
        let document = json.members().ok_or_else(syntax)?;
        only_keys(document, &DOCUMENT_KEYS)?;
        let version = Version::of(document, kind)?;
        let statements = match member(document, "Statement") {
            Some(Json::List(statements)) if !statements.is_empty() => statements.as_slice(),
            Some(statement @ Json::Object(_)) => std::slice::from_ref(statement),
            _ => return Err(syntax()),
        };
        let mut sids = BTreeSet::new();
        let read = |json: &Json| {
            let members = json.members().ok_or_else(syntax)?;
            let statement = statement(members, kind, version)?;
            let sid = member(members, "Sid").and_then(Json::string).unwrap_or_default();
            if !sid.is_empty() && !sids.insert(sid.to_owned()) {
                return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
            }
            Ok(statement)
        };
        Ok(Policy { statements: statements.iter().map(read).collect::<Result<_, _>>()? })
    }
}

fn malformed(message: impl Into<String>) -> Malformed {
    Malformed(message.into())
}

fn syntax() -> Malformed {
    malformed(SYNTAX)
}

fn member<'a>(members: Members<'a>, name: &str) -> Option<&'a Json> {
    members.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn only_keys(members: Members<'_>, known: &[&str]) -> Result<(), Malformed> {
    if members.iter().all(|(key, _)| known.contains(&key.as_str())) { Ok(()) } else { Err(syntax()) }
}

/// Which language a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// `2008-10-17`, also where none is given: without variables.
    Old,
    /// `2012-10-17`
    Current,
}

impl Version {
    fn of(document: Members<'_>, kind: Kind) -> Result<Version, Malformed> {
        let text = member(document, "Version").map(|version| version.string().ok_or_else(syntax)).transpose()?;
        match (text, kind) {
            (Some("2012-10-17"), _) => Ok(Version::Current),
            (Some("2008-10-17") | None, Kind::Identity) => {
                Err(malformed("Policy document must be version 2012-10-17 or greater."))
            }
            (Some("2008-10-17") | None, _) => Ok(Version::Old),
            (Some(_), _) => Err(syntax()),
        }
    }
}

fn statement(members: Members<'_>, kind: Kind, version: Version) -> Result<Statement, Malformed> {
    only_keys(members, &STATEMENT_KEYS)?;
    let effect = match member(members, "Effect").and_then(Json::string) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(syntax()),
    };
    check_sid(members, kind)?;
    for (one, other) in [("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal")] {
        if member(members, one).is_some() && member(members, other).is_some() {
            return Err(syntax());
        }
    }
    let actions = texts(members, "Action", "NotAction")?;
    let resources = texts(members, "Resource", "NotResource")?;
    match kind {
        Kind::Identity => check_identity(members, actions.as_ref(), resources.as_ref())?,
        Kind::Trust => check_trust(members, actions.as_ref())?,
        Kind::Resource => check_resource(members, actions.as_ref())?,
    }
    let variables = version == Version::Current;
    let resource_style = Style { wildcards: true, variables, colons: Colons::Resource };
    let action_style = Style { wildcards: true, variables: false, colons: Colons::Free };
    Ok(Statement {
        effect,
        principals: principals(members)?,
        actions: actions.map(|it| it.listed(action_style, str::to_ascii_lowercase)).ok_or_else(syntax)?,
        resources: resources.map(|it| it.listed(resource_style, str::to_owned)),
        conditions: conditions(members, variables)?,
    })
}

/// Statement ids of resources' policies may contain more (AddPermission takes `-` and `_`).
fn check_sid(members: Members<'_>, kind: Kind) -> Result<(), Malformed> {
    let Some(sid) = member(members, "Sid") else { return Ok(()) };
    let sid = sid.string().ok_or_else(syntax)?;
    if kind == Kind::Resource || sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    let message = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*";
    Err(malformed(message))
}

/// The texts of `Action` or `NotAction`, of `Resource` or `NotResource`.
struct Texts<'a> {
    texts: Vec<&'a str>,
    is_negated: bool,
}

impl Texts<'_> {
    fn listed(&self, style: Style, as_compared: fn(&str) -> String) -> Listed {
        let templates = self.texts.iter().map(|text| Template::new(&as_compared(text), style)).collect();
        Listed { templates, is_negated: self.is_negated }
    }
}

/// The texts under one of two names; `None` if neither is there or it is an empty list.
fn texts<'a>(members: Members<'a>, name: &str, negated: &str) -> Result<Option<Texts<'a>>, Malformed> {
    let (value, is_negated) = match (member(members, name), member(members, negated)) {
        (Some(value), _) => (value, false),
        (None, Some(value)) => (value, true),
        (None, None) => return Ok(None),
    };
    let texts: Vec<&str> = value.items().iter().map(Json::string).collect::<Option<_>>().ok_or_else(syntax)?;
    Ok((!texts.is_empty()).then_some(Texts { texts, is_negated }))
}

fn check_identity(
    members: Members<'_>,
    actions: Option<&Texts<'_>>,
    resources: Option<&Texts<'_>>,
) -> Result<(), Malformed> {
    if member(members, "Principal").is_some() || member(members, "NotPrincipal").is_some() {
        return Err(malformed("Policy document should not specify a principal."));
    }
    let actions = actions.ok_or_else(|| malformed("Policy statement must contain actions."))?;
    if !actions.texts.iter().all(|action| *action == "*" || has_vendor(action)) {
        return Err(malformed(VENDOR));
    }
    let resources = resources.ok_or_else(|| malformed("Policy statement must contain resources."))?;
    match resources.texts.iter().find(|resource| **resource != "*" && !resource.starts_with("arn:")) {
        Some(resource) => Err(malformed(format!("Resource {resource} must be in ARN format or \"*\"."))),
        None => Ok(()),
    }
}

fn has_vendor(action: &str) -> bool {
    action.split_once(':').is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
}

fn check_trust(members: Members<'_>, actions: Option<&Texts<'_>>) -> Result<(), Malformed> {
    for name in ["Resource", "NotResource"] {
        if member(members, name).is_some() {
            return Err(malformed(format!("Has prohibited field {name}")));
        }
    }
    if member(members, "Principal").is_none() && member(members, "NotPrincipal").is_none() {
        return Err(malformed("Missing required field Principal"));
    }
    let actions = actions.ok_or_else(|| malformed("Missing required field Action"))?;
    let is_sts = |action: &&str| action.get(..4).is_some_and(|vendor| vendor.eq_ignore_ascii_case("sts:"));
    if !actions.texts.iter().all(is_sts) {
        return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
    }
    Ok(())
}

fn check_resource(members: Members<'_>, actions: Option<&Texts<'_>>) -> Result<(), Malformed> {
    if member(members, "Principal").is_none() && member(members, "NotPrincipal").is_none() {
        return Err(malformed("Missing required field Principal"));
    }
    if actions.is_none() { Err(malformed("Missing required field Action")) } else { Ok(()) }
}

fn principals(members: Members<'_>) -> Result<Option<Principals>, Malformed> {
    match (member(members, "Principal"), member(members, "NotPrincipal")) {
        (Some(principal), _) => named(principal).map(|named| Some(Principals::These(named))),
        (None, Some(principal)) => named(principal).map(|named| Some(Principals::AllBut(named))),
        (None, None) => Ok(None),
    }
}

fn named(principal: &Json) -> Result<Vec<Named>, Malformed> {
    // The wording is inferred.
    let invalid = || malformed("Invalid principal in policy.");
    match principal {
        Json::Text { text, is_string: true } if text == "*" => Ok(vec![Named::Everybody]),
        Json::Object(kinds) if !kinds.is_empty() => {
            let mut all = Vec::new();
            for (kind, entries) in kinds {
                let invalid = |entry: &str| malformed(format!("Invalid principal in policy: \"{kind}\"{entry}"));
                if entries.items().is_empty() {
                    return Err(invalid(""));
                }
                for entry in entries.items() {
                    // An account's id is often written as a number.
                    let text = entry.scalar().ok_or_else(|| invalid(""))?;
                    all.push(named_of(kind, text).ok_or_else(|| invalid(&format!(":\"{text}\"")))?);
                }
            }
            Ok(all)
        }
        _ => Err(invalid()),
    }
}

fn named_of(kind: &str, text: &str) -> Option<Named> {
    match kind {
        "AWS" if text != "*" && text.contains('*') => None,
        "AWS" => Some(Named::aws(text)),
        "Service" => Some(Named::Service(text.to_owned())),
        "Federated" | "CanonicalUser" => Some(Named::Other),
        _ => None,
    }
}

fn conditions(members: Members<'_>, variables: bool) -> Result<Vec<Condition>, Malformed> {
    let Some(block) = member(members, "Condition") else { return Ok(Vec::new()) };
    let mut conditions = Vec::new();
    for (operator, keys) in block.members().ok_or_else(syntax)? {
        let operator = Operator::parse(operator).ok_or_else(syntax)?;
        for (key, values) in keys.members().ok_or_else(syntax)? {
            if !has_vendor(key) {
                return Err(malformed(VENDOR));
            }
            let values: Vec<&str> =
                values.items().iter().map(Json::scalar).collect::<Option<_>>().ok_or_else(syntax)?;
            conditions.push(Condition::new(operator, key, &values, variables).ok_or_else(syntax)?);
        }
    }
    Ok(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(document: &str, kind: Kind) -> String {
        Policy::parse(document, kind).unwrap_err().to_string()
    }

    #[test]
    fn usual_documents_are_well_formed() {
        for document in [
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#,
            r#"{"Statement":{"Sid":"","Effect":"Allow","Principal":{"AWS":["000000000000",111111111111]},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{}}}"#,
            r#"{"Version":"2008-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:*"}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::000000000000:oidc-provider/x"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"x:aud":"sts.amazonaws.com"},"Bool":{"aws:SecureTransport":true}}}]}"#,
        ] {
            Policy::parse(document, Kind::Trust).unwrap();
        }
        for document in [
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"2012-10-17","Id":"x","Statement":{"Sid":"A1","Effect":"Deny","NotAction":["s3:*"],"NotResource":["arn:aws:s3:::a"]}}"#,
        ] {
            Policy::parse(document, Kind::Identity).unwrap();
        }
        let granted = r#"{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"from-s3_1","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:us-east-1:000000000000:function:f"}]}"#;
        Policy::parse(granted, Kind::Resource).unwrap();
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        assert_eq!(message(r#"{"a",}"#, Kind::Trust), "This policy contains invalid Json");
        let allow = r#""Effect":"Allow","Action":"*","Resource":"*""#;
        for document in [
            "{",
            "[]",
            r#"{"Version":"2012-10-17"}"#,
            r#"{"Version":"2012-10-17","Statement":[]}"#,
            r#"{"Version":"2012-10-17","Statement":["x"]}"#,
            r#"{"Version":1,"Statement":[]}"#,
            r#"{"Version":"2020-01-01","Statement":[]}"#,
            &format!(r#"{{"Version":"2012-10-17","Other":1,"Statement":[{{{allow}}}]}}"#),
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":{"Ref":"x"},"Resource":"*"}]}"#,
            &format!(r#"{{"Version":"2012-10-17","Statement":[{{{allow},"NotAction":"*"}}]}}"#),
            &format!(r#"{{"Version":"2012-10-17","Statement":[{{{allow},"Effect":"Deny"}}]}}"#),
            &format!(r#"{{"Version":"2012-10-17","Statement":[{{{allow},"Condition":"x"}}]}}"#),
            &format!(r#"{{"Version":"2012-10-17","Statement":[{{{allow},"Condition":{{"Equal":{{"aws:a":"b"}}}}}}]}}"#),
            &format!(
                r#"{{"Version":"2012-10-17","Statement":[{{{allow},"Condition":{{"StringEquals":{{"aws:a":{{}}}}}}}}]}}"#
            ),
            &format!(
                r#"{{"Version":"2012-10-17","Statement":[{{{allow},"Condition":{{"NumericEquals":{{"aws:a":"b"}}}}}}]}}"#
            ),
            &format!(
                r#"{{"Version":"2012-10-17","Id":"{}","Statement":[{{{allow}}}]}}"#,
                "x".repeat(DOCUMENT_BYTES_MAX)
            ),
        ] {
            assert_eq!(message(document, Kind::Identity), SYNTAX, "{document}");
        }
    }

    #[test]
    fn faults_are_named_in_aws_words() {
        let identity = |statement: &str| {
            message(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#), Kind::Identity)
        };
        let allow = r#""Effect":"Allow","Action":"s3:Get*""#;
        assert_eq!(identity(&format!("{{{allow}}}")), "Policy statement must contain resources.");
        assert_eq!(identity(&format!(r#"{{{allow},"Resource":[]}}"#)), "Policy statement must contain resources.");
        assert_eq!(identity(r#"{"Effect":"Allow","Resource":"*"}"#), "Policy statement must contain actions.");
        assert_eq!(
            identity(&format!(r#"{{{allow},"Resource":"*","Principal":"*"}}"#)),
            "Policy document should not specify a principal."
        );
        assert_eq!(
            identity(&format!(r#"{{{allow},"Resource":"bucket"}}"#)),
            "Resource bucket must be in ARN format or \"*\"."
        );
        assert_eq!(identity(r#"{"Effect":"Allow","Action":"Get","Resource":"*"}"#), VENDOR);
        assert_eq!(
            identity(&format!(r#"{{{allow},"Resource":"*","Condition":{{"StringEquals":{{"user":"b"}}}}}}"#)),
            VENDOR
        );
        let twice = format!(r#"{{"Sid":"A",{allow},"Resource":"*"}}"#);
        assert!(identity(&format!("{twice},{twice}")).ends_with("must be unique."));
        assert!(
            identity(&format!(r#"{{"Sid":"a-b",{allow},"Resource":"*"}}"#)).starts_with("Statement IDs (SID) must")
        );
        assert_eq!(
            message(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#, Kind::Identity),
            "Policy document must be version 2012-10-17 or greater."
        );
        let trust =
            |statement: &str| message(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#), Kind::Trust);
        assert_eq!(
            trust(r#"{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}"#),
            "Has prohibited field Resource"
        );
        assert_eq!(trust(r#"{"Effect":"Allow","Action":"sts:AssumeRole"}"#), "Missing required field Principal");
        assert_eq!(trust(r#"{"Effect":"Allow","Principal":"*"}"#), "Missing required field Action");
        assert_eq!(
            trust(r#"{"Effect":"Allow","Principal":"*","Action":"s3:Get"}"#),
            "AssumeRole policy may only specify STS AssumeRole actions."
        );
        assert_eq!(
            trust(r#"{"Effect":"Allow","Principal":{"Who":"x"},"Action":"sts:AssumeRole"}"#),
            "Invalid principal in policy: \"Who\":\"x\""
        );
        assert_eq!(
            trust(
                r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:role/*"},"Action":"sts:AssumeRole"}"#
            ),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::000000000000:role/*\""
        );
        assert_eq!(
            trust(r#"{"Effect":"Allow","Principal":"me","Action":"sts:AssumeRole"}"#),
            "Invalid principal in policy."
        );
        let resource = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"lambda:Get*"}}"#;
        assert_eq!(message(resource, Kind::Resource), "Missing required field Principal");
    }
}
