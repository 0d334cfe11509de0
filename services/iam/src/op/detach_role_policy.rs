//! Detaches a managed policy from a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DetachRolePolicy.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{DetachRolePolicy, DetachRolePolicyRequest};
use crate::error::IamError;
use crate::keys;
use crate::model::RoleRecord;
use crate::rules::managed;
use gust_kit::{Cx, Operation};
use gust_store::{Record, Tx};

impl Operation for DetachRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DetachRolePolicyRequest) -> Result<Self::Output, IamError> {
        let DetachRolePolicyRequest { role_name, policy_arn } = input;
        managed::check_arn(&policy_arn)?;
        let account = cx.call.account().clone();
        let detach = move |tx: &mut dyn Tx| -> Result<(), IamError> {
            let mut role = RoleRecord::find(tx, &account, &role_name)?;
            let at = role.attached.iter().position(|attached| *attached == policy_arn);
            role.attached.remove(at.ok_or_else(|| IamError::PolicyNotAttached(policy_arn.clone()))?);
            Ok(role.save(tx, keys::role(&account, &role_name))?)
        };
        cx.service.change(detach).await?;
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
