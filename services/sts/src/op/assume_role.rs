//! Makes a session of a role.
//!
//! AWS: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
//! Deviations: with `--auth open` a role need not exist; the account's root may assume roles; a managed session policy
//! that does not exist allows nothing and is not refused. Trust policies are evaluated before this runs (`--auth strict`).
//! Errors: AccessDenied, MalformedPolicyDocument, PackedPolicyTooLarge, ValidationError.

use crate::api::{AssumeRole, AssumeRoleRequest, AssumeRoleResponse, AssumedRoleUser};
use crate::error::StsError;
use crate::key_ring::NewSession;
use crate::limits::{CHAINED_DURATION_MAX_S, SESSION_DURATION_DEFAULT_S};
use crate::model::RoleName;
use crate::rules::session::{Given, packed_size, session};
use crate::{RolePolicy, Sts};
use gust_kit::ports::RoleSummary;
use gust_kit::{Cx, Operation, PrincipalKind};

impl Operation for AssumeRole {
    type Service = Sts;
    type Error = StsError;

    async fn run(cx: &Cx<Sts>, input: AssumeRoleRequest) -> Result<AssumeRoleResponse, StsError> {
        let AssumeRoleRequest { role_arn, role_session_name, duration_seconds, .. } = input;
        let given = Given {
            policy: input.policy,
            policy_arns: input.policy_arns,
            tags: input.tags,
            transitive_tag_keys: input.transitive_tag_keys,
            source_identity: input.source_identity,
        };
        let role = RoleName::parse(&role_arn).ok_or_else(|| StsError::InvalidRoleArn(role_arn.clone()))?;
        let existing = cx.service.roles.role(&role_arn).await?;
        if existing.is_none() && cx.service.role_policy == RolePolicy::Existing {
            return Err(StsError::NotAuthorized { principal: cx.call.principal.arn.clone(), role_arn });
        }
        let duration_s = duration_s(duration_seconds, existing.as_ref(), cx.call.principal.kind)?;
        let role_id = existing.map_or_else(|| role.invented_id(), |existing| existing.role_id);
        let session = session(role_arn, given, cx.call.principal.session.as_deref())?;
        let (source_identity, packed_policy_size) = (session.source_identity.clone(), packed_size(&session));
        let new = NewSession::of_role(&role, &role_id, &role_session_name, duration_s, session);
        let made = cx.service.key_ring.make_session(new).await?;
        Ok(AssumeRoleResponse {
            credentials: Some(made.show()),
            assumed_role_user: Some(AssumedRoleUser { assumed_role_id: made.user_id, arn: made.arn }),
            source_identity,
            packed_policy_size,
            ..AssumeRoleResponse::default()
        })
    }
}

/// How long the session lasts. A role that does not exist allows what AWS's own roles allow by default.
fn duration_s(given: Option<i32>, role: Option<&RoleSummary>, caller: PrincipalKind) -> Result<u32, StsError> {
    let duration_s = given.and_then(|given| u32::try_from(given).ok()).unwrap_or(SESSION_DURATION_DEFAULT_S);
    if caller == PrincipalKind::AssumedRole && duration_s > CHAINED_DURATION_MAX_S {
        return Err(StsError::DurationExceedsChaining);
    }
    let max_s = role.map_or(u32::MAX, |role| role.max_session_duration_s);
    if duration_s > max_s { Err(StsError::DurationExceedsRole) } else { Ok(duration_s) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Tag;
    use crate::tests::{Bed, ROLE, refusal};
    use gust_kit::Principal;
    use gust_kit::ports::CredentialSource;

    fn request(role_arn: &str) -> AssumeRoleRequest {
        AssumeRoleRequest {
            role_arn: role_arn.to_owned(),
            role_session_name: "session".to_owned(),
            ..AssumeRoleRequest::default()
        }
    }

    #[tokio::test]
    async fn the_session_is_real() {
        let bed = Bed::new();
        let input = AssumeRoleRequest { source_identity: Some("ann".to_owned()), ..request(ROLE) };
        let response = bed.run::<AssumeRole>(input).await.unwrap();
        assert_eq!(response.source_identity.as_deref(), Some("ann"));
        let user = response.assumed_role_user.unwrap();
        assert_eq!(user.arn, "arn:aws:sts::000000000000:assumed-role/worker/session");
        assert_eq!(user.assumed_role_id, "AROAEXISTING:session");
        let credentials = response.credentials.unwrap();
        assert_eq!(credentials.expiration, 1_700_000_000_000 + 3_600_000);
        let owner = bed.key_ring.owner(&credentials.access_key_id).await.unwrap().unwrap();
        assert_eq!(owner.principal.arn, user.arn);
        assert_eq!(owner.credentials.session_token, Some(credentials.session_token));
        let again = bed.run::<AssumeRole>(request(ROLE)).await.unwrap().credentials.unwrap();
        assert_ne!(again.access_key_id, credentials.access_key_id, "every call makes a session of its own");
    }

    #[tokio::test]
    async fn a_missing_role_is_refused_only_where_signatures_count() {
        let missing = "arn:aws:iam::000000000000:role/none";
        Bed::new().run::<AssumeRole>(request(missing)).await.unwrap();
        let error = refusal(Bed::strict().run::<AssumeRole>(request(missing)).await);
        let message = "User: arn:aws:iam::000000000000:root is not authorized to perform: sts:AssumeRole on resource: \
                       arn:aws:iam::000000000000:role/none";
        assert_eq!(error, ("AccessDenied".to_owned(), message.to_owned()));
        Bed::strict().run::<AssumeRole>(request(ROLE)).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_role_is_refused() {
        let arn = "arn:aws:iam::000000000000:user/ann";
        let error = refusal(Bed::new().run::<AssumeRole>(request(arn)).await);
        assert_eq!(error, ("ValidationError".to_owned(), format!("{arn} is invalid")));
    }

    #[tokio::test]
    async fn durations_have_their_bounds() {
        let bed = Bed::new();
        let lasting = |duration_s| AssumeRoleRequest { duration_seconds: Some(duration_s), ..request(ROLE) };
        bed.run::<AssumeRole>(lasting(7_200)).await.unwrap();
        let error = refusal(bed.run::<AssumeRole>(lasting(7_201)).await);
        assert_eq!(error.1, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
        let session = Principal { kind: PrincipalKind::AssumedRole, ..Principal::root(bed.account(), None) };
        bed.run_as::<AssumeRole>(session.clone(), lasting(3_600)).await.unwrap();
        let error = refusal(bed.run_as::<AssumeRole>(session, lasting(3_601)).await);
        assert!(error.1.contains("role chaining"), "{}", error.1);
    }

    /// What AssumeRole was given is with whoever signs with the session's key.
    #[tokio::test]
    async fn policies_and_tags_stay_with_the_session() {
        let bed = Bed::new();
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
        let tag = |key: &str| Tag { key: key.to_owned(), value: "1".to_owned() };
        let input = AssumeRoleRequest {
            policy: Some(policy.to_owned()),
            tags: Some(vec![tag("team"), tag("job")]),
            transitive_tag_keys: Some(vec!["team".to_owned()]),
            ..request(ROLE)
        };
        let response = bed.run::<AssumeRole>(input).await.unwrap();
        assert!(response.packed_policy_size.is_some());
        let key = response.credentials.unwrap().access_key_id;
        let caller = bed.restarted().owner(&key).await.unwrap().unwrap().principal;
        let session = caller.session.clone().unwrap();
        assert_eq!((session.policy.as_deref(), session.issuer_arn.as_str()), (Some(policy), ROLE));
        assert_eq!((session.tags.len(), session.issued_at_ms), (2, 1_700_000_000_500));
        let next = bed.run_as::<AssumeRole>(caller, request(ROLE)).await.unwrap().credentials.unwrap();
        let next = bed.key_ring.owner(&next.access_key_id).await.unwrap().unwrap().principal.session.unwrap();
        assert_eq!((next.tags.as_slice(), next.is_narrowed()), (&[("team".to_owned(), "1".to_owned())][..], false));
    }
}
