//! Takes the permissions boundary of a user away; without one, nothing happens (inferred).
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUserPermissionsBoundary.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{DeleteUserPermissionsBoundary, DeleteUserPermissionsBoundaryRequest};
use crate::error::IamError;
use crate::family::boundary;
use crate::model::UserRecord;
use gust_kit::{Cx, Operation};

impl Operation for DeleteUserPermissionsBoundary {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteUserPermissionsBoundaryRequest) -> Result<Self::Output, IamError> {
        boundary::set::<UserRecord>(cx, input.user_name, None).await?;
        Ok(Self::Output::default())
    }
}
