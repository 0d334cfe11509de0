//! Sets an inline policy of a group.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutGroupPolicy.html>
//! Deviations: none. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded.

use crate::Iam;
use crate::api::{PutGroupPolicy, PutGroupPolicyRequest};
use crate::error::IamError;
use crate::family::inline;
use crate::model::GroupRecord;
use gust_kit::{Cx, Operation};

impl Operation for PutGroupPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: PutGroupPolicyRequest) -> Result<Self::Output, IamError> {
        inline::put::<GroupRecord>(cx, input.group_name, input.policy_name, input.policy_document).await?;
        Ok(Self::Output::default())
    }
}
