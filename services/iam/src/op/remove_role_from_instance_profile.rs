//! Takes a role out of an instance profile.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveRoleFromInstanceProfile.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{RemoveRoleFromInstanceProfile, RemoveRoleFromInstanceProfileRequest};
use crate::error::IamError;
use crate::family::change;
use crate::model::{Named, ProfileRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for RemoveRoleFromInstanceProfile {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: RemoveRoleFromInstanceProfileRequest) -> Result<Self::Output, IamError> {
        let remove = move |tx: &mut dyn Tx, account: &AccountId| {
            let mut profile = ProfileRecord::find(tx, account, &input.instance_profile_name)?;
            if !profile.holds(&input.role_name) {
                let (role, profile) = (input.role_name.clone(), profile.name);
                return Err(IamError::RoleNotInProfile { role, profile });
            }
            profile.roles.retain(|held| !held.eq_ignore_ascii_case(&input.role_name));
            profile.keep(tx, account)
        };
        change(cx, remove).await?;
        Ok(Self::Output::default())
    }
}
