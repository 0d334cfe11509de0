//! Sets when a function gets a newer build of its runtime.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_PutRuntimeManagementConfig.html>
//! Deviations: it is kept and shown. gust runs what the machine has, so that there is one build of a runtime, and
//! `Manual` takes only the RuntimeVersionArn that GetFunctionConfiguration shows.
//! Errors: ResourceNotFoundException, InvalidParameterValueException (their texts are inferred).

use crate::api::{
    PutRuntimeManagementConfig, PutRuntimeManagementConfigRequest, PutRuntimeManagementConfigResponse, UpdateRuntimeOn,
};
use crate::attached::RuntimeRecord;
use crate::error::{AttachedError, LambdaError};
use crate::model::{FunctionId, FunctionRecord, LATEST, Qualifier};
use crate::output::runtime_version_arn;
use crate::rules::name;
use crate::{Lambda, keys, subject};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for PutRuntimeManagementConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: PutRuntimeManagementConfigRequest,
    ) -> Result<PutRuntimeManagementConfigResponse, LambdaError> {
        let action = "PutRuntimeManagementConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let (id, qualifier) = (reference.id, reference.qualifier);
        if qualifier.as_ref().is_some_and(subject::is_alias_name) {
            return Err(AttachedError::NotForAliases.into());
        }
        check(&input)?;
        let record = RuntimeRecord {
            update_on: input.update_runtime_on.as_str().to_owned(),
            version_arn: input.runtime_version_arn,
        };
        let answer = PutRuntimeManagementConfigResponse {
            update_runtime_on: input.update_runtime_on,
            function_arn: function_arn(&id, qualifier.as_ref()),
            runtime_version_arn: record.version_arn.clone(),
        };
        let work = move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
            subject::revision(tx, &id, qualifier.as_ref())?;
            if let Some(arn) = &record.version_arn {
                let bytes = tx.get(&keys::function(&id))?;
                let function: Option<FunctionRecord> = bytes.map(|bytes| keys::decode(&bytes)).transpose()?;
                let here = function.map(|it| runtime_version_arn(&id, &it.config.runtime)).unwrap_or_default();
                if *arn != here {
                    return Err(AttachedError::RuntimeVersionUnknown { arn: arn.clone(), here }.into());
                }
            }
            Ok(tx.put(keys::runtime_config(&id, qualifier.as_ref()), keys::encode(&record))?)
        };
        cx.store().transact(work).await?;
        Ok(answer)
    }
}

fn check(input: &PutRuntimeManagementConfigRequest) -> Result<(), AttachedError> {
    match (input.update_runtime_on, &input.runtime_version_arn) {
        (UpdateRuntimeOn::Manual, None) => Err(AttachedError::RuntimeVersionRequired),
        (UpdateRuntimeOn::Auto | UpdateRuntimeOn::FunctionUpdate, Some(_)) => {
            Err(AttachedError::RuntimeVersionNotAllowed)
        }
        _ => Ok(()),
    }
}

/// The ARN in answers: always that of a version.
pub(super) fn function_arn(id: &FunctionId, qualifier: Option<&Qualifier>) -> String {
    format!("{}:{}", id.arn(), qualifier.map_or(LATEST.to_owned(), Qualifier::to_string))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        GetFunctionConfiguration, GetFunctionConfigurationRequest, GetRuntimeManagementConfig,
        GetRuntimeManagementConfigRequest,
    };
    use crate::tests::Bed;

    fn request(on: UpdateRuntimeOn, arn: Option<&str>) -> PutRuntimeManagementConfigRequest {
        PutRuntimeManagementConfigRequest {
            function_name: "a".into(),
            qualifier: None,
            update_runtime_on: on,
            runtime_version_arn: arn.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn it_is_kept_and_shown() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let get = || GetRuntimeManagementConfigRequest { function_name: "a".into(), qualifier: None };
        let shown = bed.run::<GetRuntimeManagementConfig>(get()).await.unwrap();
        assert_eq!((shown.update_runtime_on, shown.runtime_version_arn), (Some(UpdateRuntimeOn::Auto), None));
        assert_eq!(shown.function_arn.as_deref(), Some("arn:aws:lambda:us-east-1:000000000000:function:a:$LATEST"));
        let configuration = GetFunctionConfigurationRequest { function_name: "a".into(), qualifier: None };
        let configuration = bed.run::<GetFunctionConfiguration>(configuration).await.unwrap();
        let arn = configuration.runtime_version_config.unwrap().runtime_version_arn.unwrap();
        for (on, arn) in [
            (UpdateRuntimeOn::FunctionUpdate, None),
            (UpdateRuntimeOn::Manual, Some(arn.as_str())),
            (UpdateRuntimeOn::Auto, None),
        ] {
            let put = bed.run::<PutRuntimeManagementConfig>(request(on, arn)).await.unwrap();
            assert_eq!((put.update_runtime_on, put.runtime_version_arn.as_deref()), (on, arn));
            let shown = bed.run::<GetRuntimeManagementConfig>(get()).await.unwrap();
            assert_eq!((shown.update_runtime_on, shown.runtime_version_arn.as_deref()), (Some(on), arn));
            assert_eq!(shown.function_arn, Some(put.function_arn));
        }
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let auto = || request(UpdateRuntimeOn::Auto, None);
        assert!(bed.refusal::<PutRuntimeManagementConfig>(auto()).await.starts_with("Function not found: "));
        bed.create_active("a").await;
        let other = "arn:aws:lambda:us-east-1::runtime:other";
        assert!(
            bed.refusal::<PutRuntimeManagementConfig>(request(UpdateRuntimeOn::Manual, None))
                .await
                .contains("RuntimeVersionArn")
        );
        assert!(
            bed.refusal::<PutRuntimeManagementConfig>(request(UpdateRuntimeOn::Auto, Some(other)))
                .await
                .contains("only when")
        );
        assert!(
            bed.refusal::<PutRuntimeManagementConfig>(request(UpdateRuntimeOn::Manual, Some(other)))
                .await
                .contains("does not exist")
        );
        let alias = PutRuntimeManagementConfigRequest { qualifier: Some("PROD".into()), ..auto() };
        assert!(bed.refusal::<PutRuntimeManagementConfig>(alias).await.contains("published version"));
        let version = PutRuntimeManagementConfigRequest { qualifier: Some("7".into()), ..auto() };
        assert!(bed.refusal::<PutRuntimeManagementConfig>(version).await.ends_with("function:a:7"));
    }
}
