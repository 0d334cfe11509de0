//! Takes tags of a role away.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagRole.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{UntagRole, UntagRoleRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for UntagRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UntagRoleRequest) -> Result<Self::Output, IamError> {
        tags::untag::<RoleRecord>(cx, input.role_name, input.tag_keys).await?;
        Ok(Self::Output::default())
    }
}
