//! Removes a managed policy that nothing uses and that has one version.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeletePolicy.html>
//! Deviations: that a policy which is a boundary stays, too, is inferred. Errors: NoSuchEntity, DeleteConflict,
//! AccessDenied.

use super::create_policy::POLICIES;
use crate::Iam;
use crate::api::{DeletePolicy, DeletePolicyRequest};
use crate::error::IamError;
use crate::family::{attachment, change};
use crate::keys;
use crate::limits::POLICY_VERSIONS_MAX;
use crate::model::{Named, PolicyRecord};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Tx};
use gust_types::AccountId;

impl Operation for DeletePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeletePolicyRequest) -> Result<Self::Output, IamError> {
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let policy = PolicyRecord::find(tx, account, &input.policy_arn)?;
            if attachment::uses(tx, account)?.contains_key(&input.policy_arn) {
                return Err(IamError::PolicyInUse);
            }
            let versions = Range::prefix(&keys::policy_versions_of(account, &policy.name));
            let versions = tx.range(&versions, Order::Ascending, POLICY_VERSIONS_MAX)?;
            if versions.len() > 1 {
                return Err(IamError::PolicyHasVersions);
            }
            for (version, _) in versions {
                tx.delete(version)?;
            }
            POLICIES.give_back(tx, account)?;
            Ok(tx.delete(PolicyRecord::key(account, &policy.name))?)
        };
        change(cx, delete).await?;
        Ok(Self::Output::default())
    }
}
