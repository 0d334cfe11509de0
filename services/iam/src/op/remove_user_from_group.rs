//! Takes a user out of a group.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveUserFromGroup.html>
//! Deviations: the refusal of a user who does not belong to the group is inferred. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{RemoveUserFromGroup, RemoveUserFromGroupRequest};
use crate::error::IamError;
use crate::family::change;
use crate::model::{GroupRecord, Named, UserRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for RemoveUserFromGroup {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: RemoveUserFromGroupRequest) -> Result<Self::Output, IamError> {
        let remove = move |tx: &mut dyn Tx, account: &AccountId| {
            let group = GroupRecord::find(tx, account, &input.group_name)?;
            let mut user = UserRecord::find(tx, account, &input.user_name)?;
            if !user.belongs_to(group.name()) {
                return Err(UserRecord::missing(&input.user_name));
            }
            user.leave(group.name());
            user.keep(tx, account)
        };
        change(cx, remove).await?;
        Ok(Self::Output::default())
    }
}
