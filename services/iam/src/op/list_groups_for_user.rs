//! Lists the groups that a user belongs to.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListGroupsForUser.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{ListGroupsForUser, ListGroupsForUserRequest, ListGroupsForUserResponse};
use crate::error::IamError;
use crate::family::look;
use crate::model::{GroupRecord, Named, UserRecord};
use crate::rules::page::Page;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListGroupsForUser {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListGroupsForUserRequest) -> Result<ListGroupsForUserResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let list = move |read: &mut dyn Read, account: &AccountId| {
            let mut names = UserRecord::find(read, account, &input.user_name)?.groups;
            names.sort_unstable();
            let listed = page.cut(names, String::clone);
            let groups = listed.items.iter().map(|name| Ok(GroupRecord::find(read, account, name)?.show(account)));
            Ok(ListGroupsForUserResponse {
                groups: groups.collect::<Result<_, IamError>>()?,
                is_truncated: listed.is_truncated(),
                marker: listed.marker,
            })
        };
        look(cx, list).await
    }
}
