//! Lists the instance profiles that hold a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfilesForRole.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{
    ListInstanceProfilesForRole, ListInstanceProfilesForRoleRequest, ListInstanceProfilesForRoleResponse,
};
use crate::error::IamError;
use crate::family::{list, look};
use crate::model::{Named, ProfileRecord, RoleRecord};
use crate::rules::page::Page;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListInstanceProfilesForRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: ListInstanceProfilesForRoleRequest,
    ) -> Result<ListInstanceProfilesForRoleResponse, IamError> {
        let page = Page::new(input.max_items, input.marker.as_deref())?;
        let list = move |read: &mut dyn Read, account: &AccountId| {
            let role = RoleRecord::find(read, account, &input.role_name)?;
            let mut profiles: Vec<ProfileRecord> = list::all(read, account)?;
            profiles.retain(|profile| profile.holds(role.name()));
            let listed = page.cut(profiles, |profile| profile.name.to_ascii_lowercase());
            let shown = listed.items.iter().map(|profile| profile.show_listed(read, account));
            Ok(ListInstanceProfilesForRoleResponse {
                instance_profiles: shown.collect::<Result<_, IamError>>()?,
                is_truncated: Some(listed.marker.is_some()),
                marker: listed.marker,
            })
        };
        look(cx, list).await
    }
}
