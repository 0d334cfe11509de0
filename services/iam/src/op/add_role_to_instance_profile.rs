//! Puts a role into an instance profile.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddRoleToInstanceProfile.html>
//! Deviations: none. Errors: NoSuchEntity, LimitExceeded, UnmodifiableEntity.

use crate::Iam;
use crate::api::{AddRoleToInstanceProfile, AddRoleToInstanceProfileRequest};
use crate::error::IamError;
use crate::family::change;
use crate::limits::PROFILE_ROLES_MAX;
use crate::model::{Holder, Named, ProfileRecord, RoleRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for AddRoleToInstanceProfile {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: AddRoleToInstanceProfileRequest) -> Result<Self::Output, IamError> {
        let add = move |tx: &mut dyn Tx, account: &AccountId| {
            let mut profile = ProfileRecord::find(tx, account, &input.instance_profile_name)?;
            let role = RoleRecord::find(tx, account, &input.role_name)?;
            role.check_modifiable()?;
            if profile.roles.len() >= PROFILE_ROLES_MAX {
                return Err(IamError::Quota { quota: "InstanceSessionsPerInstanceProfile", max: PROFILE_ROLES_MAX });
            }
            profile.roles.push(role.name().to_owned());
            profile.keep(tx, account)
        };
        change(cx, add).await?;
        Ok(Self::Output::default())
    }
}
