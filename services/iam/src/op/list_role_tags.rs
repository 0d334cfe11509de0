//! Lists the tags of a role, in the order of their keys.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoleTags.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListRoleTags, ListRoleTagsRequest, ListRoleTagsResponse};
use crate::error::IamError;
use crate::family::tags;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListRoleTags {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListRoleTagsRequest) -> Result<ListRoleTagsResponse, IamError> {
        let listed = tags::list::<RoleRecord>(cx, input.role_name, (input.max_items, input.marker)).await?;
        Ok(ListRoleTagsResponse { is_truncated: listed.is_truncated(), tags: listed.items, marker: listed.marker })
    }
}
