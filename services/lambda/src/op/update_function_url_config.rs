//! Changes the URL of a function or an alias.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionUrlConfig.html>
//! Deviations: those of CreateFunctionUrlConfig. Cors takes the place of what was there; one that says nothing
//! removes it (inferred). Errors: ResourceNotFoundException, InvalidParameterValueException.

use super::get_function_url_config::shown;
use crate::api::{UpdateFunctionUrlConfig, UpdateFunctionUrlConfigRequest, UpdateFunctionUrlConfigResponse};
use crate::attached::UrlRecord;
use crate::error::{AttachedError, LambdaError};
use crate::rules::{name, url};
use crate::subject::Found;
use crate::task::to_the_end;
use crate::{Lambda, keys, subject};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for UpdateFunctionUrlConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: UpdateFunctionUrlConfigRequest,
    ) -> Result<UpdateFunctionUrlConfigResponse, LambdaError> {
        let action = "UpdateFunctionUrlConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let (id, qualifier, now_ms) = (reference.id.clone(), reference.qualifier.clone(), cx.now_ms());
        let asked_mode = input.invoke_mode;
        let work = move |tx: &mut dyn Tx| -> Result<UrlRecord, LambdaError> {
            if !matches!(subject::find(tx, &id, qualifier.as_ref())?, Found::Whole(_)) {
                return Err(AttachedError::NoFunctionForUrl.into());
            }
            let key = keys::url(&id, qualifier.as_ref());
            let mut record: UrlRecord = keys::decode(&tx.get(&key)?.ok_or(AttachedError::NoResource)?)?;
            if let Some(auth_type) = input.auth_type {
                auth_type.as_str().clone_into(&mut record.auth_type);
            }
            if let Some(invoke_mode) = input.invoke_mode {
                invoke_mode.as_str().clone_into(&mut record.invoke_mode);
            }
            if let Some(cors) = &input.cors {
                record.cors = url::stored_cors(cors);
            }
            record.modified_at_ms = now_ms;
            tx.put(key, keys::encode(&record))?;
            Ok(record)
        };
        let (store, catalog) = (cx.store().clone(), cx.service.catalog.clone());
        let record = to_the_end(async move {
            let outcome = store.transact(work).await;
            catalog.invalidate_urls();
            Ok(outcome?.value)
        })
        .await?;
        let config = shown(&reference.id, reference.qualifier.as_ref(), &record, &cx.call.origin);
        Ok(UpdateFunctionUrlConfigResponse {
            function_url: config.function_url,
            function_arn: config.function_arn,
            auth_type: config.auth_type,
            cors: config.cors,
            creation_time: config.creation_time,
            last_modified_time: config.last_modified_time,
            // As AWS answers it: only where it was asked for.
            invoke_mode: asked_mode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        Cors, CreateFunctionUrlConfig, CreateFunctionUrlConfigRequest, FunctionUrlAuthType, GetFunctionUrlConfig,
        GetFunctionUrlConfigRequest, InvokeMode,
    };
    use crate::tests::Bed;

    #[tokio::test]
    async fn what_is_named_changes() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let update = || UpdateFunctionUrlConfigRequest { function_name: "a".into(), ..Default::default() };
        assert_eq!(
            bed.refusal::<UpdateFunctionUrlConfig>(update()).await,
            "The resource you requested does not exist."
        );
        let create = CreateFunctionUrlConfigRequest {
            function_name: "a".into(),
            auth_type: FunctionUrlAuthType::None,
            cors: Some(Cors { allow_credentials: Some(true), ..Default::default() }),
            invoke_mode: Some(InvokeMode::ResponseStream),
            ..Default::default()
        };
        let made = bed.run::<CreateFunctionUrlConfig>(create).await.unwrap();
        assert_eq!(made.invoke_mode, Some(InvokeMode::ResponseStream));
        bed.clock.advance_ms(5);
        let input = UpdateFunctionUrlConfigRequest { auth_type: Some(FunctionUrlAuthType::AwsIam), ..update() };
        let updated = bed.run::<UpdateFunctionUrlConfig>(input).await.unwrap();
        assert_eq!(
            (updated.function_url, updated.auth_type, updated.cors),
            (made.function_url, FunctionUrlAuthType::AwsIam, made.cors)
        );
        assert_eq!(
            (updated.creation_time, updated.last_modified_time.as_str()),
            (made.creation_time, "2026-11-23T12:00:00.005000Z")
        );
        let get = || GetFunctionUrlConfigRequest { function_name: "a".into(), qualifier: None };
        assert_eq!(bed.run::<GetFunctionUrlConfig>(get()).await.unwrap().invoke_mode, Some(InvokeMode::ResponseStream));
        let input = UpdateFunctionUrlConfigRequest { cors: Some(Cors::default()), ..update() };
        assert_eq!(bed.run::<UpdateFunctionUrlConfig>(input).await.unwrap().cors, None);
        let missing = UpdateFunctionUrlConfigRequest { function_name: "b".into(), ..Default::default() };
        assert_eq!(bed.refusal::<UpdateFunctionUrlConfig>(missing).await, "Function does not exist");
        let alias = UpdateFunctionUrlConfigRequest { qualifier: Some("PROD".into()), ..update() };
        assert_eq!(bed.refusal::<UpdateFunctionUrlConfig>(alias).await, "Function does not exist");
    }
}
