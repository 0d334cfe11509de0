//! Removes an inline policy of a role.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRolePolicy.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{DeleteRolePolicy, DeleteRolePolicyRequest};
use crate::error::IamError;
use crate::keys;
use crate::model::{InlinePolicyRecord, RoleRecord, characters};
use gust_kit::{Cx, Operation};
use gust_store::{Record, Tx};

impl Operation for DeleteRolePolicy {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteRolePolicyRequest) -> Result<Self::Output, IamError> {
        let account = cx.call.account().clone();
        let delete = move |tx: &mut dyn Tx| -> Result<(), IamError> {
            let mut role = RoleRecord::find(tx, &account, &input.role_name)?;
            let key = keys::inline_policy(&account, &input.role_name, &input.policy_name);
            let policy = InlinePolicyRecord::load(tx, &key)?;
            let policy = policy.ok_or_else(|| IamError::RolePolicyNotFound(input.policy_name.clone()))?;
            role.inline_characters = role.inline_characters.saturating_sub(characters(&policy.document));
            role.save(tx, keys::role(&account, &input.role_name))?;
            Ok(tx.delete(key)?)
        };
        cx.service.change(delete).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn it_goes_once() {
        let bed = Bed::new();
        bed.create_role("worker").await;
        bed.put_policy("worker", "p").await.unwrap();
        bed.delete_policy("worker", "p").await.unwrap();
        let error = refusal(bed.delete_policy("worker", "p").await);
        assert_eq!(error, ("NoSuchEntity".to_owned(), "The role policy with name p cannot be found.".to_owned()));
    }
}
