//! Gives a user another name or path. Groups, policies and keys stay.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateUser.html>
//! Deviations: none. Errors: NoSuchEntity, EntityAlreadyExists.

use crate::Iam;
use crate::api::{UpdateUser, UpdateUserRequest};
use crate::error::IamError;
use crate::family::{change, rename::rename};
use crate::model::{Holder, Named, UserRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for UpdateUser {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UpdateUserRequest) -> Result<Self::Output, IamError> {
        let keys = cx.service.keys.clone();
        let update = move |tx: &mut dyn Tx, account: &AccountId| {
            let user = UserRecord::find(tx, account, &input.user_name)?;
            let renamed = rename(tx, account, &user, input.new_user_name.as_deref(), input.new_path.as_deref())?;
            let arn = renamed.arn(account);
            for key in &renamed.access_keys {
                keys.rename(tx, &key.id, &arn)?;
            }
            Ok(())
        };
        change(cx, update).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, POLICY, refusal};

    #[tokio::test]
    async fn policies_and_groups_come_along() {
        let bed = Bed::new();
        let ann = bed.create_user("ann").await;
        bed.create_user("eve").await;
        bed.create_group("staff").await;
        bed.join("ann", "staff").await.unwrap();
        let put = PutUserPolicyRequest {
            user_name: "ann".to_owned(),
            policy_name: "p".to_owned(),
            policy_document: POLICY.to_owned(),
        };
        bed.run::<PutUserPolicy>(put).await.unwrap();
        let request = |to: &str| UpdateUserRequest {
            user_name: "ann".to_owned(),
            new_user_name: Some(to.to_owned()),
            new_path: Some("/x/".to_owned()),
        };
        assert_eq!(refusal(bed.run::<UpdateUser>(request("Eve")).await).0, "EntityAlreadyExists");
        // Another case only.
        bed.run::<UpdateUser>(request("Ann")).await.unwrap();
        bed.run::<UpdateUser>(request("anna")).await.unwrap();
        let get = |name: &str| GetUserRequest { user_name: Some(name.to_owned()) };
        assert_eq!(refusal(bed.run::<GetUser>(get("ann")).await).0, "NoSuchEntity");
        let anna = bed.run::<GetUser>(get("anna")).await.unwrap().user;
        assert_eq!((anna.arn.as_str(), anna.user_id), ("arn:aws:iam::000000000000:user/x/anna", ann.user_id));
        let list = ListUserPoliciesRequest { user_name: "anna".to_owned(), ..Default::default() };
        assert_eq!(bed.run::<ListUserPolicies>(list).await.unwrap().policy_names, ["p"]);
        let group = GetGroupRequest { group_name: "staff".to_owned(), ..Default::default() };
        assert_eq!(bed.run::<GetGroup>(group).await.unwrap().users[0].user_name, "anna");
    }
}
