//! Sets tags of an instance profile.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagInstanceProfile.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput, LimitExceeded.

use crate::Iam;
use crate::api::{TagInstanceProfile, TagInstanceProfileRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::ProfileRecord;
use gust_kit::{Cx, Operation};

impl Operation for TagInstanceProfile {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: TagInstanceProfileRequest) -> Result<Self::Output, IamError> {
        tags::tag::<ProfileRecord>(cx, input.instance_profile_name, input.tags).await?;
        Ok(Self::Output::default())
    }
}
