//! Shows when a function gets a newer build of its runtime.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetRuntimeManagementConfig.html>
//! Deviations: none. Errors: ResourceNotFoundException, InvalidParameterValueException.

use super::put_runtime_management_config::function_arn;
use crate::api::{
    GetRuntimeManagementConfig, GetRuntimeManagementConfigRequest, GetRuntimeManagementConfigResponse, UpdateRuntimeOn,
};
use crate::attached::RuntimeRecord;
use crate::error::{AttachedError, LambdaError};
use crate::rules::name;
use crate::{Lambda, keys, subject};
use gust_kit::{Cx, Operation};
use gust_store::Read;

impl Operation for GetRuntimeManagementConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: GetRuntimeManagementConfigRequest,
    ) -> Result<GetRuntimeManagementConfigResponse, LambdaError> {
        let action = "GetRuntimeManagementConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let (id, qualifier) = (reference.id, reference.qualifier);
        if qualifier.as_ref().is_some_and(subject::is_alias_name) {
            return Err(AttachedError::NotForAliases.into());
        }
        let function_arn = function_arn(&id, qualifier.as_ref());
        let read = move |snapshot: &mut dyn Read| -> Result<Option<RuntimeRecord>, LambdaError> {
            subject::revision(snapshot, &id, qualifier.as_ref())?;
            let bytes = snapshot.get(&keys::runtime_config(&id, qualifier.as_ref()))?;
            Ok(bytes.map(|bytes| keys::decode(&bytes)).transpose()?)
        };
        let record = cx.store().read(read).await?;
        let update_on = record.as_ref().and_then(|record| UpdateRuntimeOn::parse(&record.update_on));
        Ok(GetRuntimeManagementConfigResponse {
            update_runtime_on: Some(update_on.unwrap_or(UpdateRuntimeOn::Auto)),
            function_arn: Some(function_arn),
            runtime_version_arn: record.and_then(|record| record.version_arn),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let get = |qualifier: Option<&str>| GetRuntimeManagementConfigRequest {
            function_name: "a".into(),
            qualifier: qualifier.map(str::to_owned),
        };
        assert!(bed.refusal::<GetRuntimeManagementConfig>(get(None)).await.starts_with("Function not found: "));
        bed.create_active("a").await;
        assert!(bed.refusal::<GetRuntimeManagementConfig>(get(Some("3"))).await.ends_with("function:a:3"));
        assert!(bed.refusal::<GetRuntimeManagementConfig>(get(Some("PROD"))).await.contains("published version"));
        assert!(bed.run::<GetRuntimeManagementConfig>(get(Some("$LATEST"))).await.is_ok());
    }
}
