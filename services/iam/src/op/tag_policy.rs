//! Sets tags of a managed policy.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagPolicy.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput, LimitExceeded.

use crate::Iam;
use crate::api::{TagPolicy, TagPolicyRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::PolicyRecord;
use gust_kit::{Cx, Operation};

impl Operation for TagPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: TagPolicyRequest) -> Result<Self::Output, IamError> {
        tags::tag::<PolicyRecord>(cx, input.policy_arn, input.tags).await?;
        Ok(Self::Output::default())
    }
}
