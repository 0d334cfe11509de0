//! Lists the tags of an instance profile, in the order of their keys.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfileTags.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListInstanceProfileTags, ListInstanceProfileTagsRequest, ListInstanceProfileTagsResponse};
use crate::error::IamError;
use crate::family::tags;
use crate::model::ProfileRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListInstanceProfileTags {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: ListInstanceProfileTagsRequest,
    ) -> Result<ListInstanceProfileTagsResponse, IamError> {
        let listed =
            tags::list::<ProfileRecord>(cx, input.instance_profile_name, (input.max_items, input.marker)).await?;
        Ok(ListInstanceProfileTagsResponse {
            is_truncated: listed.is_truncated(),
            tags: listed.items,
            marker: listed.marker,
        })
    }
}
