//! TagResource: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagResource.html>

use crate::api::{TagResource, TagResourceRequest, TagResourceResponse};
use crate::error::LogsError;
use crate::limits::TAGS_MAX;
use crate::rules::identifier;
use crate::{Logs, catalog};
use gust_kit::{Cx, Operation};

impl Operation for TagResource {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: TagResourceRequest) -> Result<TagResourceResponse, LogsError> {
        let name = identifier::by_arn(&cx.call, &input.resource_arn)?;
        let (tags, resource) = (input.tags, name.arn());
        let updated = catalog::update_group(cx.store(), &name, move |group| {
            group.tags.extend(tags.clone());
            if group.tags.len() > TAGS_MAX {
                return Err(LogsError::TooManyTags { resource: resource.clone() });
            }
            Ok(())
        });
        updated.await.map_err(as_resource)?;
        Ok(TagResourceResponse {})
    }
}

/// The tag operations speak of resources.
pub(super) fn as_resource(error: LogsError) -> LogsError {
    match error {
        LogsError::GroupNotFound => LogsError::ResourceNotFound,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;
    use crate::test_support::{Bench, code_and_message};
    use std::collections::BTreeMap;

    const ARN: &str = "arn:aws:logs:us-east-1:000000000000:log-group:g";

    fn request(keys: impl IntoIterator<Item = String>) -> TagResourceRequest {
        TagResourceRequest {
            resource_arn: ARN.to_owned(),
            tags: keys.into_iter().map(|key| (key, "v".to_owned())).collect(),
        }
    }

    async fn tags(bench: &Bench) -> BTreeMap<String, String> {
        let request = api::ListTagsForResourceRequest { resource_arn: ARN.to_owned() };
        bench.run::<api::ListTagsForResource>(request).await.unwrap().tags.unwrap()
    }

    #[tokio::test]
    async fn tags_are_added_listed_and_removed() {
        let bench = Bench::new().await;
        let absent = bench.run::<TagResource>(request(["a".to_owned()])).await;
        assert_eq!(code_and_message(absent).0, "ResourceNotFoundException");
        bench.create_group("g").await;
        bench.run::<TagResource>(request(["a".to_owned(), "b".to_owned()])).await.unwrap();
        let untag =
            api::UntagResourceRequest { resource_arn: ARN.to_owned(), tag_keys: vec!["a".to_owned(), "x".to_owned()] };
        bench.run::<api::UntagResource>(untag).await.unwrap();
        assert_eq!(tags(&bench).await.into_keys().collect::<Vec<_>>(), ["b"]);
    }

    #[tokio::test]
    async fn fifty_tags_are_the_most() {
        let bench = Bench::new().await;
        bench.create_group("g").await;
        bench.run::<TagResource>(request((0..50).map(|n| n.to_string()))).await.unwrap();
        let more = bench.run::<TagResource>(request(["more".to_owned()])).await;
        assert_eq!(code_and_message(more).0, "TooManyTagsException");
        assert_eq!(tags(&bench).await.len(), 50);
    }
}
