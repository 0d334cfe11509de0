//! Lists the tags of a managed policy, in the order of their keys.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicyTags.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListPolicyTags, ListPolicyTagsRequest, ListPolicyTagsResponse};
use crate::error::IamError;
use crate::family::tags;
use crate::model::PolicyRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListPolicyTags {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListPolicyTagsRequest) -> Result<ListPolicyTagsResponse, IamError> {
        let listed = tags::list::<PolicyRecord>(cx, input.policy_arn, (input.max_items, input.marker)).await?;
        Ok(ListPolicyTagsResponse { is_truncated: listed.is_truncated(), tags: listed.items, marker: listed.marker })
    }
}
