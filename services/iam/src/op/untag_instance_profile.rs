//! Takes tags of an instance profile away.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagInstanceProfile.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{UntagInstanceProfile, UntagInstanceProfileRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::ProfileRecord;
use gust_kit::{Cx, Operation};

impl Operation for UntagInstanceProfile {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UntagInstanceProfileRequest) -> Result<Self::Output, IamError> {
        tags::untag::<ProfileRecord>(cx, input.instance_profile_name, input.tag_keys).await?;
        Ok(Self::Output::default())
    }
}
