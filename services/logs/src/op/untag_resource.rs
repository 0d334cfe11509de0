//! UntagResource: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_UntagResource.html>

use super::tag_resource::as_resource;
use crate::api::{UntagResource, UntagResourceRequest, UntagResourceResponse};
use crate::error::LogsError;
use crate::rules::identifier;
use crate::{Logs, catalog};
use gust_kit::{Cx, Operation};

impl Operation for UntagResource {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: UntagResourceRequest) -> Result<UntagResourceResponse, LogsError> {
        let name = identifier::by_arn(&cx.call, &input.resource_arn)?;
        let updated = catalog::update_group(cx.store(), &name, move |group| {
            group.tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        });
        updated.await.map_err(as_resource)?;
        Ok(UntagResourceResponse {})
    }
}

// Tested with TagResource.
