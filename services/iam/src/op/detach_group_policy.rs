//! Detaches a managed policy from a group.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachGroupPolicy.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{DetachGroupPolicy, DetachGroupPolicyRequest};
use crate::error::IamError;
use crate::family::attachment;
use crate::model::GroupRecord;
use gust_kit::{Cx, Operation};

impl Operation for DetachGroupPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DetachGroupPolicyRequest) -> Result<Self::Output, IamError> {
        attachment::detach::<GroupRecord>(cx, input.group_name, input.policy_arn).await?;
        Ok(Self::Output::default())
    }
}
