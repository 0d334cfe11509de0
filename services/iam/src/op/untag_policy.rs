//! Takes tags of a managed policy away.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagPolicy.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{UntagPolicy, UntagPolicyRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::PolicyRecord;
use gust_kit::{Cx, Operation};

impl Operation for UntagPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UntagPolicyRequest) -> Result<Self::Output, IamError> {
        tags::untag::<PolicyRecord>(cx, input.policy_arn, input.tag_keys).await?;
        Ok(Self::Output::default())
    }
}
