//! Makes temporary credentials that a user lends to somebody under another name.
//!
//! AWS: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html>
//! Deviations: that these credentials may not call IAM and most of STS is not enforced. Errors: AccessDenied,
//! MalformedPolicyDocument, PackedPolicyTooLarge, ValidationError.

use super::get_session_token::{duration_s, long_lived};
use crate::Sts;
use crate::api::{FederatedUser, GetFederationToken, GetFederationTokenRequest, GetFederationTokenResponse};
use crate::error::StsError;
use crate::key_ring::NewSession;
use crate::model::Owner;
use crate::rules::session::{Given, packed_size, session};
use gust_kit::{Cx, Operation};

impl Operation for GetFederationToken {
    type Service = Sts;
    type Error = StsError;

    async fn run(cx: &Cx<Sts>, input: GetFederationTokenRequest) -> Result<GetFederationTokenResponse, StsError> {
        let principal = &cx.call.principal;
        let lender = long_lived(principal, "GetFederationToken")?;
        let given =
            Given { policy: input.policy, policy_arns: input.policy_arns, tags: input.tags, ..Given::default() };
        let session = session(principal.arn.clone(), given, None)?;
        let packed_policy_size = packed_size(&session);
        let account = principal.account.clone();
        let new = NewSession {
            owner: Owner::FederatedUser,
            arn: format!("arn:aws:sts::{account}:federated-user/{}", input.name),
            user_id: format!("{account}:{}", input.name),
            account,
            duration_s: duration_s(input.duration_seconds, lender),
            session,
        };
        let made = cx.service.key_ring.make_session(new).await?;
        Ok(GetFederationTokenResponse {
            credentials: Some(made.show()),
            federated_user: Some(FederatedUser { federated_user_id: made.user_id, arn: made.arn }),
            packed_policy_size,
            ..GetFederationTokenResponse::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, refusal, user};
    use gust_kit::PrincipalKind;
    use gust_kit::ports::CredentialSource;

    #[tokio::test]
    async fn the_borrower_has_a_name_of_its_own() {
        let bed = Bed::new();
        let ann = user(&bed);
        let input = GetFederationTokenRequest { name: "guest".to_owned(), ..Default::default() };
        let made = bed.run_as::<GetFederationToken>(ann.clone(), input.clone()).await.unwrap();
        let borrower = made.federated_user.unwrap();
        assert_eq!(borrower.arn, "arn:aws:sts::000000000000:federated-user/guest");
        assert_eq!((borrower.federated_user_id.as_str(), made.packed_policy_size), ("000000000000:guest", None));
        let key = made.credentials.unwrap().access_key_id;
        let principal = bed.key_ring.owner(&key).await.unwrap().unwrap().principal;
        assert_eq!(principal.kind, PrincipalKind::FederatedUser);
        assert_eq!(principal.session.as_ref().unwrap().issuer_arn, ann.arn);
        assert_eq!(refusal(bed.run_as::<GetFederationToken>(principal, input).await).0, "AccessDenied");
    }

    #[tokio::test]
    async fn a_broken_policy_is_refused() {
        let input =
            GetFederationTokenRequest { name: "guest".to_owned(), policy: Some("{".to_owned()), ..Default::default() };
        assert_eq!(refusal(Bed::new().run::<GetFederationToken>(input).await).0, "MalformedPolicyDocument");
    }
}
