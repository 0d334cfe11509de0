//! What a session may be given: session policies, tags, who is behind it; and what it inherits.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html> and
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html>

use crate::api::{PolicyDescriptorType, Tag};
use crate::error::StsError;
use crate::limits::{POLICY_ARNS_MAX, SESSION_POLICY_CHARACTERS_MAX, TAGS_MAX};
use gust_kit::Session;
use gust_policy::{Kind, Policy};
use gust_types::Arn;
use std::collections::BTreeSet;

/// What a request gives a session.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// An inline session policy.
    pub policy: Option<String>,
    /// Managed session policies.
    pub policy_arns: Option<Vec<PolicyDescriptorType>>,
    /// Session tags.
    pub tags: Option<Vec<Tag>>,
    /// Those of them that are inherited.
    pub transitive_tag_keys: Option<Vec<String>>,
    /// Who is behind it.
    pub source_identity: Option<String>,
}

/// The session that a request asks for, with what it inherits of the session that asks for it.
pub fn session(issuer_arn: String, given: Given, caller: Option<&Session>) -> Result<Session, StsError> {
    let policy_arns = policy_arns(given.policy_arns)?;
    check_policy(given.policy.as_deref(), &policy_arns)?;
    let mut tags = tags(given.tags)?;
    let mut transitive_tag_keys = given.transitive_tag_keys.unwrap_or_default();
    let has = |tags: &[(String, String)], key: &str| tags.iter().any(|(kept, _)| is_same(kept, key));
    if !transitive_tag_keys.iter().all(|key| has(&tags, key)) {
        return Err(StsError::invalid("The specified transitive tag key must be included in the requested tags."));
    }
    let mut source_identity = given.source_identity;
    if let Some(caller) = caller {
        source_identity = inherited_identity(caller, source_identity)?;
        for key in &caller.transitive_tag_keys {
            if has(&tags, key) {
                let message = "One of the specified transitive tag keys can't be set because it conflicts with a \
                               transitive tag key from the calling session.";
                return Err(StsError::invalid(message));
            }
            tags.extend(caller.tags.iter().find(|(kept, _)| is_same(kept, key)).cloned());
            transitive_tag_keys.push(key.clone());
        }
    }
    if tags.len() > TAGS_MAX {
        return Err(StsError::invalid(format!("A session can have {TAGS_MAX} tags at most.")));
    }
    let policy = given.policy;
    Ok(Session { issuer_arn, issued_at_ms: 0, source_identity, policy, policy_arns, tags, transitive_tag_keys })
}

/// How much of the room for policies and tags a session takes, in percent; `None` if it has neither.
///
/// AWS packs them in a form of its own; this is their plain length.
pub fn packed_size(session: &Session) -> Option<i32> {
    let tags: usize = session.tags.iter().map(|(key, value)| key.chars().count() + value.chars().count()).sum();
    let characters = policy_characters(session.policy.as_deref(), &session.policy_arns) + tags;
    (characters > 0).then(|| i32::try_from(percent(characters)).unwrap_or(i32::MAX))
}

/// The identity behind a session stays the one that it began with. (The refusal's words are inferred.)
fn inherited_identity(caller: &Session, given: Option<String>) -> Result<Option<String>, StsError> {
    match (&caller.source_identity, given) {
        (Some(kept), Some(given)) if *kept != given => {
            Err(StsError::invalid("SourceIdentity cannot be changed: the calling session has another one."))
        }
        (Some(kept), _) => Ok(Some(kept.clone())),
        (None, given) => Ok(given),
    }
}

fn policy_arns(given: Option<Vec<PolicyDescriptorType>>) -> Result<Vec<String>, StsError> {
    let arns: Vec<String> = given.unwrap_or_default().into_iter().filter_map(|descriptor| descriptor.arn).collect();
    if arns.len() > POLICY_ARNS_MAX {
        // The wording is inferred.
        return Err(StsError::invalid(format!("At most {POLICY_ARNS_MAX} managed session policies can be passed.")));
    }
    let is_policy = |text: &String| {
        text.parse::<Arn>().is_ok_and(|arn| arn.service == "iam" && arn.resource.starts_with("policy/"))
    };
    match arns.iter().find(|arn| !is_policy(arn)) {
        Some(arn) => Err(StsError::invalid(format!("{arn} is invalid"))),
        None => Ok(arns),
    }
}

fn check_policy(policy: Option<&str>, arns: &[String]) -> Result<(), StsError> {
    if let Some(policy) = policy {
        let malformed = |malformed: gust_policy::Malformed| StsError::MalformedPolicy(malformed.to_string());
        Policy::parse(policy, Kind::Identity).map_err(malformed)?;
    }
    let characters = policy_characters(policy, arns);
    if characters > SESSION_POLICY_CHARACTERS_MAX {
        return Err(StsError::PolicyTooLarge { percent: percent(characters) });
    }
    Ok(())
}

fn policy_characters(policy: Option<&str>, arns: &[String]) -> usize {
    let arns: usize = arns.iter().map(|arn| arn.chars().count()).sum();
    arns + policy.map_or(0, |policy| policy.chars().count())
}

fn percent(characters: usize) -> usize {
    (characters * 100).div_ceil(SESSION_POLICY_CHARACTERS_MAX)
}

fn tags(given: Option<Vec<Tag>>) -> Result<Vec<(String, String)>, StsError> {
    let given = given.unwrap_or_default();
    let mut keys = BTreeSet::new();
    if !given.iter().all(|tag| keys.insert(tag.key.to_lowercase())) {
        return Err(StsError::invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
    }
    if keys.iter().any(|key| key.starts_with("aws:")) {
        // The wording is inferred.
        return Err(StsError::invalid("aws: prefixed tag key names are not allowed for external use."));
    }
    Ok(given.into_iter().map(|Tag { key, value }| (key, value)).collect())
}

fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: key.to_owned(), value: value.to_owned() }
    }

    fn arn(name: &str) -> PolicyDescriptorType {
        PolicyDescriptorType { arn: Some(format!("arn:aws:iam::aws:policy/{name}")) }
    }

    fn made(given: Given, caller: Option<&Session>) -> Result<Session, String> {
        session("arn".to_owned(), given, caller).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_given_is_kept() {
        let given = Given {
            policy: Some(POLICY.to_owned()),
            policy_arns: Some(vec![arn("A")]),
            tags: Some(vec![tag("a", "1"), tag("b", "2")]),
            transitive_tag_keys: Some(vec!["A".to_owned()]),
            source_identity: Some("ann".to_owned()),
        };
        let first = made(given, None).unwrap();
        assert!(first.is_narrowed() && packed_size(&first).unwrap() > 1);
        assert_eq!((first.policy_arns.len(), first.tags.len()), (1, 2));
        // The next one in the chain inherits the identity and the transitive tags.
        let next = made(Given { tags: Some(vec![tag("b", "3")]), ..Given::default() }, Some(&first)).unwrap();
        assert_eq!(next.tags, [("b".to_owned(), "3".to_owned()), ("a".to_owned(), "1".to_owned())]);
        assert_eq!((next.source_identity.as_deref(), next.is_narrowed()), (Some("ann"), false));
        let conflict = made(Given { tags: Some(vec![tag("a", "3")]), ..Given::default() }, Some(&first));
        assert!(conflict.unwrap_err().contains("conflicts with a transitive tag key"));
        let other = Given { source_identity: Some("eve".to_owned()), ..Given::default() };
        assert!(made(other, Some(&first)).unwrap_err().starts_with("SourceIdentity cannot be changed"));
        assert_eq!(packed_size(&made(Given::default(), None).unwrap()), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let message = |given| made(given, None).unwrap_err();
        let broken = Given { policy: Some("{".to_owned()), ..Given::default() };
        assert_eq!(message(broken), "Syntax errors in policy.");
        let twice = Given { tags: Some(vec![tag("a", ""), tag("A", "")]), ..Given::default() };
        assert!(message(twice).starts_with("Duplicate tag keys found."));
        let reserved = Given { tags: Some(vec![tag("AWS:a", "")]), ..Given::default() };
        assert!(message(reserved).starts_with("aws: prefixed"));
        let unknown = Given { transitive_tag_keys: Some(vec!["a".to_owned()]), ..Given::default() };
        assert!(message(unknown).starts_with("The specified transitive tag key"));
        let many = |count: usize| Given { policy_arns: Some(vec![arn("A"); count]), ..Given::default() };
        made(many(POLICY_ARNS_MAX), None).unwrap();
        assert!(message(many(POLICY_ARNS_MAX + 1)).starts_with("At most 10"));
        let role = PolicyDescriptorType { arn: Some("arn:aws:iam::000000000000:role/x".to_owned()) };
        let role = Given { policy_arns: Some(vec![role]), ..Given::default() };
        assert_eq!(message(role), "arn:aws:iam::000000000000:role/x is invalid");
    }

    #[test]
    fn policies_have_room_for_2048_characters() {
        let sized = |characters: usize| {
            let fill = " ".repeat(characters - POLICY.len());
            Given { policy: Some(format!("{POLICY}{fill}")), ..Given::default() }
        };
        let full = made(sized(SESSION_POLICY_CHARACTERS_MAX), None).unwrap();
        assert_eq!(packed_size(&full), Some(100));
        let error = made(sized(SESSION_POLICY_CHARACTERS_MAX + 1), None).unwrap_err();
        assert_eq!(error, "Packed policy consumes 101% of allotted space, please use smaller policy.");
    }
}
