//! Removes a role that has no policies any more.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html>
//! Deviations: none. Errors: NoSuchEntity, DeleteConflict.

use crate::Iam;
use crate::api::{DeleteRole, DeleteRoleRequest};
use crate::error::IamError;
use crate::keys;
use crate::model::{RoleRecord, UsageRecord};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Record, Tx};

impl Operation for DeleteRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteRoleRequest) -> Result<Self::Output, IamError> {
        let account = cx.call.account().clone();
        let delete = move |tx: &mut dyn Tx| -> Result<(), IamError> {
            let role = RoleRecord::find(tx, &account, &input.role_name)?;
            if !role.attached.is_empty() {
                return Err(IamError::HasAttachedPolicies);
            }
            let inline = Range::prefix(&keys::inline_policies_of(&account, &role.name));
            if !tx.range(&inline, Order::Ascending, 1)?.is_empty() {
                return Err(IamError::HasInlinePolicies);
            }
            let mut usage = UsageRecord::load(tx, &keys::usage(&account))?.unwrap_or_default();
            usage.roles = usage.roles.saturating_sub(1);
            usage.save(tx, keys::usage(&account))?;
            Ok(tx.delete(keys::role(&account, &role.name))?)
        };
        cx.service.change(delete).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn a_role_without_policies_goes() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.delete_role("Worker").await.unwrap();
        assert_eq!(refusal(bed.delete_role("worker").await).0, "NoSuchEntity");
    }

    #[tokio::test]
    async fn a_role_with_policies_stays() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.put_policy("worker", "inline").await.unwrap();
        bed.attach("worker", "AdministratorAccess").await.unwrap();
        let conflict = |message: &str| ("DeleteConflict".to_owned(), message.to_owned());
        let message = "Cannot delete entity, must detach all policies first.";
        assert_eq!(refusal(bed.delete_role("worker").await), conflict(message));
        bed.detach("worker", "AdministratorAccess").await.unwrap();
        let message = "Cannot delete entity, must delete policies first.";
        assert_eq!(refusal(bed.delete_role("worker").await), conflict(message));
        bed.delete_policy("worker", "inline").await.unwrap();
        bed.delete_role("worker").await.unwrap();
    }
}
