//! Takes the permissions boundary of a role away; without one, nothing happens (inferred).
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePermissionsBoundary.html>
//! Deviations: none. Errors: NoSuchEntity, UnmodifiableEntity.

use crate::Iam;
use crate::api::{DeleteRolePermissionsBoundary, DeleteRolePermissionsBoundaryRequest};
use crate::error::IamError;
use crate::family::boundary;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for DeleteRolePermissionsBoundary {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteRolePermissionsBoundaryRequest) -> Result<Self::Output, IamError> {
        boundary::set::<RoleRecord>(cx, input.role_name, None).await?;
        Ok(Self::Output::default())
    }
}
