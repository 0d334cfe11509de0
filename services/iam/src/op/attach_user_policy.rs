//! Attaches a managed policy to a user.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachUserPolicy.html>
//! Deviations: policies of AWS's without a document (see `rules/managed.rs`) grant nothing. Errors: NoSuchEntity,
//! InvalidInput, PolicyNotAttachable, LimitExceeded.

use crate::Iam;
use crate::api::{AttachUserPolicy, AttachUserPolicyRequest};
use crate::error::IamError;
use crate::family::attachment;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for AttachUserPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: AttachUserPolicyRequest) -> Result<Self::Output, IamError> {
        attachment::attach::<UserRecord>(cx, input.user_name, input.policy_arn).await?;
        Ok(Self::Output::default())
    }
}
