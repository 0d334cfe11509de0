//! Lists an account's groups, in the order of their names.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroups.html>
//! Deviations: none. Errors: InvalidInput (marker).

use crate::Iam;
use crate::api::{ListGroups, ListGroupsRequest, ListGroupsResponse};
use crate::error::IamError;
use crate::family::list;
use crate::model::GroupRecord;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListGroups {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListGroupsRequest) -> Result<ListGroupsResponse, IamError> {
        let show = |_: &mut dyn Read, account: &AccountId, group: &GroupRecord| Ok(group.show(account));
        let listed = list::page(cx, (input.max_items, input.marker), input.path_prefix, show).await?;
        Ok(ListGroupsResponse { is_truncated: listed.is_truncated(), groups: listed.items, marker: listed.marker })
    }
}
