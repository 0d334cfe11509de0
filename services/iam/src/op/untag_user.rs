//! Takes tags of a user away.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagUser.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{UntagUser, UntagUserRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for UntagUser {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UntagUserRequest) -> Result<Self::Output, IamError> {
        tags::untag::<UserRecord>(cx, input.user_name, input.tag_keys).await?;
        Ok(Self::Output::default())
    }
}
