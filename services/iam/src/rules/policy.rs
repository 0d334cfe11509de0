//! Whether a policy document is well-formed. What it permits is another matter.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>; messages as AWS answers
//! them, except those marked inferred.

use crate::error::IamError;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What a document is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A role's trust policy: who may assume it.
    Trust,
    /// An identity's policy: what it may do.
    Identity,
}

const SYNTAX: &str = "Syntax errors in policy.";
const DOCUMENT_KEYS: [&str; 3] = ["Version", "Id", "Statement"];
const STATEMENT_KEYS: [&str; 9] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

/// Checks a document's form.
pub fn check(document: &str, kind: Kind) -> Result<(), IamError> {
    let not_json = if kind == Kind::Trust { "This policy contains invalid Json" } else { SYNTAX };
    let value: Value = serde_json::from_str(document).map_err(|_| malformed(not_json))?;
    let document = value.as_object().ok_or_else(|| malformed(SYNTAX))?;
    only_keys(document, &DOCUMENT_KEYS)?;
    check_version(document, kind)?;
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(statement @ Value::Object(_)) => std::slice::from_ref(statement),
        _ => return Err(malformed(SYNTAX)),
    };
    let mut sids = BTreeSet::new();
    for statement in statements {
        let statement = statement.as_object().ok_or_else(|| malformed(SYNTAX))?;
        check_statement(statement, kind)?;
        if let Some(sid) = statement.get("Sid").and_then(Value::as_str).filter(|sid| !sid.is_empty())
            && !sids.insert(sid)
        {
            return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
        }
    }
    Ok(())
}

fn malformed(message: impl Into<String>) -> IamError {
    IamError::MalformedPolicy(message.into())
}

fn only_keys(object: &Map<String, Value>, known: &[&str]) -> Result<(), IamError> {
    if object.keys().all(|key| known.contains(&key.as_str())) { Ok(()) } else { Err(malformed(SYNTAX)) }
}

fn check_version(document: &Map<String, Value>, kind: Kind) -> Result<(), IamError> {
    let version =
        document.get("Version").map(|version| version.as_str().ok_or_else(|| malformed(SYNTAX))).transpose()?;
    match (version, kind) {
        (Some("2012-10-17"), _) | (Some("2008-10-17") | None, Kind::Trust) => Ok(()),
        (Some("2008-10-17") | None, Kind::Identity) => {
            Err(malformed("Policy document must be version 2012-10-17 or greater."))
        }
        (Some(_), _) => Err(malformed(SYNTAX)),
    }
}

fn check_statement(statement: &Map<String, Value>, kind: Kind) -> Result<(), IamError> {
    only_keys(statement, &STATEMENT_KEYS)?;
    if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
        return Err(malformed(SYNTAX));
    }
    check_sid(statement)?;
    if statement.get("Condition").is_some_and(|condition| !condition.is_object()) {
        return Err(malformed(SYNTAX));
    }
    for (one, other) in [("Action", "NotAction"), ("Resource", "NotResource"), ("Principal", "NotPrincipal")] {
        if statement.contains_key(one) && statement.contains_key(other) {
            return Err(malformed(SYNTAX));
        }
    }
    match kind {
        Kind::Identity => check_identity(statement),
        Kind::Trust => check_trust(statement),
    }
}

fn check_sid(statement: &Map<String, Value>) -> Result<(), IamError> {
    let Some(sid) = statement.get("Sid") else { return Ok(()) };
    let sid = sid.as_str().ok_or_else(|| malformed(SYNTAX))?;
    if sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    let message = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*";
    Err(malformed(message))
}

fn check_identity(statement: &Map<String, Value>) -> Result<(), IamError> {
    if statement.contains_key("Principal") || statement.contains_key("NotPrincipal") {
        return Err(malformed("Policy document should not specify a principal."));
    }
    let actions = texts(statement, "Action", "NotAction")?;
    if actions.is_empty() {
        return Err(malformed("Policy statement must contain actions."));
    }
    if !actions.iter().all(|action| *action == "*" || has_vendor(action)) {
        return Err(malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."));
    }
    let resources = texts(statement, "Resource", "NotResource")?;
    if resources.is_empty() {
        return Err(malformed("Policy statement must contain resources."));
    }
    match resources.iter().find(|resource| **resource != "*" && !resource.starts_with("arn:")) {
        Some(resource) => Err(malformed(format!("Resource {resource} must be in ARN format or \"*\"."))),
        None => Ok(()),
    }
}

fn has_vendor(action: &str) -> bool {
    action.split_once(':').is_some_and(|(vendor, name)| !vendor.is_empty() && !name.is_empty())
}

fn check_trust(statement: &Map<String, Value>) -> Result<(), IamError> {
    for name in ["Resource", "NotResource"] {
        if statement.contains_key(name) {
            return Err(malformed(format!("Has prohibited field {name}")));
        }
    }
    if !statement.contains_key("Principal") && !statement.contains_key("NotPrincipal") {
        return Err(malformed("Missing required field Principal"));
    }
    let actions = texts(statement, "Action", "NotAction")?;
    if actions.is_empty() {
        return Err(malformed("Missing required field Action"));
    }
    let is_sts = |action: &&str| action.get(..4).is_some_and(|vendor| vendor.eq_ignore_ascii_case("sts:"));
    if !actions.iter().all(is_sts) {
        return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
    }
    let principal = statement.get("Principal").or_else(|| statement.get("NotPrincipal"));
    check_principal(principal.unwrap_or(&Value::Null))
}

fn check_principal(principal: &Value) -> Result<(), IamError> {
    const KINDS: [&str; 4] = ["AWS", "Service", "Federated", "CanonicalUser"];
    match principal {
        Value::String(text) if text == "*" => Ok(()),
        Value::Object(kinds) if !kinds.is_empty() => kinds.iter().try_for_each(|(kind, value)| {
            let is_known = KINDS.contains(&kind.as_str()) && list(value).is_some_and(|values| !values.is_empty());
            if is_known { Ok(()) } else { Err(malformed(format!("Invalid principal in policy: \"{kind}\""))) }
        }),
        // The wording is inferred.
        _ => Err(malformed("Invalid principal in policy.")),
    }
}

/// The texts under one of two names; none if neither is there.
fn texts<'a>(statement: &'a Map<String, Value>, name: &str, other: &str) -> Result<Vec<&'a str>, IamError> {
    match statement.get(name).or_else(|| statement.get(other)) {
        Some(value) => list(value).ok_or_else(|| malformed(SYNTAX)),
        None => Ok(Vec::new()),
    }
}

/// One text or a list of them.
fn list(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(document: &str, kind: Kind) -> String {
        check(document, kind).unwrap_err().to_string()
    }

    #[test]
    fn usual_documents_are_well_formed() {
        for document in [
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#,
            r#"{"Statement":{"Sid":"","Effect":"Allow","Principal":{"AWS":["a","b"]},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{}}}"#,
            r#"{"Version":"2008-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:*"}]}"#,
        ] {
            check(document, Kind::Trust).unwrap();
        }
        for document in [
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"2012-10-17","Id":"x","Statement":{"Sid":"A1","Effect":"Deny","NotAction":["s3:*"],"NotResource":["arn:aws:s3:::a"]}}"#,
        ] {
            check(document, Kind::Identity).unwrap();
        }
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        assert_eq!(message(r#"{"a",}"#, Kind::Trust), "This policy contains invalid Json");
        for document in [
            "{",
            "[]",
            "{}",
            r#"{"Version":"2012-10-17"}"#,
            r#"{"Version":"2012-10-17","Statement":[]}"#,
            r#"{"Version":"2012-10-17","Statement":["x"]}"#,
            r#"{"Version":1,"Statement":[]}"#,
            r#"{"Version":"2020-01-01","Statement":[]}"#,
            r#"{"Version":"2012-10-17","Other":1,"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":{"Ref":"x"},"Resource":"*"}]}"#,
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}]}"#,
        ] {
            assert!(matches!(check(document, Kind::Identity), Err(IamError::MalformedPolicy(_))), "{document}");
        }
    }

    #[test]
    fn faults_are_named_in_aws_words() {
        let identity = |statement: &str| {
            message(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#), Kind::Identity)
        };
        let allow = r#""Effect":"Allow","Action":"s3:Get*""#;
        assert_eq!(identity(&format!("{{{allow}}}")), "Policy statement must contain resources.");
        assert_eq!(identity(r#"{"Effect":"Allow","Resource":"*"}"#), "Policy statement must contain actions.");
        assert_eq!(
            identity(&format!(r#"{{{allow},"Resource":"*","Principal":"*"}}"#)),
            "Policy document should not specify a principal."
        );
        assert_eq!(
            identity(&format!(r#"{{{allow},"Resource":"bucket"}}"#)),
            "Resource bucket must be in ARN format or \"*\"."
        );
        assert!(
            identity(r#"{"Effect":"Allow","Action":"Get","Resource":"*"}"#).starts_with("Actions/Conditions must be")
        );
        let twice = format!(r#"{{"Sid":"A",{allow},"Resource":"*"}}"#);
        assert!(identity(&format!("{twice},{twice}")).ends_with("must be unique."));
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
        assert_eq!(
            trust(r#"{"Effect":"Allow","Principal":"*","Action":"s3:Get"}"#),
            "AssumeRole policy may only specify STS AssumeRole actions."
        );
        assert_eq!(trust(r#"{"Effect":"Allow","Action":"sts:AssumeRole"}"#), "Missing required field Principal");
    }
}
