//! Detaches a managed policy from a user.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachUserPolicy.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{DetachUserPolicy, DetachUserPolicyRequest};
use crate::error::IamError;
use crate::family::attachment;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for DetachUserPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DetachUserPolicyRequest) -> Result<Self::Output, IamError> {
        attachment::detach::<UserRecord>(cx, input.user_name, input.policy_arn).await?;
        Ok(Self::Output::default())
    }
}
