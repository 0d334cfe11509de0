//! Shows an inline policy of a user.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetUserPolicy.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{GetUserPolicy, GetUserPolicyRequest, GetUserPolicyResponse};
use crate::error::IamError;
use crate::family::inline;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for GetUserPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: GetUserPolicyRequest) -> Result<GetUserPolicyResponse, IamError> {
        let shown = inline::get::<UserRecord>(cx, input.user_name, input.policy_name).await?;
        Ok(GetUserPolicyResponse { user_name: shown.holder, policy_name: shown.name, policy_document: shown.document })
    }
}
