//! Changes some of what PutFunctionEventInvokeConfig has set.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionEventInvokeConfig.html>
//! Deviations and errors: those of PutFunctionEventInvokeConfig.

use crate::Lambda;
use crate::api::{FunctionEventInvokeConfig, UpdateFunctionEventInvokeConfig, UpdateFunctionEventInvokeConfigRequest};
use crate::error::LambdaError;
use crate::event_configs::{Mode, Settings, store};
use crate::rules::name;
use gust_kit::{Cx, Operation};

impl Operation for UpdateFunctionEventInvokeConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: UpdateFunctionEventInvokeConfigRequest,
    ) -> Result<FunctionEventInvokeConfig, LambdaError> {
        let action = "UpdateFunctionEventInvokeConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let settings = Settings {
            retries_max: input.maximum_retry_attempts,
            age_max_s: input.maximum_event_age_in_seconds,
            destinations: input.destination_config,
        };
        store(cx, reference.id, reference.qualifier, settings, Mode::Change).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PutFunctionEventInvokeConfig, PutFunctionEventInvokeConfigRequest};
    use crate::tests::Bed;

    #[tokio::test]
    async fn what_is_not_named_stays() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let update = || UpdateFunctionEventInvokeConfigRequest {
            function_name: "a".into(),
            maximum_event_age_in_seconds: Some(90),
            ..Default::default()
        };
        let none =
            "The function arn:aws:lambda:us-east-1:000000000000:function:a:$LATEST doesn't have an EventInvokeConfig";
        assert_eq!(bed.refusal::<UpdateFunctionEventInvokeConfig>(update()).await, none);
        let put = PutFunctionEventInvokeConfigRequest {
            function_name: "a".into(),
            maximum_retry_attempts: Some(0),
            ..Default::default()
        };
        bed.run::<PutFunctionEventInvokeConfig>(put).await.unwrap();
        let updated = bed.run::<UpdateFunctionEventInvokeConfig>(update()).await.unwrap();
        assert_eq!((updated.maximum_retry_attempts, updated.maximum_event_age_in_seconds), (Some(0), Some(90)));
        let nothing = UpdateFunctionEventInvokeConfigRequest { maximum_event_age_in_seconds: None, ..update() };
        assert!(bed.refusal::<UpdateFunctionEventInvokeConfig>(nothing).await.starts_with("You must specify"));
        let missing = UpdateFunctionEventInvokeConfigRequest { function_name: "b".into(), ..update() };
        assert_eq!(bed.refusal::<UpdateFunctionEventInvokeConfig>(missing).await, "The function doesn't exist.");
    }
}
