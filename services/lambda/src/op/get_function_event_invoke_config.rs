//! Shows how asynchronous invocations of a function, a version or an alias are treated.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionEventInvokeConfig.html>
//! Deviations: none. Errors: ResourceNotFoundException.

use crate::api::{FunctionEventInvokeConfig, GetFunctionEventInvokeConfig, GetFunctionEventInvokeConfigRequest};
use crate::error::LambdaError;
use crate::event_configs::{missing, shown};
use crate::rules::name;
use crate::{Lambda, keys};
use gust_kit::{Cx, Operation};

impl Operation for GetFunctionEventInvokeConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: GetFunctionEventInvokeConfigRequest,
    ) -> Result<FunctionEventInvokeConfig, LambdaError> {
        let action = "GetFunctionEventInvokeConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let (id, qualifier) = (&reference.id, reference.qualifier.as_ref());
        let key = keys::event_config(id, qualifier);
        let bytes = cx.store().read(move |snapshot| snapshot.get(&key)).await?.ok_or_else(|| missing(id, qualifier))?;
        Ok(shown(id, qualifier, &keys::decode(&bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        DeleteFunctionEventInvokeConfig, DeleteFunctionEventInvokeConfigRequest, PutFunctionEventInvokeConfig,
        PutFunctionEventInvokeConfigRequest,
    };
    use crate::tests::Bed;

    #[tokio::test]
    async fn it_is_shown_until_it_is_deleted() {
        let bed = Bed::new().await;
        let get = |qualifier: Option<&str>| GetFunctionEventInvokeConfigRequest {
            function_name: "a".into(),
            qualifier: qualifier.map(str::to_owned),
        };
        let delete = |qualifier: Option<&str>| DeleteFunctionEventInvokeConfigRequest {
            function_name: "a".into(),
            qualifier: qualifier.map(str::to_owned),
        };
        let none = |qualifier: &str| {
            format!(
                "The function arn:aws:lambda:us-east-1:000000000000:function:a:{qualifier} doesn't have an EventInvokeConfig"
            )
        };
        assert_eq!(bed.refusal::<GetFunctionEventInvokeConfig>(get(None)).await, none("$LATEST"));
        bed.create_active("a").await;
        assert_eq!(bed.refusal::<GetFunctionEventInvokeConfig>(get(Some("PROD"))).await, none("PROD"));
        assert_eq!(bed.refusal::<DeleteFunctionEventInvokeConfig>(delete(Some("1"))).await, none("1"));
        let put = PutFunctionEventInvokeConfigRequest {
            function_name: "a".into(),
            maximum_retry_attempts: Some(2),
            ..Default::default()
        };
        let put = bed.run::<PutFunctionEventInvokeConfig>(put).await.unwrap();
        for qualifier in [None, Some("$LATEST")] {
            assert_eq!(bed.run::<GetFunctionEventInvokeConfig>(get(qualifier)).await.unwrap(), put);
        }
        bed.run::<DeleteFunctionEventInvokeConfig>(delete(None)).await.unwrap();
        assert_eq!(bed.refusal::<GetFunctionEventInvokeConfig>(get(None)).await, none("$LATEST"));
        assert_eq!(bed.refusal::<DeleteFunctionEventInvokeConfig>(delete(None)).await, none("$LATEST"));
    }
}
