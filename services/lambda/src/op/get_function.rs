//! Shows a function, where its code can be downloaded, and its tags.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>
//! Deviations: the link in `Code.Location` leads to gust.
//! Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{Concurrency, FunctionCodeLocation, GetFunction, GetFunctionRequest, GetFunctionResponse};
use crate::error::LambdaError;
use crate::model::Version;
use crate::op;
use crate::output::{View, configuration};
use crate::rules::name::FunctionReference;
use gust_kit::{Cx, Operation};

impl Operation for GetFunction {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: GetFunctionRequest) -> Result<GetFunctionResponse, LambdaError> {
        let (reference, found) = op::read(cx, &input.function_name, input.qualifier.as_deref(), "GetFunction").await?;
        let FunctionReference { id, qualifier } = reference;
        let location = cx.service.links.link(&cx.call.origin, &found.record.package.sha256, cx.now_ms());
        let reservation = cx.service.reservation(&id).await?;
        let tags = match found.version {
            Version::Latest => Some(found.record.tags.clone()),
            // Tags are the function's, whatever version is looked at.
            Version::Number(_) => cx.service.catalog.read(&id).await?.map(|latest| latest.tags),
        };
        Ok(GetFunctionResponse {
            configuration: Some(configuration(&id, found.version, &found.record, qualifier.as_ref(), View::Full)),
            concurrency: reservation
                .map(|it| Concurrency { reserved_concurrent_executions: i32::try_from(it.executions).ok() }),
            code: Some(FunctionCodeLocation {
                repository_type: Some("S3".to_owned()),
                location: Some(location),
                ..Default::default()
            }),
            tags: tags.filter(|tags| !tags.is_empty()),
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, create_request};

    fn request(name: &str, qualifier: Option<&str>) -> GetFunctionRequest {
        GetFunctionRequest { function_name: name.into(), qualifier: qualifier.map(str::to_owned) }
    }

    #[tokio::test]
    async fn its_code_can_be_downloaded_for_ten_minutes() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let shown = bed.run::<GetFunction>(request("a", None)).await.unwrap();
        assert_eq!((shown.tags, shown.concurrency, shown.tags_error), (None, None, None));
        let code = shown.code.unwrap();
        assert_eq!(code.repository_type.as_deref(), Some("S3"));
        let link = code.location.unwrap();
        let path = link.strip_prefix("http://127.0.0.1:4566").unwrap();
        assert!(path.starts_with(crate::LINK_PATH));
        assert_eq!(bed.lambda.download(path).await, create_request("a").code.zip_file);
        assert_eq!(bed.lambda.download(&format!("{path}0")).await, None);
        let again = bed.restarted().await;
        assert!(again.lambda.download(path).await.is_some(), "the key is kept");
        bed.clock.advance_ms(600_000);
        assert_eq!(bed.lambda.download(path).await, None);
    }

    #[tokio::test]
    async fn tags_are_shown_if_there_are_any() {
        let bed = Bed::new().await;
        let mut input = create_request("a");
        input.tags = Some([("team".to_owned(), "x".to_owned())].into());
        bed.run::<crate::api::CreateFunction>(input).await.unwrap();
        let shown = bed.run::<GetFunction>(request("a", None)).await.unwrap();
        assert_eq!(shown.tags.unwrap()["team"], "x");
    }

    #[tokio::test]
    async fn a_qualifier_shows_in_the_arn() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        for (name, qualifier) in [("a", Some("$LATEST")), ("a:$LATEST", None)] {
            let shown = bed.run::<GetFunction>(request(name, qualifier)).await.unwrap().configuration.unwrap();
            assert_eq!(shown.function_arn.as_deref(), Some("arn:aws:lambda:us-east-1:000000000000:function:a:$LATEST"));
            assert_eq!(shown.function_name.as_deref(), Some("a"));
        }
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        for (name, qualifier, arn) in
            [("b", None, "b"), ("a", Some("1"), "a:1"), ("a:PROD", None, "a:PROD"), ("b", Some("$LATEST"), "b:$LATEST")]
        {
            let error = bed.run::<GetFunction>(request(name, qualifier)).await.unwrap_err();
            assert_eq!(
                error.message,
                format!("Function not found: arn:aws:lambda:us-east-1:000000000000:function:{arn}")
            );
            assert_eq!((error.code.as_ref(), error.status), ("ResourceNotFoundException", 404));
        }
        let refusal = bed.refusal::<GetFunction>(request("a:1", Some("2"))).await;
        assert_eq!(refusal, "The derived qualifier from the function name does not match the specified qualifier.");
    }
}
