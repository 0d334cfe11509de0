//! Shows what is kept ready of a version or an alias, and how far that is.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetProvisionedConcurrencyConfig.html>
//! Deviations: Available and Allocated are the same number, that of the initialised environments.
//! Errors: ResourceNotFoundException, InvalidParameterValueException, ProvisionedConcurrencyConfigNotFoundException.

use crate::api::{
    GetProvisionedConcurrencyConfig, GetProvisionedConcurrencyConfigRequest, GetProvisionedConcurrencyConfigResponse,
    ProvisionedConcurrencyStatusEnum,
};
use crate::error::{AttachedError, LambdaError, ParameterError};
use crate::model::Qualifier;
use crate::provisioned::{self, Progress};
use crate::rules::name;
use crate::{Lambda, output};
use gust_kit::ports::ProvisionedStatus;
use gust_kit::{Cx, Operation};
use gust_store::Read;

impl Operation for GetProvisionedConcurrencyConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: GetProvisionedConcurrencyConfigRequest,
    ) -> Result<GetProvisionedConcurrencyConfigResponse, LambdaError> {
        let action = "GetProvisionedConcurrencyConfig";
        let reference = name::resolve(&input.function_name, Some(&input.qualifier), &cx.call, action)?;
        let (id, qualifier) = (reference.id, qualifier_of(reference.qualifier));
        if qualifier == Qualifier::Latest {
            return Err(ParameterError::NeitherAliasNorVersion.into());
        }
        let found = {
            let (id, qualifier) = (id.clone(), qualifier.clone());
            move |snapshot: &mut dyn Read| -> Result<_, LambdaError> {
                let alias = provisioned::find(snapshot, &id, &qualifier)?;
                let config = provisioned::config_of(snapshot, &id, &qualifier)?;
                Ok((alias, config.ok_or(AttachedError::NoProvisionedConcurrency)?))
            }
        };
        let (alias, config) = cx.store().read(found).await?;
        let progress = cx.service.progress(&id, &qualifier, alias.as_ref(), &config);
        let (status, status_reason) = status(&progress);
        Ok(GetProvisionedConcurrencyConfigResponse {
            requested_provisioned_concurrent_executions: number(config.executions),
            available_provisioned_concurrent_executions: number(progress.ready),
            allocated_provisioned_concurrent_executions: number(progress.ready),
            status: Some(status),
            status_reason,
            last_modified: Some(output::date_of_seconds(config.modified_at_ms)),
        })
    }
}

/// The qualifier of a request that has to name one; an empty text names `$LATEST`.
pub fn qualifier_of(qualifier: Option<Qualifier>) -> Qualifier {
    match qualifier {
        None => Qualifier::Latest,
        Some(Qualifier::Other(text)) if text.is_empty() => Qualifier::Latest,
        Some(qualifier) => qualifier,
    }
}

/// A number as the model has it.
pub fn number(value: u32) -> Option<i32> {
    Some(i32::try_from(value).unwrap_or(i32::MAX))
}

/// Status and StatusReason.
pub fn status(progress: &Progress) -> (ProvisionedConcurrencyStatusEnum, Option<String>) {
    match &progress.status {
        ProvisionedStatus::InProgress => (ProvisionedConcurrencyStatusEnum::InProgress, None),
        ProvisionedStatus::Ready => (ProvisionedConcurrencyStatusEnum::Ready, None),
        ProvisionedStatus::Failed(reason) => (ProvisionedConcurrencyStatusEnum::Failed, Some(reason.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PutProvisionedConcurrencyConfig, PutProvisionedConcurrencyConfigRequest};
    use crate::tests::Bed;
    use gust_kit::ports::Provisioned;

    fn request(name: &str, qualifier: &str) -> GetProvisionedConcurrencyConfigRequest {
        GetProvisionedConcurrencyConfigRequest { function_name: name.into(), qualifier: qualifier.into() }
    }

    #[tokio::test]
    async fn it_shows_how_far_it_is() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        let put = PutProvisionedConcurrencyConfigRequest {
            function_name: "a".into(),
            qualifier: "1".into(),
            provisioned_concurrent_executions: 3,
        };
        bed.run::<PutProvisionedConcurrencyConfig>(put).await.unwrap();
        for (ready, status, shown, reason) in [
            (2, ProvisionedStatus::InProgress, ProvisionedConcurrencyStatusEnum::InProgress, None),
            (3, ProvisionedStatus::Ready, ProvisionedConcurrencyStatusEnum::Ready, None),
            (
                0,
                ProvisionedStatus::Failed("FUNCTION_ERROR_INIT_FAILURE".into()),
                ProvisionedConcurrencyStatusEnum::Failed,
                Some("FUNCTION_ERROR_INIT_FAILURE".to_owned()),
            ),
        ] {
            bed.invoker.progresses("a:1", Provisioned { ready, status });
            let expected = GetProvisionedConcurrencyConfigResponse {
                requested_provisioned_concurrent_executions: Some(3),
                available_provisioned_concurrent_executions: number(ready),
                allocated_provisioned_concurrent_executions: number(ready),
                status: Some(shown),
                status_reason: reason,
                last_modified: Some("2026-11-23T12:00:00+0000".into()),
            };
            assert_eq!(bed.run::<GetProvisionedConcurrencyConfig>(request("a", "1")).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        let error = bed.run::<GetProvisionedConcurrencyConfig>(request("a", "1")).await.unwrap_err();
        let text = "No Provisioned Concurrency Config found for this function";
        let code = "ProvisionedConcurrencyConfigNotFoundException";
        assert_eq!((error.code.as_ref(), error.status, error.message.as_str()), (code, 404, text));
        let latest = bed.refusal::<GetProvisionedConcurrencyConfig>(request("a", "$LATEST")).await;
        assert_eq!(latest, "The function resource provided must be an alias or a published version.");
        let missing = bed.refusal::<GetProvisionedConcurrencyConfig>(request("a", "none")).await;
        assert!(missing.starts_with("Cannot find alias arn: "), "{missing}");
        let missing = bed.refusal::<GetProvisionedConcurrencyConfig>(request("b", "1")).await;
        assert!(missing.starts_with("Function not found: ") && missing.ends_with("b:1"), "{missing}");
    }
}
