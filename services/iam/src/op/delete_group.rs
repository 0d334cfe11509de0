//! Removes a group that has no users and policies any more.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteGroup.html>
//! Deviations: none. Errors: NoSuchEntity, DeleteConflict.

use super::create_group::GROUPS;
use crate::Iam;
use crate::api::{DeleteGroup, DeleteGroupRequest};
use crate::error::IamError;
use crate::family::{change, inline, list};
use crate::model::{GroupRecord, Named, UserRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for DeleteGroup {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteGroupRequest) -> Result<Self::Output, IamError> {
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let group = GroupRecord::find(tx, account, &input.group_name)?;
            let users: Vec<UserRecord> = list::all(tx, account)?;
            if users.iter().any(|user| user.belongs_to(group.name())) {
                return Err(IamError::StillHas("remove users from group"));
            }
            inline::check_none(tx, account, &group)?;
            GROUPS.give_back(tx, account)?;
            Ok(tx.delete(GroupRecord::key(account, group.name()))?)
        };
        change(cx, delete).await?;
        Ok(Self::Output::default())
    }
}
