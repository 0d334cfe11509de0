//! Takes a user into a group; once more changes nothing.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddUserToGroup.html>
//! Deviations: none. Errors: NoSuchEntity, LimitExceeded.

use crate::Iam;
use crate::api::{AddUserToGroup, AddUserToGroupRequest};
use crate::error::IamError;
use crate::family::change;
use crate::limits::GROUPS_OF_USER_MAX;
use crate::model::{GroupRecord, Named, UserRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for AddUserToGroup {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: AddUserToGroupRequest) -> Result<Self::Output, IamError> {
        let add = move |tx: &mut dyn Tx, account: &AccountId| {
            let group = GroupRecord::find(tx, account, &input.group_name)?;
            let mut user = UserRecord::find(tx, account, &input.user_name)?;
            if user.belongs_to(group.name()) {
                return Ok(());
            }
            if user.groups.len() >= GROUPS_OF_USER_MAX {
                return Err(IamError::Quota { quota: "GroupsPerUser", max: GROUPS_OF_USER_MAX });
            }
            user.join(group.name());
            user.keep(tx, account)
        };
        change(cx, add).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn a_user_is_in_ten_groups_at_most() {
        let bed = Bed::new();
        bed.create_user("ann").await;
        for number in 0..=GROUPS_OF_USER_MAX {
            bed.create_group(&format!("g{number}")).await;
        }
        for number in 0..GROUPS_OF_USER_MAX {
            bed.join("ann", &format!("g{number}")).await.unwrap();
        }
        bed.join("ann", "G1").await.unwrap();
        let error = refusal(bed.join("ann", "g10").await);
        assert_eq!(error, ("LimitExceeded".to_owned(), "Cannot exceed quota for GroupsPerUser: 10".to_owned()));
        assert_eq!(refusal(bed.join("ann", "none").await).1, "The group with name none cannot be found.");
        assert_eq!(refusal(bed.join("none", "g1").await).1, "The user with name none cannot be found.");
    }
}
