//! Adds tags to a function, or changes their values.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html>
//! Deviations: only functions have tags; LastModified does not change (inferred), RevisionId does (recorded).
//! Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::api::{TagResource, TagResourceRequest, TagResourceResponse};
use crate::error::{LambdaError, ParameterError};
use crate::rules::tags;
use crate::{Lambda, keys, lifecycle};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for TagResource {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: TagResourceRequest) -> Result<TagResourceResponse, LambdaError> {
        let id = tags::resolve(&input.resource, &cx.call, "TagResource")?;
        let added = input.tags;
        if added.is_empty() {
            return Err(ParameterError::NoTags.into());
        }
        let revision_id = cx.platform().uuid();
        let tagged = move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
            let mut record = lifecycle::stored(tx, &id)?;
            record.tags.extend(added.clone());
            tags::check(&record.tags)?;
            record.revision_id.clone_from(&revision_id);
            Ok(tx.put(keys::function(&id), keys::encode(&record))?)
        };
        cx.store().transact(tagged).await?;
        Ok(TagResourceResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, function_id};
    use std::collections::BTreeMap;

    fn request(resource: &str, tags: &[(&str, &str)]) -> TagResourceRequest {
        let tags = tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        TagResourceRequest { resource: format!("arn:aws:lambda:us-east-1:000000000000:function:{resource}"), tags }
    }

    #[tokio::test]
    async fn tags_are_added_and_replaced() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.run::<TagResource>(request("a", &[("x", "1"), ("y", "2")])).await.unwrap();
        bed.run::<TagResource>(request("a", &[("y", "3")])).await.unwrap();
        let record = bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap();
        let expected: BTreeMap<_, _> = [("x".to_owned(), "1".to_owned()), ("y".to_owned(), "3".to_owned())].into();
        assert_eq!(record.tags, expected);
    }

    #[tokio::test]
    async fn fifty_in_all_are_the_most() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let many: Vec<String> = (0..50).map(|n| format!("k{n}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
        bed.run::<TagResource>(request("a", &many)).await.unwrap();
        bed.run::<TagResource>(request("a", &[("k0", "again")])).await.unwrap();
        assert_eq!(
            bed.refusal::<TagResource>(request("a", &[("one", "more")])).await,
            "Number of tags exceeds resource tag limit."
        );
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        assert_eq!(
            bed.refusal::<TagResource>(request("a", &[])).await,
            "An error occurred and the request cannot be processed."
        );
        assert!(bed.refusal::<TagResource>(request("b", &[("x", "")])).await.starts_with("Function not found: "));
        assert!(bed.refusal::<TagResource>(request("a:1", &[("x", "")])).await.starts_with("Tags on function aliases"));
        assert!(bed.refusal::<TagResource>(request("a", &[("aws:x", "")])).await.contains("aws:x"));
    }
}
