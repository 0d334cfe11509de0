//! Says how the deletion of a service's role went.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetServiceLinkedRoleDeletionStatus.html>
//! Deviations: only the last deletion of each role is known. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{
    DeletionTaskStatusType, GetServiceLinkedRoleDeletionStatus, GetServiceLinkedRoleDeletionStatusRequest,
    GetServiceLinkedRoleDeletionStatusResponse,
};
use crate::error::IamError;
use crate::family::look;
use crate::keys;
use crate::model::DeletionRecord;
use gust_kit::{Cx, Operation};
use gust_store::{Read, Record};
use gust_types::AccountId;

impl Operation for GetServiceLinkedRoleDeletionStatus {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: GetServiceLinkedRoleDeletionStatusRequest,
    ) -> Result<GetServiceLinkedRoleDeletionStatusResponse, IamError> {
        let find = move |read: &mut dyn Read, account: &AccountId| {
            let task_id = input.deletion_task_id;
            let role = task_id.rsplit('/').nth(1).unwrap_or_default();
            let deletion = DeletionRecord::load(read, &keys::deletion(account, role))?;
            let is_known = deletion.is_some_and(|deletion| deletion.task_id == task_id);
            if is_known { Ok(()) } else { Err(IamError::DeletionNotFound(task_id)) }
        };
        look(cx, find).await?;
        // A deletion is done before its id is known.
        Ok(GetServiceLinkedRoleDeletionStatusResponse { status: DeletionTaskStatusType::Succeeded, reason: None })
    }
}
