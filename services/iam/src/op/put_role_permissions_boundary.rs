//! Sets the permissions boundary of a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutRolePermissionsBoundary.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput, UnmodifiableEntity.

use crate::Iam;
use crate::api::{PutRolePermissionsBoundary, PutRolePermissionsBoundaryRequest};
use crate::error::IamError;
use crate::family::boundary;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for PutRolePermissionsBoundary {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: PutRolePermissionsBoundaryRequest) -> Result<Self::Output, IamError> {
        boundary::set::<RoleRecord>(cx, input.role_name, Some(input.permissions_boundary)).await?;
        Ok(Self::Output::default())
    }
}
