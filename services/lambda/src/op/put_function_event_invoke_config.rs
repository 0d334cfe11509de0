//! Sets how asynchronous invocations are retried and where their records go, in the place of what was set before.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html>
//! Deviations: functions are destinations; the other kinds are refused by their names until gust has them. Errors: ResourceNotFoundException, InvalidParameterValueException.

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
    async fn kinds_that_do_not_exist_yet_are_refused_by_their_names() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        for (arn, kind) in [
            ("arn:aws:sqs:us-east-1:000000000000:q", "SQS queues"),
            ("arn:aws:sns:us-east-1:000000000000:t", "SNS topics"),
            ("arn:aws:events:us-east-1:000000000000:event-bus/default", "EventBridge event buses"),
        ] {
            let request = PutFunctionEventInvokeConfigRequest { destination_config: on_success(arn), ..request() };
            let expected =
                format!("gust does not support DestinationConfig.OnSuccess.Destination: {kind} do not exist yet.");
            assert_eq!(bed.refusal::<PutFunctionEventInvokeConfig>(request).await, expected);
        }
    }

    #[tokio::test]
    async fn a_destination_needs_what_its_target_asks_for() {
        use crate::tests::{Answer, TakingTarget};
        use gust_kit::ports::TargetKind;
        let target = TakingTarget::new(Answer::NotAllowed);
        let bed = Bed::with_target(TargetKind::Queue, target.clone()).await;
        bed.create_active("a").await;
        let arn = "arn:aws:sqs:us-east-1:000000000000:q";
        let put = || PutFunctionEventInvokeConfigRequest { destination_config: on_success(arn), ..request() };
        assert_eq!(
            bed.refusal::<PutFunctionEventInvokeConfig>(put()).await,
            format!("The function's execution role does not have permissions to call SendMessage on {arn}")
        );
        target.answer(Answer::Missing);
        let missing = bed.refusal::<PutFunctionEventInvokeConfig>(put()).await;
        assert_eq!(missing, format!("The destination ARN {arn} is invalid."));
        target.answer(Answer::Fine);
        bed.run::<PutFunctionEventInvokeConfig>(put()).await.unwrap();
        assert_eq!(target.asked().last().unwrap().1.role_arn, "arn:aws:iam::000000000000:role/r");
    }

    #[tokio::test]
    async fn settings_hold_from_the_next_attempt_on() {
        use gust_kit::ports::{EventSettings, FunctionCatalog};
        let bed = Bed::new().await;
        for name in ["a", "b"] {
            bed.create_active(name).await;
        }
        bed.publish("a").await;
        let settings = async |qualifier: Option<&str>| {
            let (account, region) = (bed.call.account(), &bed.call.region);
            bed.lambda.catalog().event_settings(account, region, "a", qualifier).await.unwrap()
        };
        assert_eq!(*settings(None).await, EventSettings::default());
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:b";
        let latest = PutFunctionEventInvokeConfigRequest {
            maximum_event_age_in_seconds: Some(60),
            destination_config: on_success(arn),
            ..request()
        };
        bed.run::<PutFunctionEventInvokeConfig>(latest).await.unwrap();
        let set = EventSettings {
            retries_max: Some(1),
            age_ms_max: Some(60_000),
            on_success: Some(arn.to_owned()),
            on_failure: None,
        };
        assert_eq!(*settings(None).await, set);
        assert_eq!(settings(Some("$LATEST")).await, settings(None).await);
        assert_eq!(*settings(Some("1")).await, EventSettings::default(), "each qualifier has its own");
        let delete = crate::api::DeleteFunctionEventInvokeConfigRequest { function_name: "a".into(), qualifier: None };
        bed.run::<crate::api::DeleteFunctionEventInvokeConfig>(delete).await.unwrap();
        assert_eq!(*settings(None).await, EventSettings::default());
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
