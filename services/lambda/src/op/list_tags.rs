//! Shows a function's tags.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListTags.html>
//! Deviations: only functions have tags. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{ListTags, ListTagsRequest, ListTagsResponse};
use crate::error::LambdaError;
use crate::rules::tags;
use gust_kit::{Cx, Operation};

impl Operation for ListTags {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: ListTagsRequest) -> Result<ListTagsResponse, LambdaError> {
        let id = tags::resolve(&input.resource, &cx.call, "ListTags")?;
        let record =
            cx.service.catalog.read(&id).await?.ok_or_else(|| LambdaError::FunctionNotFound { arn: id.arn() })?;
        Ok(ListTagsResponse { tags: Some(record.tags) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, create_request};

    #[tokio::test]
    async fn tags_are_shown_even_if_there_are_none() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let mut input = create_request("b");
        input.tags = Some([("x".to_owned(), "1".to_owned())].into());
        bed.run::<crate::api::CreateFunction>(input).await.unwrap();
        let request =
            |name: &str| ListTagsRequest { resource: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}") };
        assert!(bed.run::<ListTags>(request("a")).await.unwrap().tags.unwrap().is_empty());
        assert_eq!(bed.run::<ListTags>(request("b")).await.unwrap().tags.unwrap()["x"], "1");
        assert!(bed.refusal::<ListTags>(request("c")).await.starts_with("Function not found: "));
    }
}
