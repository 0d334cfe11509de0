//! Sets an inline policy of a user.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPolicy.html>
//! Deviations: none. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded.

use crate::Iam;
use crate::api::{PutUserPolicy, PutUserPolicyRequest};
use crate::error::IamError;
use crate::family::inline;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for PutUserPolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: PutUserPolicyRequest) -> Result<Self::Output, IamError> {
        inline::put::<UserRecord>(cx, input.user_name, input.policy_name, input.policy_document).await?;
        Ok(Self::Output::default())
    }
}
