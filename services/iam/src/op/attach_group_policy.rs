//! Attaches a managed policy to a group.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachGroupPolicy.html>
//! Deviations: policies of AWS's without a document (see `rules/managed.rs`) grant nothing. Errors: NoSuchEntity,
//! InvalidInput, PolicyNotAttachable, LimitExceeded.

use crate::Iam;
use crate::api::{AttachGroupPolicy, AttachGroupPolicyRequest};
use crate::error::IamError;
use crate::family::attachment;
use crate::model::GroupRecord;
use gust_kit::{Cx, Operation};

impl Operation for AttachGroupPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: AttachGroupPolicyRequest) -> Result<Self::Output, IamError> {
        attachment::attach::<GroupRecord>(cx, input.group_name, input.policy_arn).await?;
        Ok(Self::Output::default())
    }
}
