//! Makes an instance profile without a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html>
//! Deviations: none. Errors: EntityAlreadyExists, InvalidInput, LimitExceeded.

use crate::Iam;
use crate::api::{CreateInstanceProfile, CreateInstanceProfileRequest, CreateInstanceProfileResponse};
use crate::error::IamError;
use crate::family::{Quota, change, create, tags};
use crate::limits::PROFILES_MAX;
use crate::model::{ProfileRecord, fresh_id};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for CreateInstanceProfile {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: CreateInstanceProfileRequest) -> Result<CreateInstanceProfileResponse, IamError> {
        let profile = ProfileRecord {
            name: input.instance_profile_name,
            path: input.path.unwrap_or_else(|| "/".to_owned()),
            id: fresh_id("AIPA", &*cx.platform().ids),
            tags: tags::checked(input.tags)?,
            created_at_ms: cx.now_ms(),
            roles: Vec::new(),
        };
        let create = move |tx: &mut dyn Tx, account: &AccountId| {
            create(tx, account, &profile, &PROFILES, IamError::ProfileExists)?;
            profile.show(tx, account)
        };
        Ok(CreateInstanceProfileResponse { instance_profile: change(cx, create).await? })
    }
}

/// How many instance profiles an account has.
pub(super) const PROFILES: Quota =
    Quota { name: "InstanceProfilesPerAccount", max: PROFILES_MAX, count: |usage| &mut usage.profiles };

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    /// The whole life of an instance profile and its role.
    #[tokio::test]
    async fn a_profile_holds_one_role() {
        let bed = Bed::new();
        let create = CreateInstanceProfileRequest { instance_profile_name: "p".to_owned(), ..Default::default() };
        let made = bed.run::<CreateInstanceProfile>(create.clone()).await.unwrap().instance_profile;
        assert_eq!(made.arn, "arn:aws:iam::000000000000:instance-profile/p");
        assert!(made.instance_profile_id.starts_with("AIPA") && made.roles.is_empty());
        let error = refusal(bed.run::<CreateInstanceProfile>(create).await);
        assert_eq!(error, ("EntityAlreadyExists".to_owned(), "Instance Profile p already exists.".to_owned()));
        bed.create_role("worker").await;
        let add = |role: &str| AddRoleToInstanceProfileRequest {
            instance_profile_name: "p".to_owned(),
            role_name: role.to_owned(),
        };
        assert_eq!(refusal(bed.run::<AddRoleToInstanceProfile>(add("none")).await).0, "NoSuchEntity");
        bed.run::<AddRoleToInstanceProfile>(add("worker")).await.unwrap();
        let error = refusal(bed.run::<AddRoleToInstanceProfile>(add("worker")).await);
        let message = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
        assert_eq!(error, ("LimitExceeded".to_owned(), message.to_owned()));
        let get = GetInstanceProfileRequest { instance_profile_name: "P".to_owned() };
        let shown = bed.run::<GetInstanceProfile>(get.clone()).await.unwrap().instance_profile;
        assert_eq!(shown.roles[0].role_name, "worker");
        let for_role = ListInstanceProfilesForRoleRequest { role_name: "worker".to_owned(), ..Default::default() };
        assert_eq!(bed.run::<ListInstanceProfilesForRole>(for_role).await.unwrap().instance_profiles.len(), 1);

        let message = "Cannot delete entity, must remove roles from instance profile first.";
        assert_eq!(refusal(bed.delete_role("worker").await).1, message);
        let delete = DeleteInstanceProfileRequest { instance_profile_name: "p".to_owned() };
        assert_eq!(refusal(bed.run::<DeleteInstanceProfile>(delete.clone()).await).1, message);
        let remove = RemoveRoleFromInstanceProfileRequest {
            instance_profile_name: "p".to_owned(),
            role_name: "worker".to_owned(),
        };
        bed.run::<RemoveRoleFromInstanceProfile>(remove.clone()).await.unwrap();
        assert_eq!(refusal(bed.run::<RemoveRoleFromInstanceProfile>(remove).await).0, "NoSuchEntity");
        bed.delete_role("worker").await.unwrap();
        bed.run::<DeleteInstanceProfile>(delete).await.unwrap();
        assert_eq!(refusal(bed.run::<GetInstanceProfile>(get).await).1, "Instance Profile P cannot be found.");
    }
}
