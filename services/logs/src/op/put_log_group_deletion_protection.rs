//! PutLogGroupDeletionProtection:
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogGroupDeletionProtection.html>

use crate::api::{
    PutLogGroupDeletionProtection, PutLogGroupDeletionProtectionRequest, PutLogGroupDeletionProtectionResponse,
};
use crate::error::LogsError;
use crate::rules::identifier;
use crate::{Logs, catalog};
use gust_kit::{Cx, Operation};

impl Operation for PutLogGroupDeletionProtection {
    type Service = Logs;
    type Error = LogsError;

    async fn run(
        cx: &Cx<Logs>,
        input: PutLogGroupDeletionProtectionRequest,
    ) -> Result<PutLogGroupDeletionProtectionResponse, LogsError> {
        let name = identifier::by_identifier(&cx.call, &input.log_group_identifier)?;
        let enabled = input.deletion_protection_enabled;
        catalog::update_group(cx.store(), &name, move |group| {
            group.deletion_protected = enabled;
            Ok(())
        })
        .await?;
        Ok(PutLogGroupDeletionProtectionResponse {})
    }
}

// Tested with DeleteLogGroup.
