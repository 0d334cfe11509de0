//! Lists the managed policies attached to a group.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAttachedGroupPolicies.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListAttachedGroupPolicies, ListAttachedGroupPoliciesRequest, ListAttachedGroupPoliciesResponse};
use crate::error::IamError;
use crate::family::attachment;
use crate::model::GroupRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListAttachedGroupPolicies {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: ListAttachedGroupPoliciesRequest,
    ) -> Result<ListAttachedGroupPoliciesResponse, IamError> {
        let page = (input.max_items, input.marker);
        let listed = attachment::list::<GroupRecord>(cx, input.group_name, input.path_prefix, page).await?;
        Ok(ListAttachedGroupPoliciesResponse {
            is_truncated: listed.is_truncated(),
            attached_policies: Some(listed.items),
            marker: listed.marker,
        })
    }
}
