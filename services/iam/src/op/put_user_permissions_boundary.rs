//! Sets the permissions boundary of a user.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPermissionsBoundary.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{PutUserPermissionsBoundary, PutUserPermissionsBoundaryRequest};
use crate::error::IamError;
use crate::family::boundary;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for PutUserPermissionsBoundary {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: PutUserPermissionsBoundaryRequest) -> Result<Self::Output, IamError> {
        boundary::set::<UserRecord>(cx, input.user_name, Some(input.permissions_boundary)).await?;
        Ok(Self::Output::default())
    }
}
