//! Lists the names of a group's inline policies.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroupPolicies.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListGroupPolicies, ListGroupPoliciesRequest, ListGroupPoliciesResponse};
use crate::error::IamError;
use crate::family::inline;
use crate::model::GroupRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListGroupPolicies {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListGroupPoliciesRequest) -> Result<ListGroupPoliciesResponse, IamError> {
        let listed = inline::list::<GroupRecord>(cx, input.group_name, (input.max_items, input.marker)).await?;
        Ok(ListGroupPoliciesResponse {
            is_truncated: listed.is_truncated(),
            policy_names: listed.items,
            marker: listed.marker,
        })
    }
}
