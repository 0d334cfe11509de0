//! DeleteRetentionPolicy:
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteRetentionPolicy.html>

use crate::api::{DeleteRetentionPolicy, DeleteRetentionPolicyRequest, DeleteRetentionPolicyResponse};
use crate::error::LogsError;
use crate::rules::identifier;
use crate::{Logs, catalog};
use gust_kit::{Cx, Operation};

impl Operation for DeleteRetentionPolicy {
    type Service = Logs;
    type Error = LogsError;

    async fn run(
        cx: &Cx<Logs>,
        input: DeleteRetentionPolicyRequest,
    ) -> Result<DeleteRetentionPolicyResponse, LogsError> {
        let name = identifier::by_name(&cx.call, &input.log_group_name);
        catalog::update_group(cx.store(), &name, |group| {
            group.retention_days = None;
            Ok(())
        })
        .await?;
        Ok(DeleteRetentionPolicyResponse {})
    }
}

// Tested with PutRetentionPolicy.
