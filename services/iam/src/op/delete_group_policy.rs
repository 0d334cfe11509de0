//! Removes an inline policy of a group.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteGroupPolicy.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{DeleteGroupPolicy, DeleteGroupPolicyRequest};
use crate::error::IamError;
use crate::family::inline;
use crate::model::GroupRecord;
use gust_kit::{Cx, Operation};

impl Operation for DeleteGroupPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteGroupPolicyRequest) -> Result<Self::Output, IamError> {
        inline::delete::<GroupRecord>(cx, input.group_name, input.policy_name).await?;
        Ok(Self::Output::default())
    }
}
