//! Makes temporary credentials of the caller's own, a user or the account's root.
//!
//! AWS: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>
//! Deviations: no second factor exists; that these credentials may not call IAM and most of STS without one is not
//! enforced. Errors: AccessDenied.

use crate::Sts;
use crate::api::{GetSessionToken, GetSessionTokenRequest, GetSessionTokenResponse};
use crate::error::StsError;
use crate::key_ring::NewSession;
use crate::limits::{ROOT_TOKEN_DURATION_MAX_S, TOKEN_DURATION_DEFAULT_S};
use crate::model::Owner;
use gust_kit::{Cx, Operation, Principal, PrincipalKind, Session};

impl Operation for GetSessionToken {
    type Service = Sts;
    type Error = StsError;

    async fn run(cx: &Cx<Sts>, input: GetSessionTokenRequest) -> Result<GetSessionTokenResponse, StsError> {
        let principal = &cx.call.principal;
        let owner = long_lived(principal, "GetSessionToken")?;
        let new = NewSession {
            owner,
            account: principal.account.clone(),
            arn: principal.arn.clone(),
            user_id: principal.user_id.clone(),
            duration_s: duration_s(input.duration_seconds, owner),
            session: Session { issuer_arn: principal.arn.clone(), ..Session::default() },
        };
        let made = cx.service.key_ring.make_session(new).await?;
        Ok(GetSessionTokenResponse { credentials: Some(made.show()), ..GetSessionTokenResponse::default() })
    }
}

/// Who the caller is, if it signed with a long-lived key.
pub(super) fn long_lived(principal: &Principal, operation: &'static str) -> Result<Owner, StsError> {
    match principal.kind {
        PrincipalKind::User if principal.session.is_none() => Ok(Owner::User),
        PrincipalKind::Root | PrincipalKind::Internal if principal.session.is_none() => Ok(Owner::Root),
        _ => Err(StsError::SessionCredentials(operation)),
    }
}

/// How long a session lasts; one of the account's root is cut to an hour.
pub(super) fn duration_s(given: Option<i32>, owner: Owner) -> u32 {
    let duration_s = given.and_then(|given| u32::try_from(given).ok()).unwrap_or(TOKEN_DURATION_DEFAULT_S);
    if owner == Owner::Root { duration_s.min(ROOT_TOKEN_DURATION_MAX_S) } else { duration_s }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, refusal, user};
    use gust_kit::ports::CredentialSource;

    #[tokio::test]
    async fn a_users_token_is_the_user() {
        let bed = Bed::new();
        let ann = user(&bed);
        let made = bed.run_as::<GetSessionToken>(ann.clone(), GetSessionTokenRequest::default()).await.unwrap();
        let credentials = made.credentials.unwrap();
        assert_eq!(credentials.expiration, 1_700_000_000_000 + 43_200_000);
        let owner = bed.restarted().owner(&credentials.access_key_id).await.unwrap().unwrap();
        assert_eq!((owner.principal.kind, &owner.principal.arn), (PrincipalKind::User, &ann.arn));
        assert_eq!(owner.principal.user_id, ann.user_id);
        // A token cannot make tokens.
        let error = refusal(bed.run_as::<GetSessionToken>(owner.principal, Default::default()).await);
        let message = "Cannot call GetSessionToken with session credentials";
        assert_eq!(error, ("AccessDenied".to_owned(), message.to_owned()));
    }

    #[tokio::test]
    async fn the_roots_token_lasts_an_hour_at_most() {
        let bed = Bed::new();
        for (asked, given_ms) in [(None, 3_600_000), (Some(900), 900_000), (Some(129_600), 3_600_000)] {
            let input = GetSessionTokenRequest { duration_seconds: asked, ..Default::default() };
            let credentials = bed.run::<GetSessionToken>(input).await.unwrap().credentials.unwrap();
            assert_eq!(credentials.expiration, 1_700_000_000_000 + given_ms);
        }
    }
}
