//! Lists an account's users, in the order of their names.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUsers.html>
//! Deviations: none. Errors: InvalidInput (marker).

use crate::Iam;
use crate::api::{ListUsers, ListUsersRequest, ListUsersResponse};
use crate::error::IamError;
use crate::family::list;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListUsers {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListUsersRequest) -> Result<ListUsersResponse, IamError> {
        let show = |_: &mut dyn Read, account: &AccountId, user: &UserRecord| Ok(user.show_listed(account));
        let listed = list::page(cx, (input.max_items, input.marker), input.path_prefix, show).await?;
        Ok(ListUsersResponse { is_truncated: listed.is_truncated(), users: listed.items, marker: listed.marker })
    }
}
