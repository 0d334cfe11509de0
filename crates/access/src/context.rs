//! The condition keys that every request has.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>

use gust_kit::ports::{AccessRequest, PrincipalPolicies};
use gust_kit::{Principal, PrincipalKind};
use gust_policy::{Caller, Context};
use jiff::Timestamp;

/// The ARN of the role or user behind a session.
pub fn issuer(principal: &Principal) -> String {
    if let Some(session) = &principal.session {
        return session.issuer_arn.clone();
    }
    // A session that an older gust kept, or that a function's own endpoint stands for, knows the role by its name alone.
    let name = principal.arn.split('/').nth(1).unwrap_or_default();
    format!("arn:aws:iam::{}:role/{name}", principal.account)
}

/// Who asks, as policies see it; `None` is gust itself.
pub fn caller<'a>(principal: Option<&'a Principal>, issuer: &'a str) -> Option<Caller<'a>> {
    let Some(principal) = principal else { return Some(Caller::Anybody) };
    let Principal { kind, account, arn, user_id, .. } = principal;
    let (account, arn, id) = (account.as_str(), arn.as_str(), user_id.as_str());
    match kind {
        PrincipalKind::Root => Some(Caller::Root { account }),
        PrincipalKind::User => Some(Caller::User { account, arn, id }),
        PrincipalKind::AssumedRole | PrincipalKind::FederatedUser => Some(Caller::Session { account, arn, issuer, id }),
        PrincipalKind::Internal => None,
    }
}

/// The keys of a request: those that it brings, and the global ones.
pub fn context(request: &AccessRequest, policies: &PrincipalPolicies, issuer: &str, now_ms: i64) -> Context {
    let mut context = Context::new(request.context.clone());
    add_times(&mut context, now_ms);
    if let Some(account) = request.resource.split(':').nth(4).filter(|account| !account.is_empty()) {
        context.add("aws:ResourceAccount", account);
    }
    match &request.principal {
        Some(principal) => add_principal(&mut context, principal, policies, issuer),
        None => {
            context.add("aws:PrincipalType", "Anonymous");
            context.add("aws:userid", "anonymous");
        }
    }
    context
}

fn add_times(context: &mut Context, now_ms: i64) {
    context.add("aws:CurrentTime", text_of(now_ms));
    context.add("aws:EpochTime", now_ms.div_euclid(1000).to_string());
}

fn text_of(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms.div_euclid(1000) * 1000).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

fn add_principal(context: &mut Context, principal: &Principal, policies: &PrincipalPolicies, issuer: &str) {
    let (kind, arn) = match principal.kind {
        PrincipalKind::Root | PrincipalKind::Internal => ("Account", principal.arn.as_str()),
        PrincipalKind::User => ("User", principal.arn.as_str()),
        PrincipalKind::AssumedRole => ("AssumedRole", issuer),
        PrincipalKind::FederatedUser => ("FederatedUser", principal.arn.as_str()),
    };
    context.add("aws:PrincipalType", kind);
    context.add("aws:PrincipalArn", arn);
    context.add("aws:PrincipalAccount", principal.account.as_str());
    context.add("aws:PrincipalIsAWSService", "false");
    context.add("aws:ViaAWSService", "false");
    context.add("aws:userid", principal.user_id.as_str());
    if let Some(name) = &policies.user_name {
        context.add("aws:username", name.as_str());
    }
    for (key, value) in &policies.tags {
        context.add(format!("aws:PrincipalTag/{key}"), value.as_str());
    }
    if let Some(session) = &principal.session {
        context.add("aws:TokenIssueTime", text_of(session.issued_at_ms));
        // Nobody can show a second factor to gust.
        context.add("aws:MultiFactorAuthPresent", "false");
        if let Some(source_identity) = &session.source_identity {
            context.add("aws:SourceIdentity", source_identity.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_kit::Session;
    use gust_types::AccountId;
    use std::sync::Arc;

    fn principal(kind: PrincipalKind, arn: &str, session: Option<Session>) -> Principal {
        let root = Principal::root(AccountId::parse("000000000000").unwrap(), None);
        Principal { kind, arn: arn.to_owned(), user_id: "ID".to_owned(), session: session.map(Arc::new), ..root }
    }

    fn value(principal: Option<Principal>, policies: &PrincipalPolicies, key: &str) -> Option<String> {
        let issuer = principal.as_ref().map(issuer).unwrap_or_default();
        let request = AccessRequest {
            principal,
            action: "a:B".to_owned(),
            resource: "arn:aws:lambda:us-east-1:111111111111:function:f".to_owned(),
            context: vec![("aws:CurrentTime".to_owned(), vec!["given".to_owned()])],
            resource_policy: None,
        };
        context(&request, policies, &issuer, 1_700_000_000_500).value(key).map(str::to_owned)
    }

    #[test]
    fn a_session_shows_its_role_and_its_making() {
        let session = Session {
            issuer_arn: "arn:aws:iam::000000000000:role/team/worker".to_owned(),
            issued_at_ms: 1_600_000_000_000,
            source_identity: Some("ann".to_owned()),
            ..Session::default()
        };
        let arn = "arn:aws:sts::000000000000:assumed-role/worker/s";
        let policies = PrincipalPolicies { tags: vec![("team".to_owned(), "blue".to_owned())], ..Default::default() };
        let worker = principal(PrincipalKind::AssumedRole, arn, Some(session));
        for (key, expected) in [
            ("aws:PrincipalArn", Some("arn:aws:iam::000000000000:role/team/worker")),
            ("aws:PrincipalType", Some("AssumedRole")),
            ("aws:PrincipalTag/team", Some("blue")),
            ("aws:TokenIssueTime", Some("2020-09-13T12:26:40Z")),
            ("aws:MultiFactorAuthPresent", Some("false")),
            ("aws:SourceIdentity", Some("ann")),
            ("aws:ResourceAccount", Some("111111111111")),
            ("aws:EpochTime", Some("1700000000")),
            ("aws:CurrentTime", Some("given")),
            ("aws:username", None),
        ] {
            assert_eq!(value(Some(worker.clone()), &policies, key).as_deref(), expected, "{key}");
        }
        let older = principal(PrincipalKind::AssumedRole, arn, None);
        assert_eq!(issuer(&older), "arn:aws:iam::000000000000:role/worker");
        assert_eq!(value(Some(older), &policies, "aws:TokenIssueTime"), None);
    }

    #[test]
    fn users_roots_and_strangers_are_told_apart() {
        let policies = PrincipalPolicies { user_name: Some("ann".to_owned()), ..Default::default() };
        let ann = principal(PrincipalKind::User, "arn:aws:iam::000000000000:user/ann", None);
        assert_eq!(value(Some(ann.clone()), &policies, "aws:username").as_deref(), Some("ann"));
        assert_eq!(value(Some(ann), &policies, "aws:MultiFactorAuthPresent"), None);
        let root = principal(PrincipalKind::Root, "arn:aws:iam::000000000000:root", None);
        assert_eq!(value(Some(root), &Default::default(), "aws:PrincipalType").as_deref(), Some("Account"));
        assert_eq!(value(None, &Default::default(), "aws:PrincipalType").as_deref(), Some("Anonymous"));
        assert_eq!(value(None, &Default::default(), "aws:PrincipalArn"), None);
    }
}
