//! Counts what an account has, beside what it may have.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html>
//! Deviations: certificates, MFA devices and passwords do not exist and are counted as none. Errors: none of its own.

use crate::Iam;
use crate::api::{GetAccountSummary, GetAccountSummaryResponse};
use crate::error::IamError;
use crate::family::{attachment, look};
use crate::keys;
use crate::limits;
use crate::model::UsageRecord;
use gust_kit::{Cx, Operation};
use gust_store::{Read, Record};
use gust_types::AccountId;
use std::collections::BTreeMap;

impl Operation for GetAccountSummary {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, _: Self::Input) -> Result<GetAccountSummaryResponse, IamError> {
        let count = |read: &mut dyn Read, account: &AccountId| {
            let usage = UsageRecord::load(read, &keys::usage(account))?.unwrap_or_default();
            let uses = attachment::uses(read, account)?;
            let in_use = |arn: &String| !arn.starts_with("arn:aws:iam::aws:");
            Ok(summary(&usage, uses.keys().filter(|arn| in_use(arn)).count()))
        };
        Ok(GetAccountSummaryResponse { summary_map: Some(look(cx, count).await?) })
    }
}

fn summary(usage: &UsageRecord, policies_in_use: usize) -> BTreeMap<String, i32> {
    let counts = [
        ("Users", usage.users),
        ("UsersQuota", limits::USERS_MAX),
        ("Groups", usage.groups),
        ("GroupsQuota", limits::GROUPS_MAX),
        ("Roles", usage.roles),
        ("RolesQuota", limits::ROLES_MAX),
        ("Policies", usage.policies),
        ("PoliciesQuota", limits::POLICIES_MAX),
        ("PolicyVersionsInUse", policies_in_use),
        ("PolicyVersionsInUseQuota", limits::POLICIES_MAX),
        ("InstanceProfiles", usage.profiles),
        ("InstanceProfilesQuota", limits::PROFILES_MAX),
        ("Providers", usage.providers),
        ("ServerCertificates", 0),
        ("ServerCertificatesQuota", 0),
        ("UserPolicySizeQuota", limits::USER_POLICIES_CHARACTERS_MAX),
        ("GroupPolicySizeQuota", limits::GROUP_POLICIES_CHARACTERS_MAX),
        ("RolePolicySizeQuota", limits::ROLE_POLICIES_CHARACTERS_MAX),
        ("AssumeRolePolicySizeQuota", limits::TRUST_POLICY_CHARACTERS_MAX),
        ("PolicySizeQuota", limits::POLICY_CHARACTERS_MAX),
        ("VersionsPerPolicyQuota", limits::POLICY_VERSIONS_MAX),
        ("GroupsPerUserQuota", limits::GROUPS_OF_USER_MAX),
        ("AccessKeysPerUserQuota", limits::ACCESS_KEYS_MAX),
        ("SigningCertificatesPerUserQuota", 0),
        ("AttachedPoliciesPerUserQuota", limits::ATTACHED_POLICIES_MAX),
        ("AttachedPoliciesPerGroupQuota", limits::ATTACHED_POLICIES_MAX),
        ("AttachedPoliciesPerRoleQuota", limits::ATTACHED_POLICIES_MAX),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("AccountMFAEnabled", 0),
        ("AccountAccessKeysPresent", 1),
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", 0),
        ("GlobalEndpointTokenVersion", 2),
    ];
    let entry = |(name, count): (&str, usize)| (name.to_owned(), i32::try_from(count).unwrap_or(i32::MAX));
    counts.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn what_exists_is_counted() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.create_user("ann").await;
        bed.create_user("eve").await;
        bed.delete_user("eve").await.unwrap();
        bed.create_policy("mine").await;
        bed.attach("worker", "AdministratorAccess").await.unwrap();
        let map = bed.run::<GetAccountSummary>(Default::default()).await.unwrap().summary_map.unwrap();
        let counts = ["Roles", "Users", "Groups", "Policies", "PolicyVersionsInUse"].map(|name| map[name]);
        assert_eq!(counts, [1, 1, 0, 1, 0]);
        assert_eq!((map["RolesQuota"], map["AccessKeysPerUserQuota"]), (1_000, 2));
    }
}
