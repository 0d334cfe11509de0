//! Lists the tags of a user, in the order of their keys.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUserTags.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListUserTags, ListUserTagsRequest, ListUserTagsResponse};
use crate::error::IamError;
use crate::family::tags;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListUserTags {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListUserTagsRequest) -> Result<ListUserTagsResponse, IamError> {
        let listed = tags::list::<UserRecord>(cx, input.user_name, (input.max_items, input.marker)).await?;
        Ok(ListUserTagsResponse { is_truncated: listed.is_truncated(), tags: listed.items, marker: listed.marker })
    }
}
