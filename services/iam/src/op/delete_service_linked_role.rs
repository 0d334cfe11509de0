//! Removes the role of one of AWS's services, at once.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteServiceLinkedRole.html>
//! Deviations: no service of gust's uses these roles, so that nothing can stand against it. Errors: NoSuchEntity,
//! LimitExceeded.

use super::create_role::ROLES;
use crate::Iam;
use crate::api::{DeleteServiceLinkedRole, DeleteServiceLinkedRoleRequest, DeleteServiceLinkedRoleResponse};
use crate::error::IamError;
use crate::family::change;
use crate::keys;
use crate::model::{DeletionRecord, Named, RoleRecord};
use gust_kit::{Cx, Operation};
use gust_store::{Record, Tx};
use gust_types::AccountId;

impl Operation for DeleteServiceLinkedRole {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: DeleteServiceLinkedRoleRequest,
    ) -> Result<DeleteServiceLinkedRoleResponse, IamError> {
        let uuid = cx.platform().uuid();
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let role = RoleRecord::find(tx, account, &input.role_name)?;
            if !role.is_service_linked() {
                return Err(RoleRecord::missing(&input.role_name));
            }
            ROLES.give_back(tx, account)?;
            tx.delete(RoleRecord::key(account, role.name()))?;
            let task_id = format!("task{}{}/{uuid}", role.path(), role.name());
            DeletionRecord { task_id: task_id.clone() }.save(tx, keys::deletion(account, role.name()))?;
            Ok(task_id)
        };
        Ok(DeleteServiceLinkedRoleResponse { deletion_task_id: change(cx, delete).await? })
    }
}
