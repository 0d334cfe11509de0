//! Sets tags of a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput, LimitExceeded.

use crate::Iam;
use crate::api::{TagRole, TagRoleRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for TagRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: TagRoleRequest) -> Result<Self::Output, IamError> {
        tags::tag::<RoleRecord>(cx, input.role_name, input.tags).await?;
        Ok(Self::Output::default())
    }
}
