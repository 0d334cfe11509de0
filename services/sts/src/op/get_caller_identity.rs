//! Says who calls.
//!
//! AWS: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
//! Deviations: none. Errors: none of its own.

use crate::Sts;
use crate::api::{GetCallerIdentity, GetCallerIdentityRequest, GetCallerIdentityResponse};
use crate::error::StsError;
use gust_kit::{Cx, Operation};

impl Operation for GetCallerIdentity {
    type Service = Sts;
    type Error = StsError;

    async fn run(cx: &Cx<Sts>, _: GetCallerIdentityRequest) -> Result<GetCallerIdentityResponse, StsError> {
        let principal = &cx.call.principal;
        Ok(GetCallerIdentityResponse {
            user_id: Some(principal.user_id.clone()),
            account: Some(principal.account.as_str().to_owned()),
            arn: Some(principal.arn.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;
    use gust_kit::{Principal, PrincipalKind};

    #[tokio::test]
    async fn each_kind_of_principal_is_shown() {
        let bed = Bed::new();
        let principal = |kind, arn: &str, user_id: &str| Principal {
            kind,
            account: bed.account(),
            arn: arn.to_owned(),
            user_id: user_id.to_owned(),
            access_key_id: None,
            session: None,
        };
        for (principal, arn, user_id) in [
            (Principal::root(bed.account(), None), "arn:aws:iam::000000000000:root", "000000000000"),
            (
                principal(PrincipalKind::User, "arn:aws:iam::000000000000:user/ann", "AIDAANN"),
                "arn:aws:iam::000000000000:user/ann",
                "AIDAANN",
            ),
            (
                principal(PrincipalKind::AssumedRole, "arn:aws:sts::000000000000:assumed-role/r/s", "AROAR:s"),
                "arn:aws:sts::000000000000:assumed-role/r/s",
                "AROAR:s",
            ),
        ] {
            let shown = bed.run_as::<GetCallerIdentity>(principal, GetCallerIdentityRequest {}).await.unwrap();
            assert_eq!(shown.account.as_deref(), Some("000000000000"));
            assert_eq!((shown.arn.as_deref(), shown.user_id.as_deref()), (Some(arn), Some(user_id)));
        }
    }
}
