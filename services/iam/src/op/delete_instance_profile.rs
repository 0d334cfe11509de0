//! Removes an instance profile that has no role any more.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteInstanceProfile.html>
//! Deviations: none. Errors: NoSuchEntity, DeleteConflict.

use super::create_instance_profile::PROFILES;
use crate::Iam;
use crate::api::{DeleteInstanceProfile, DeleteInstanceProfileRequest};
use crate::error::IamError;
use crate::family::change;
use crate::model::{Named, ProfileRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for DeleteInstanceProfile {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteInstanceProfileRequest) -> Result<Self::Output, IamError> {
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let profile = ProfileRecord::find(tx, account, &input.instance_profile_name)?;
            if !profile.roles.is_empty() {
                return Err(IamError::StillHas("remove roles from instance profile"));
            }
            PROFILES.give_back(tx, account)?;
            Ok(tx.delete(ProfileRecord::key(account, profile.name()))?)
        };
        change(cx, delete).await?;
        Ok(Self::Output::default())
    }
}
