//! Shows an instance profile.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{GetInstanceProfile, GetInstanceProfileRequest, GetInstanceProfileResponse};
use crate::error::IamError;
use crate::family::look;
use crate::model::{Named, ProfileRecord};
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for GetInstanceProfile {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetInstanceProfileRequest) -> Result<GetInstanceProfileResponse, IamError> {
        let find = move |read: &mut dyn Read, account: &AccountId| {
            ProfileRecord::find(read, account, &input.instance_profile_name)?.show(read, account)
        };
        Ok(GetInstanceProfileResponse { instance_profile: look(cx, find).await? })
    }
}
