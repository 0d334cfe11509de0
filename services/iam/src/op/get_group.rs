//! Shows a group and who belongs to it.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetGroup.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{GetGroup, GetGroupRequest, GetGroupResponse};
use crate::error::IamError;
use crate::family::{list, look};
use crate::model::{GroupRecord, Named, UserRecord};
use crate::rules::page::Page;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for GetGroup {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetGroupRequest) -> Result<GetGroupResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let find = move |read: &mut dyn Read, account: &AccountId| {
            let group = GroupRecord::find(read, account, &input.group_name)?;
            let mut users: Vec<UserRecord> = list::all(read, account)?;
            users.retain(|user| user.belongs_to(group.name()));
            let listed = page.cut(users, |user| user.name().to_ascii_lowercase());
            let listed = listed.map(|user| user.show_listed(account));
            Ok(GetGroupResponse {
                group: group.show(account),
                is_truncated: listed.is_truncated(),
                users: listed.items,
                marker: listed.marker,
            })
        };
        look(cx, find).await
    }
}
