//! Says which account an access key belongs to.
//!
//! AWS: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html>
//! Deviations: AWS reads the account out of the key's id; gust knows the keys that it made. Errors: ValidationError for
//! others (inferred).

use crate::Sts;
use crate::api::{GetAccessKeyInfo, GetAccessKeyInfoRequest, GetAccessKeyInfoResponse};
use crate::error::StsError;
use gust_kit::{Cx, Operation};

impl Operation for GetAccessKeyInfo {
    type Service = Sts;
    type Error = StsError;

    async fn run(cx: &Cx<Sts>, input: GetAccessKeyInfoRequest) -> Result<GetAccessKeyInfoResponse, StsError> {
        let account = cx.service.key_ring.account_of(&input.access_key_id).await?;
        let refuse = || StsError::Invalid(format!("Access key ID {} is not valid.", input.access_key_id));
        Ok(GetAccessKeyInfoResponse { account: Some(account.ok_or_else(refuse)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn known_keys_have_an_account() {
        let bed = Bed::new();
        let key = bed.key_ring.ensure_root_key(&bed.account()).await.unwrap().unwrap().access_key_id;
        let found = bed.run::<GetAccessKeyInfo>(GetAccessKeyInfoRequest { access_key_id: key }).await.unwrap();
        assert_eq!(found.account.as_deref(), Some("000000000000"));
        let unknown = GetAccessKeyInfoRequest { access_key_id: "AKIAUNKNOWNUNKNOWN00".to_owned() };
        assert_eq!(refusal(bed.run::<GetAccessKeyInfo>(unknown).await).0, "ValidationError");
    }
}
