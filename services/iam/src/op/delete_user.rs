//! Removes a user that has no keys, policies and groups any more.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html>
//! Deviations: none. Errors: NoSuchEntity, DeleteConflict.

use super::create_user::USERS;
use crate::Iam;
use crate::api::{DeleteUser, DeleteUserRequest};
use crate::error::IamError;
use crate::family::{change, inline};
use crate::model::{Named, UserRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for DeleteUser {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteUserRequest) -> Result<Self::Output, IamError> {
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let user = UserRecord::find(tx, account, &input.user_name)?;
            if !user.groups.is_empty() {
                return Err(IamError::StillHas("remove users from group"));
            }
            if !user.access_keys.is_empty() {
                return Err(IamError::StillHas("delete access keys"));
            }
            inline::check_none(tx, account, &user)?;
            USERS.give_back(tx, account)?;
            Ok(tx.delete(UserRecord::key(account, user.name()))?)
        };
        change(cx, delete).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn everything_of_it_goes_first() {
        let bed = Bed::new();
        bed.create_user("ann").await;
        bed.create_group("staff").await;
        bed.join("ann", "staff").await.unwrap();
        let key = bed.create_key("ann").await.unwrap();
        let conflict = async || refusal(bed.delete_user("ann").await);
        let message = "Cannot delete entity, must remove users from group first.";
        assert_eq!(conflict().await, ("DeleteConflict".to_owned(), message.to_owned()));
        assert_eq!(refusal(bed.delete_group("staff").await).1, message);
        let leave = RemoveUserFromGroupRequest { group_name: "staff".to_owned(), user_name: "ann".to_owned() };
        bed.run::<RemoveUserFromGroup>(leave).await.unwrap();
        assert_eq!(conflict().await.1, "Cannot delete entity, must delete access keys first.");
        let delete = DeleteAccessKeyRequest { user_name: Some("ann".to_owned()), access_key_id: key.access_key_id };
        bed.run::<DeleteAccessKey>(delete).await.unwrap();
        bed.delete_user("ann").await.unwrap();
        assert_eq!(refusal(bed.delete_user("ann").await).0, "NoSuchEntity");
        bed.delete_group("staff").await.unwrap();
    }
}
