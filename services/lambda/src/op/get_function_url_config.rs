//! Shows the URL of a function or an alias.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionUrlConfig.html>
//! Deviations: those of CreateFunctionUrlConfig. Errors: ResourceNotFoundException.

use crate::api::{
    FunctionUrlAuthType, FunctionUrlConfig, GetFunctionUrlConfig, GetFunctionUrlConfigRequest,
    GetFunctionUrlConfigResponse, InvokeMode,
};
use crate::attached::UrlRecord;
use crate::error::{AttachedError, LambdaError};
use crate::model::{FunctionId, Qualifier};
use crate::rules::{name, url};
use crate::{Lambda, keys};
use gust_kit::{Cx, Operation};

impl Operation for GetFunctionUrlConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: GetFunctionUrlConfigRequest,
    ) -> Result<GetFunctionUrlConfigResponse, LambdaError> {
        let action = "GetFunctionUrlConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let key = keys::url(&reference.id, reference.qualifier.as_ref());
        let bytes = cx.store().read(move |snapshot| snapshot.get(&key)).await?.ok_or(AttachedError::NoResource)?;
        let record: UrlRecord = keys::decode(&bytes)?;
        let config = shown(&reference.id, reference.qualifier.as_ref(), &record, &cx.call.origin);
        Ok(GetFunctionUrlConfigResponse {
            function_url: config.function_url,
            function_arn: config.function_arn,
            auth_type: config.auth_type,
            cors: config.cors,
            creation_time: config.creation_time,
            last_modified_time: config.last_modified_time,
            invoke_mode: config.invoke_mode,
        })
    }
}

/// A URL as clients see it who reached gust at `origin`.
pub(super) fn shown(
    id: &FunctionId,
    qualifier: Option<&Qualifier>,
    record: &UrlRecord,
    origin: &str,
) -> FunctionUrlConfig {
    FunctionUrlConfig {
        function_url: url::url(&record.url_id, &id.region, origin),
        function_arn: id.qualified_arn(qualifier),
        creation_time: url::date(record.created_at_ms),
        last_modified_time: url::date(record.modified_at_ms),
        cors: record.cors.as_ref().map(url::shown_cors),
        auth_type: FunctionUrlAuthType::parse(&record.auth_type).unwrap_or(FunctionUrlAuthType::AwsIam),
        invoke_mode: InvokeMode::parse(&record.invoke_mode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let request = |qualifier: Option<&str>| GetFunctionUrlConfigRequest {
            function_name: "a".into(),
            qualifier: qualifier.map(str::to_owned),
        };
        let none = "The resource you requested does not exist.";
        assert_eq!(bed.refusal::<GetFunctionUrlConfig>(request(None)).await, none);
        bed.create_active("a").await;
        for qualifier in [None, Some("PROD")] {
            assert_eq!(bed.refusal::<GetFunctionUrlConfig>(request(qualifier)).await, none);
        }
    }
}
