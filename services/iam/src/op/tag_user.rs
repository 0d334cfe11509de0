//! Sets tags of a user.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagUser.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput, LimitExceeded.

use crate::Iam;
use crate::api::{TagUser, TagUserRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for TagUser {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: TagUserRequest) -> Result<Self::Output, IamError> {
        tags::tag::<UserRecord>(cx, input.user_name, input.tags).await?;
        Ok(Self::Output::default())
    }
}
