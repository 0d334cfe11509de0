//! ListTagsForResource:
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_ListTagsForResource.html>

use super::tag_resource::as_resource;
use crate::api::{ListTagsForResource, ListTagsForResourceRequest, ListTagsForResourceResponse};
use crate::error::LogsError;
use crate::rules::identifier;
use crate::{Logs, catalog};
use gust_kit::{Cx, Operation};

impl Operation for ListTagsForResource {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: ListTagsForResourceRequest) -> Result<ListTagsForResourceResponse, LogsError> {
        let name = identifier::by_arn(&cx.call, &input.resource_arn)?;
        let group = catalog::find_group(cx.store(), &name).await.map_err(as_resource)?;
        Ok(ListTagsForResourceResponse { tags: Some(group.tags) })
    }
}

// Tested with TagResource.
