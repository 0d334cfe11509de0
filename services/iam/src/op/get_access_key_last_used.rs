//! Says whose an access key is.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccessKeyLastUsed.html>
//! Deviations: the use of keys is not recorded: each is shown as never used. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{AccessKeyLastUsed, GetAccessKeyLastUsed, GetAccessKeyLastUsedRequest, GetAccessKeyLastUsedResponse};
use crate::error::IamError;
use crate::family::look;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for GetAccessKeyLastUsed {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetAccessKeyLastUsedRequest) -> Result<GetAccessKeyLastUsedResponse, IamError> {
        let keys = cx.service.keys.clone();
        let find = move |read: &mut dyn Read, account: &AccountId| {
            let arn = keys.user_arn(read, &input.access_key_id)?;
            // A key of another account is as unknown as none.
            let own = format!("arn:aws:iam::{account}:user/");
            let name = arn.filter(|arn| arn.starts_with(&own)).and_then(|arn| Some(arn.rsplit_once('/')?.1.to_owned()));
            name.ok_or(IamError::KeyNotFound(input.access_key_id))
        };
        let never =
            AccessKeyLastUsed { last_used_date: None, service_name: "N/A".to_owned(), region: "N/A".to_owned() };
        let user_name = Some(look(cx, find).await?);
        Ok(GetAccessKeyLastUsedResponse { user_name, access_key_last_used: Some(never) })
    }
}
