//! Removes a version of a managed policy, but not the one that counts.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicyVersion.html>
//! Deviations: none. Errors: NoSuchEntity, DeleteConflict, AccessDenied.

use super::get_policy_version::find_version;
use crate::Iam;
use crate::api::{DeletePolicyVersion, DeletePolicyVersionRequest};
use crate::error::IamError;
use crate::family::change;
use crate::keys;
use crate::model::{Named, PolicyRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for DeletePolicyVersion {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeletePolicyVersionRequest) -> Result<Self::Output, IamError> {
        let now_ms = cx.now_ms();
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let mut policy = PolicyRecord::find(tx, account, &input.policy_arn)?;
            let version = find_version(tx, account, &policy, &input.version_id)?;
            if version.number == policy.default_version {
                return Err(IamError::DefaultVersion);
            }
            policy.updated_at_ms = now_ms;
            policy.keep(tx, account)?;
            Ok(tx.delete(keys::policy_version(account, &policy.name, version.number))?)
        };
        change(cx, delete).await?;
        Ok(Self::Output::default())
    }
}
