//! Permissions boundaries of roles and users.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html>

use super::change;
use crate::Iam;
use crate::error::IamError;
use crate::model::{Holder, PolicyRecord};
use crate::rules::managed;
use gust_kit::Cx;
use gust_store::{Read, Tx};
use gust_types::AccountId;

/// Sets the boundary, or takes it away.
pub async fn set<H: Holder>(cx: &Cx<Iam>, holder: String, arn: Option<String>) -> Result<(), IamError> {
    let set = move |tx: &mut dyn Tx, account: &AccountId| {
        let mut record = H::find(tx, account, &holder)?;
        record.check_modifiable()?;
        check(tx, account, arn.as_deref())?;
        record.entity_mut().permissions_boundary.clone_from(&arn);
        record.keep(tx, account)
    };
    change(cx, set).await
}

/// Checks that a policy exists and may be a boundary.
pub fn check<T: Read + ?Sized>(read: &mut T, account: &AccountId, arn: Option<&str>) -> Result<(), IamError> {
    let Some(arn) = arn else { return Ok(()) };
    let exists = match managed::owner(arn)?.as_str() {
        "aws" => managed::exists(arn),
        _ => PolicyRecord::existing(read, account, arn)?.is_some(),
    };
    if exists { Ok(()) } else { Err(IamError::BoundaryDoesNotExist(arn.to_owned())) }
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn boundaries_are_set_and_taken_away() {
        let bed = Bed::new();
        bed.create_user("ann").await;
        let arn = bed.create_policy("edge").await.arn.unwrap();
        let put = |arn: &str| PutUserPermissionsBoundaryRequest {
            user_name: "ann".to_owned(),
            permissions_boundary: arn.to_owned(),
        };
        bed.run::<PutUserPermissionsBoundary>(put(&arn)).await.unwrap();
        let get = GetUserRequest { user_name: Some("ann".to_owned()) };
        let user = bed.run::<GetUser>(get.clone()).await.unwrap().user;
        assert_eq!(user.permissions_boundary.unwrap().permissions_boundary_arn.as_ref(), Some(&arn));
        // A policy that is a boundary stays.
        let error = refusal(bed.run::<DeletePolicy>(DeletePolicyRequest { policy_arn: arn.clone() }).await);
        assert_eq!(error.0, "DeleteConflict");
        let error = refusal(bed.run::<PutUserPermissionsBoundary>(put(&format!("{arn}x"))).await);
        assert_eq!(
            error,
            ("NoSuchEntity".to_owned(), format!("Scope ARN: {arn}x does not exist or is not attachable."))
        );
        let delete = DeleteUserPermissionsBoundaryRequest { user_name: "ann".to_owned() };
        bed.run::<DeleteUserPermissionsBoundary>(delete).await.unwrap();
        assert!(bed.run::<GetUser>(get).await.unwrap().user.permissions_boundary.is_none());
        bed.run::<DeletePolicy>(DeletePolicyRequest { policy_arn: arn }).await.unwrap();
    }
}
