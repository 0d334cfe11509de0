//! Lists the managed policies attached to a user.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedUserPolicies.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListAttachedUserPolicies, ListAttachedUserPoliciesRequest, ListAttachedUserPoliciesResponse};
use crate::error::IamError;
use crate::family::attachment;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListAttachedUserPolicies {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: ListAttachedUserPoliciesRequest,
    ) -> Result<ListAttachedUserPoliciesResponse, IamError> {
        let page = (input.max_items, input.marker);
        let listed = attachment::list::<UserRecord>(cx, input.user_name, input.path_prefix, page).await?;
        Ok(ListAttachedUserPoliciesResponse {
            is_truncated: listed.is_truncated(),
            attached_policies: Some(listed.items),
            marker: listed.marker,
        })
    }
}
