//! Lists an account's instance profiles, in the order of their names.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html>
//! Deviations: none. Errors: InvalidInput (marker).

use crate::Iam;
use crate::api::{ListInstanceProfiles, ListInstanceProfilesRequest, ListInstanceProfilesResponse};
use crate::error::IamError;
use crate::family::list;
use crate::model::ProfileRecord;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListInstanceProfiles {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: ListInstanceProfilesRequest) -> Result<ListInstanceProfilesResponse, IamError> {
        let show =
            |read: &mut dyn Read, account: &AccountId, profile: &ProfileRecord| profile.show_listed(read, account);
        let listed = list::page(cx, (input.max_items, input.marker), input.path_prefix, show).await?;
        Ok(ListInstanceProfilesResponse {
            is_truncated: listed.is_truncated(),
            instance_profiles: listed.items,
            marker: listed.marker,
        })
    }
}
