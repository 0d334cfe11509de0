//! Sets how asynchronous invocations are retried and where their records go, in the place of what was set before.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html>
//! Deviations: it is kept and shown; the queue does not act on it yet. A destination other than a function is not
//! looked for. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{FunctionEventInvokeConfig, PutFunctionEventInvokeConfig, PutFunctionEventInvokeConfigRequest};
use crate::error::LambdaError;
use crate::event_configs::{Mode, Settings, store};
use crate::rules::name;
use gust_kit::{Cx, Operation};

impl Operation for PutFunctionEventInvokeConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: PutFunctionEventInvokeConfigRequest,
    ) -> Result<FunctionEventInvokeConfig, LambdaError> {
        let action = "PutFunctionEventInvokeConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let settings = Settings {
            retries_max: input.maximum_retry_attempts,
            age_max_s: input.maximum_event_age_in_seconds,
            destinations: input.destination_config,
        };
        store(cx, reference.id, reference.qualifier, settings, Mode::Overwrite).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DestinationConfig, OnFailure, OnSuccess};
    use crate::tests::Bed;

    fn request() -> PutFunctionEventInvokeConfigRequest {
        PutFunctionEventInvokeConfigRequest {
            function_name: "a".into(),
            maximum_retry_attempts: Some(1),
            ..Default::default()
        }
    }

    fn on_success(arn: &str) -> Option<DestinationConfig> {
        Some(DestinationConfig { on_success: Some(OnSuccess { destination: Some(arn.to_owned()) }), on_failure: None })
    }

    #[tokio::test]
    async fn a_put_overwrites_what_was_there() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let put = async |input| bed.run::<PutFunctionEventInvokeConfig>(input).await.unwrap();
        let first = PutFunctionEventInvokeConfigRequest { maximum_event_age_in_seconds: Some(60), ..request() };
        let nothing =
            DestinationConfig { on_success: Some(OnSuccess::default()), on_failure: Some(OnFailure::default()) };
        let expected = FunctionEventInvokeConfig {
            last_modified: Some(1_795_435_200_000),
            function_arn: Some("arn:aws:lambda:us-east-1:000000000000:function:a:$LATEST".into()),
            maximum_retry_attempts: Some(1),
            maximum_event_age_in_seconds: Some(60),
            destination_config: Some(nothing.clone()),
        };
        assert_eq!(put(first).await, expected);
        bed.clock.advance_ms(1_000);
        let second = PutFunctionEventInvokeConfigRequest { qualifier: Some("$LATEST".into()), ..request() };
        let expected = FunctionEventInvokeConfig {
            last_modified: Some(1_795_435_201_000),
            maximum_event_age_in_seconds: None,
            ..expected
        };
        assert_eq!(put(second).await, expected);
    }

    #[tokio::test]
    async fn destinations_are_checked() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let with = |arn: &str| PutFunctionEventInvokeConfigRequest { destination_config: on_success(arn), ..request() };
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:b";
        assert_eq!(
            bed.refusal::<PutFunctionEventInvokeConfig>(with(arn)).await,
            format!("The destination ARN {arn} is invalid.")
        );
        bed.create_active("b").await;
        let put = bed.run::<PutFunctionEventInvokeConfig>(with(arn)).await.unwrap();
        assert_eq!(put.destination_config.unwrap().on_success.unwrap().destination.as_deref(), Some(arn));
        let own = arn.replace(":b", ":a");
        assert!(
            bed.refusal::<PutFunctionEventInvokeConfig>(with(&own)).await.starts_with("You can't specify the function")
        );
        let iam = "arn:aws:iam::000000000000:role/r";
        assert!(
            bed.refusal::<PutFunctionEventInvokeConfig>(with(iam)).await.starts_with("The provided destination config")
        );
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        assert_eq!(bed.refusal::<PutFunctionEventInvokeConfig>(request()).await, "The function doesn't exist.");
        bed.create_active("a").await;
        let nothing = PutFunctionEventInvokeConfigRequest { maximum_retry_attempts: None, ..request() };
        let expected = "You must specify at least one of error handling or destination setting.";
        assert_eq!(bed.refusal::<PutFunctionEventInvokeConfig>(nothing).await, expected);
        let alias = PutFunctionEventInvokeConfigRequest { qualifier: Some("PROD".into()), ..request() };
        let error = bed.run::<PutFunctionEventInvokeConfig>(alias).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("ResourceNotFoundException", 404));
    }
}
