//! Shows an inline policy of a group.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetGroupPolicy.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{GetGroupPolicy, GetGroupPolicyRequest, GetGroupPolicyResponse};
use crate::error::IamError;
use crate::family::inline;
use crate::model::GroupRecord;
use gust_kit::{Cx, Operation};

impl Operation for GetGroupPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetGroupPolicyRequest) -> Result<GetGroupPolicyResponse, IamError> {
        let shown = inline::get::<GroupRecord>(cx, input.group_name, input.policy_name).await?;
        Ok(GetGroupPolicyResponse {
            group_name: shown.holder,
            policy_name: shown.name,
            policy_document: shown.document,
        })
    }
}
