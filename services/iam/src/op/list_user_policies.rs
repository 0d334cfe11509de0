//! Lists the names of a user's inline policies.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUserPolicies.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListUserPolicies, ListUserPoliciesRequest, ListUserPoliciesResponse};
use crate::error::IamError;
use crate::family::inline;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListUserPolicies {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListUserPoliciesRequest) -> Result<ListUserPoliciesResponse, IamError> {
        let listed = inline::list::<UserRecord>(cx, input.user_name, (input.max_items, input.marker)).await?;
        Ok(ListUserPoliciesResponse {
            is_truncated: listed.is_truncated(),
            policy_names: listed.items,
            marker: listed.marker,
        })
    }
}
