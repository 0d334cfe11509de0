//! Shows a version of a managed policy with its document.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetPolicyVersion.html>
//! Deviations: each policy of AWS's has the version v1 only, in gust's own words; those whose content gust does not
//! know answer 501. Errors: NoSuchEntity, InvalidInput, AccessDenied.

use crate::Iam;
use crate::api::{GetPolicyVersion, GetPolicyVersionRequest, GetPolicyVersionResponse};
use crate::error::IamError;
use crate::family::look;
use crate::keys;
use crate::model::{Named, PolicyRecord, VersionRecord};
use crate::rules::managed;
use gust_kit::{Cx, Operation};
use gust_store::{Read, Record};
use gust_types::AccountId;

impl Operation for GetPolicyVersion {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetPolicyVersionRequest) -> Result<GetPolicyVersionResponse, IamError> {
        let find = move |read: &mut dyn Read, account: &AccountId| {
            let GetPolicyVersionRequest { policy_arn, version_id } = input;
            if managed::owner(&policy_arn)? == "aws" {
                let exists = managed::exists(&policy_arn);
                return if exists {
                    managed::show_document(&policy_arn, &version_id)
                } else {
                    Err(PolicyRecord::missing(&policy_arn))
                };
            }
            let policy = PolicyRecord::find(read, account, &policy_arn)?;
            let version = find_version(read, account, &policy, &version_id)?;
            Ok(version.show(policy.default_version))
        };
        Ok(GetPolicyVersionResponse { policy_version: Some(look(cx, find).await?) })
    }
}

/// The version of a policy with this id.
pub(super) fn find_version<T: Read + ?Sized>(
    read: &mut T,
    account: &AccountId,
    policy: &PolicyRecord,
    id: &str,
) -> Result<VersionRecord, IamError> {
    let missing = || IamError::VersionNotFound { arn: policy.arn(account), version: id.to_owned() };
    let number = VersionRecord::parse_id(id).ok_or_else(missing)?;
    VersionRecord::load(read, &keys::policy_version(account, &policy.name, number))?.ok_or_else(missing)
}
