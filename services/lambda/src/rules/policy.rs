//! The policies that functions and versions of layers carry, as AWS prints them.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html>.

use crate::error::{AttachedError, LambdaError};
use crate::limits;
use gust_types::AccountId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One statement; the order of its members is AWS's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Its id.
    pub sid: String,
    /// Always `Allow`.
    pub effect: String,
    /// Whom it lets in.
    pub principal: Principal,
    /// What it lets them do.
    pub action: String,
    /// With what.
    pub resource: String,
    /// Under which conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// Whom a statement lets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Principal {
    /// A service of AWS, for example `s3.amazonaws.com`.
    Service {
        /// Its name.
        #[serde(rename = "Service")]
        service: String,
    },
    /// An account's root, a user or a role.
    Aws {
        /// Its ARN.
        #[serde(rename = "AWS")]
        arn: String,
    },
    /// `*`
    Everybody(String),
}

/// Conditions by operator, then by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Equal texts.
    #[serde(rename = "StringEquals", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub string_equals: BTreeMap<String, String>,
    /// Equal truth values.
    #[serde(rename = "Bool", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub truth: BTreeMap<String, String>,
    /// ARNs that fit a pattern.
    #[serde(rename = "ArnLike", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arn_like: BTreeMap<String, String>,
}

impl Condition {
    /// `None` if there are no conditions.
    pub fn if_any(self) -> Option<Condition> {
        Some(self).filter(|condition| *condition != Condition::default())
    }
}

/// The principal that a request names: a service, an account's number, the ARN of an account, a user or a role, or `*`.
pub fn principal(text: &str, partition: &str) -> Result<Principal, AttachedError> {
    const SERVICES: [&str; 3] = [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com"];
    if text == "*" {
        return Ok(Principal::Everybody("*".to_owned()));
    }
    if AccountId::parse(text).is_some() {
        return Ok(Principal::Aws { arn: format!("arn:{partition}:iam::{text}:root") });
    }
    let is_arn = text.split_once(':').is_some_and(|(start, rest)| {
        let parts: Vec<&str> = rest.splitn(5, ':').collect();
        start == "arn" && matches!(parts[..], [_, "iam" | "sts", "", account, name] if AccountId::parse(account).is_some() && !name.is_empty())
    });
    if is_arn {
        return Ok(Principal::Aws { arn: text.to_owned() });
    }
    if SERVICES.iter().any(|end| text.strip_suffix(end).is_some_and(|name| !name.is_empty())) {
        return Ok(Principal::Service { service: text.to_owned() });
    }
    Err(AttachedError::PrincipalInvalid)
}

/// A policy's text.
pub fn text(statements: &[Statement]) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Policy<'a> {
        version: &'static str,
        id: &'static str,
        statement: &'a [Statement],
    }
    let policy = Policy { version: "2012-10-17", id: "default", statement: statements };
    serde_json::to_string(&policy).expect("texts and maps of texts can always be written as JSON")
}

/// A statement's text.
pub fn statement_text(statement: &Statement) -> String {
    serde_json::to_string(statement).expect("texts and maps of texts can always be written as JSON")
}

/// Adds a statement. Errors: its id is taken, the policy would become too long.
pub fn add(statements: &mut Vec<Statement>, statement: Statement) -> Result<(), LambdaError> {
    if statements.iter().any(|there| there.sid == statement.sid) {
        return Err(AttachedError::StatementExists { sid: statement.sid }.into());
    }
    statements.push(statement);
    match text(statements).len() {
        bytes if bytes > limits::POLICY_BYTES_MAX => Err(AttachedError::PolicyTooLong { bytes }.into()),
        _ => Ok(()),
    }
}

/// Removes a statement. Errors: there is none with this id.
pub fn remove(statements: &mut Vec<Statement>, sid: &str) -> Result<(), AttachedError> {
    let at = statements.iter().position(|statement| statement.sid == sid);
    statements.remove(at.ok_or_else(|| AttachedError::StatementMissing { sid: sid.to_owned() })?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(sid: &str) -> Statement {
        Statement {
            sid: sid.to_owned(),
            effect: "Allow".to_owned(),
            principal: principal("s3.amazonaws.com", "aws").unwrap(),
            action: "lambda:InvokeFunction".to_owned(),
            resource: "arn:aws:lambda:us-east-1:000000000000:function:a".to_owned(),
            condition: None,
        }
    }

    #[test]
    fn a_policy_reads_as_aws_prints_it() {
        let mut conditional = statement("s3");
        conditional.condition = Condition {
            string_equals: [("AWS:SourceAccount".to_owned(), "111111111111".to_owned())].into(),
            arn_like: [("AWS:SourceArn".to_owned(), "arn:aws:s3:::b".to_owned())].into(),
            ..Default::default()
        }
        .if_any();
        let expected = r#"{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:us-east-1:000000000000:function:a","Condition":{"StringEquals":{"AWS:SourceAccount":"111111111111"},"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"}}}"#;
        assert_eq!(statement_text(&conditional), expected);
        let policy = text(&[conditional.clone()]);
        assert_eq!(policy, format!(r#"{{"Version":"2012-10-17","Id":"default","Statement":[{expected}]}}"#));
        assert_eq!(serde_json::from_str::<Statement>(expected).unwrap(), conditional);
        assert!(!statement_text(&statement("a")).contains("Condition"));
    }

    #[test]
    fn principals_are_services_accounts_users_and_everybody() {
        let printed = |text: &str| principal(text, "aws").map(|it| serde_json::to_string(&it).unwrap());
        assert_eq!(printed("*").unwrap(), r#""*""#);
        assert_eq!(printed("111111111111").unwrap(), r#"{"AWS":"arn:aws:iam::111111111111:root"}"#);
        assert_eq!(printed("events.amazonaws.com").unwrap(), r#"{"Service":"events.amazonaws.com"}"#);
        assert_eq!(printed("alexa-appkit.amazon.com").unwrap(), r#"{"Service":"alexa-appkit.amazon.com"}"#);
        for arn in [
            "arn:aws:iam::111111111111:root",
            "arn:aws:iam::111111111111:role/r",
            "arn:aws:sts::111111111111:assumed-role/r/s",
        ] {
            assert_eq!(printed(arn).unwrap(), format!(r#"{{"AWS":"{arn}"}}"#));
        }
        for text in [
            "invalid.nonaws.com",
            "11111111111",
            "s3",
            ".amazonaws.com",
            "arn:aws:s3:::b",
            "arn:aws:iam::1:root",
            "**",
            "",
        ] {
            assert_eq!(principal(text, "aws"), Err(AttachedError::PrincipalInvalid), "{text}");
        }
    }

    #[test]
    fn ids_are_given_once() {
        let mut statements = vec![statement("a")];
        let taken = add(&mut statements, statement("a")).unwrap_err().to_string();
        assert_eq!(
            taken,
            "The statement id (a) provided already exists. Please provide a new statement id, or remove the existing statement."
        );
        add(&mut statements, statement("b")).unwrap();
        remove(&mut statements, "a").unwrap();
        assert_eq!(remove(&mut statements, "a"), Err(AttachedError::StatementMissing { sid: "a".into() }));
        assert_eq!(statements.len(), 1);
    }

    #[test]
    fn a_policy_may_have_20_kb() {
        let mut statements = Vec::new();
        let mut long = statement("long");
        let rest = limits::POLICY_BYTES_MAX - text(&[long.clone()]).len();
        long.resource.push_str(&"x".repeat(rest));
        add(&mut statements, long.clone()).unwrap();
        assert_eq!(text(&statements).len(), limits::POLICY_BYTES_MAX);
        long.resource.push('x');
        let refused = add(&mut Vec::new(), long).unwrap_err().to_string();
        assert_eq!(refused, "The final policy size (20481) is bigger than the limit (20480).");
    }
}
