//! Chooses the version of a managed policy that counts.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SetDefaultPolicyVersion.html>
//! Deviations: none. Errors: NoSuchEntity, AccessDenied.

use super::get_policy_version::find_version;
use crate::Iam;
use crate::api::{SetDefaultPolicyVersion, SetDefaultPolicyVersionRequest};
use crate::error::IamError;
use crate::family::change;
use crate::model::{Named, PolicyRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for SetDefaultPolicyVersion {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: SetDefaultPolicyVersionRequest) -> Result<Self::Output, IamError> {
        let now_ms = cx.now_ms();
        let set = move |tx: &mut dyn Tx, account: &AccountId| {
            let mut policy = PolicyRecord::find(tx, account, &input.policy_arn)?;
            policy.default_version = find_version(tx, account, &policy, &input.version_id)?.number;
            policy.updated_at_ms = now_ms;
            policy.keep(tx, account)
        };
        change(cx, set).await?;
        Ok(Self::Output::default())
    }
}
