//! Removes a role that has no policies any more and is in no instance profile.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html>
//! Deviations: none. Errors: NoSuchEntity, DeleteConflict, UnmodifiableEntity.

use super::create_role::ROLES;
use crate::Iam;
use crate::api::{DeleteRole, DeleteRoleRequest};
use crate::error::IamError;
use crate::family::{change, inline, list};
use crate::model::{Holder, Named, ProfileRecord, RoleRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for DeleteRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteRoleRequest) -> Result<Self::Output, IamError> {
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let role = RoleRecord::find(tx, account, &input.role_name)?;
            role.check_modifiable()?;
            check_in_no_profile(tx, account, role.name())?;
            inline::check_none(tx, account, &role)?;
            ROLES.give_back(tx, account)?;
            Ok(tx.delete(RoleRecord::key(account, role.name()))?)
        };
        change(cx, delete).await?;
        Ok(Self::Output::default())
    }
}

fn check_in_no_profile(tx: &mut dyn Tx, account: &AccountId, role: &str) -> Result<(), IamError> {
    let profiles: Vec<ProfileRecord> = list::all(tx, account)?;
    let is_free = !profiles.iter().any(|profile| profile.holds(role));
    if is_free { Ok(()) } else { Err(IamError::StillHas("remove roles from instance profile")) }
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
