//! Removes an inline policy of a user.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUserPolicy.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{DeleteUserPolicy, DeleteUserPolicyRequest};
use crate::error::IamError;
use crate::family::inline;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for DeleteUserPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteUserPolicyRequest) -> Result<Self::Output, IamError> {
        inline::delete::<UserRecord>(cx, input.user_name, input.policy_name).await?;
        Ok(Self::Output::default())
    }
}
