//! Removes tags from a function; keys that it does not have are no error.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_UntagResource.html>
//! Deviations: as for TagResource. Errors: ResourceNotFoundException, InvalidParameterValueException, ValidationException.

use crate::api::{UntagResource, UntagResourceRequest, UntagResourceResponse};
use crate::error::{LambdaError, ValidationError};
use crate::rules::tags;
use crate::{Lambda, keys, lifecycle};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for UntagResource {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: UntagResourceRequest) -> Result<UntagResourceResponse, LambdaError> {
        let id = tags::resolve(&input.resource, &cx.call, "UntagResource")?;
        let removed = input.tag_keys;
        if removed.is_empty() {
            return Err(ValidationError::NoTagKeys.into());
        }
        let revision_id = cx.platform().uuid();
        let untagged = move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
            let mut record = lifecycle::stored(tx, &id)?;
            record.tags.retain(|key, _| !removed.contains(key));
            record.revision_id.clone_from(&revision_id);
            Ok(tx.put(keys::function(&id), keys::encode(&record))?)
        };
        cx.store().transact(untagged).await?;
        Ok(UntagResourceResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, create_request, function_id};

    #[tokio::test]
    async fn named_tags_go_and_others_stay() {
        let bed = Bed::new().await;
        let mut input = create_request("a");
        input.tags = Some([("x".to_owned(), "1".to_owned()), ("y".to_owned(), "2".to_owned())].into());
        bed.run::<crate::api::CreateFunction>(input).await.unwrap();
        let request = |name: &str, keys: &[&str]| UntagResourceRequest {
            resource: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}"),
            tag_keys: keys.iter().map(|key| key.to_string()).collect(),
        };
        bed.run::<UntagResource>(request("a", &["x", "absent"])).await.unwrap();
        let record = bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap();
        assert_eq!(record.tags.into_keys().collect::<Vec<_>>(), ["y"]);
        assert!(bed.refusal::<UntagResource>(request("a", &[])).await.contains("'tagKeys'"));
        assert!(bed.refusal::<UntagResource>(request("b", &["x"])).await.starts_with("Function not found: "));
    }
}
