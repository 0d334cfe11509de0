//! Detaches a managed policy from a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachRolePolicy.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput, UnmodifiableEntity.

use crate::Iam;
use crate::api::{DetachRolePolicy, DetachRolePolicyRequest};
use crate::error::IamError;
use crate::family::attachment;
use crate::model::RoleRecord;
use gust_kit::{Cx, Operation};

impl Operation for DetachRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DetachRolePolicyRequest) -> Result<Self::Output, IamError> {
        attachment::detach::<RoleRecord>(cx, input.role_name, input.policy_arn).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn only_what_is_attached_can_be_detached() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.attach("worker", "AdministratorAccess").await.unwrap();
        bed.detach("worker", "AdministratorAccess").await.unwrap();
        let error = refusal(bed.detach("worker", "AdministratorAccess").await);
        let message = "Policy arn:aws:iam::aws:policy/AdministratorAccess was not found.";
        assert_eq!(error, ("NoSuchEntity".to_owned(), message.to_owned()));
        assert!(bed.attached("worker").await.is_empty());
    }
}
