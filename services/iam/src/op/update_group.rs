//! Gives a group another name or path. Its users and policies stay.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateGroup.html>
//! Deviations: none. Errors: NoSuchEntity, EntityAlreadyExists.

use crate::Iam;
use crate::api::{UpdateGroup, UpdateGroupRequest};
use crate::error::IamError;
use crate::family::{change, list, rename::rename};
use crate::model::{GroupRecord, Named, UserRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for UpdateGroup {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UpdateGroupRequest) -> Result<Self::Output, IamError> {
        let update = move |tx: &mut dyn Tx, account: &AccountId| {
            let group = GroupRecord::find(tx, account, &input.group_name)?;
            let renamed = rename(tx, account, &group, input.new_group_name.as_deref(), input.new_path.as_deref())?;
            let mut users: Vec<UserRecord> = list::all(tx, account)?;
            users.retain(|user| user.belongs_to(group.name()));
            for mut user in users {
                user.leave(group.name());
                user.join(renamed.name());
                user.keep(tx, account)?;
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
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn its_users_come_along() {
        let bed = Bed::new();
        bed.create_user("ann").await;
        bed.create_group("staff").await;
        bed.create_group("other").await;
        bed.join("ann", "Staff").await.unwrap();
        let request = |to: &str| UpdateGroupRequest {
            group_name: "staff".to_owned(),
            new_group_name: Some(to.to_owned()),
            new_path: None,
        };
        assert_eq!(refusal(bed.run::<UpdateGroup>(request("OTHER")).await).0, "EntityAlreadyExists");
        bed.run::<UpdateGroup>(request("Crew")).await.unwrap();
        let list = ListGroupsForUserRequest { user_name: "ann".to_owned(), ..Default::default() };
        let groups = bed.run::<ListGroupsForUser>(list).await.unwrap().groups;
        assert_eq!((groups.len(), groups[0].group_name.as_str()), (1, "Crew"));
        assert_eq!(refusal(bed.run::<UpdateGroup>(request("x")).await).1, "The group with name staff cannot be found.");
    }
}
