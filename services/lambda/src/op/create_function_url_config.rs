//! Makes the URL of a function or an alias.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html>
//! Deviations: the URL leads to the gust that is asked: `http://{id}.lambda-url.{region}.localhost:{port}/`.
//! Errors: ResourceNotFoundException, ResourceConflictException, InvalidParameterValueException.

use crate::api::{
    CreateFunctionUrlConfig, CreateFunctionUrlConfigRequest, CreateFunctionUrlConfigResponse, InvokeMode,
};
use crate::attached::{UrlOwner, UrlRecord};
use crate::error::{AttachedError, LambdaError, ParameterError};
use crate::model::{FunctionId, Qualifier};
use crate::rules::{name, url};
use crate::subject::Found;
use crate::task::to_the_end;
use crate::{Lambda, keys, limits, lookup, subject};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::Ids;

impl Operation for CreateFunctionUrlConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: CreateFunctionUrlConfigRequest,
    ) -> Result<CreateFunctionUrlConfigResponse, LambdaError> {
        let action = "CreateFunctionUrlConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let (id, qualifier) = (reference.id, reference.qualifier);
        let now_ms = cx.now_ms();
        let record = UrlRecord {
            url_id: Ids::text(&*cx.platform().ids, url::ID_ALPHABET, limits::URL_ID_CHARS),
            auth_type: input.auth_type.as_str().to_owned(),
            invoke_mode: input.invoke_mode.unwrap_or(InvokeMode::Buffered).as_str().to_owned(),
            cors: input.cors.as_ref().and_then(url::stored_cors),
            created_at_ms: now_ms,
            modified_at_ms: now_ms,
        };
        let answer = CreateFunctionUrlConfigResponse {
            function_url: url::url(&record.url_id, &id.region, &cx.call.origin),
            function_arn: id.qualified_arn(qualifier.as_ref()),
            auth_type: input.auth_type,
            cors: record.cors.as_ref().map(url::shown_cors),
            creation_time: url::date(now_ms),
            // As AWS answers it: only where it was asked for.
            invoke_mode: input.invoke_mode,
        };
        let (store, catalog) = (cx.store().clone(), cx.service.catalog.clone());
        to_the_end(async move {
            let outcome = store.transact(move |tx| insert(tx, &id, qualifier.as_ref(), &record)).await;
            catalog.invalidate_urls();
            outcome.map(|_| ())
        })
        .await?;
        Ok(answer)
    }
}

fn insert(
    tx: &mut dyn Tx,
    id: &FunctionId,
    qualifier: Option<&Qualifier>,
    record: &UrlRecord,
) -> Result<(), LambdaError> {
    if !matches!(subject::find(tx, id, qualifier)?, Found::Whole(_)) {
        return Err(AttachedError::NoFunctionForUrl.into());
    }
    if lookup::latest(tx, id, None)?.config.tenant_isolation.is_some() {
        return Err(ParameterError::UrlWithTenants.into());
    }
    let (key, id_key) = (keys::url(id, qualifier), keys::url_id(&record.url_id));
    // Two equal ids out of 36^32 would be a broken source of randomness: better refused than shared.
    if tx.get(&key)?.is_some() || tx.get(&id_key)?.is_some() {
        return Err(AttachedError::UrlExists { arn: id.qualified_arn(qualifier) }.into());
    }
    let owner = UrlOwner {
        account: id.account.to_string(),
        region: id.region.to_string(),
        function: id.name.to_string(),
        qualifier: qualifier.map(Qualifier::to_string),
    };
    tx.put(key, keys::encode(record))?;
    Ok(tx.put(id_key, keys::encode(&owner))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Cors, FunctionUrlAuthType, GetFunctionUrlConfig, GetFunctionUrlConfigRequest};
    use crate::tests::Bed;

    fn request(name: &str) -> CreateFunctionUrlConfigRequest {
        CreateFunctionUrlConfigRequest {
            function_name: name.into(),
            auth_type: FunctionUrlAuthType::None,
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn an_alias_can_have_one_that_goes_with_it_and_tenants_cannot() {
        use crate::api::{CreateFunction, DeleteAlias, DeleteAliasRequest, TenancyConfig, TenantIsolationMode};
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let prod = || CreateFunctionUrlConfigRequest { qualifier: Some("prod".into()), ..request("a") };
        assert!(bed.run::<CreateFunctionUrlConfig>(prod()).await.is_err());
        bed.create_alias("a", "prod", "$LATEST", None).await;
        let made = bed.run::<CreateFunctionUrlConfig>(prod()).await.unwrap();
        assert!(made.function_arn.ends_with(":a:prod"));
        bed.run::<DeleteAlias>(DeleteAliasRequest { function_name: "a".into(), name: "prod".into() }).await.unwrap();
        bed.create_alias("a", "prod", "$LATEST", None).await;
        let again = bed.run::<CreateFunctionUrlConfig>(prod()).await.unwrap();
        assert_ne!(again.function_url, made.function_url);

        let mut isolated = crate::tests::create_request("t");
        isolated.tenancy_config = Some(TenancyConfig { tenant_isolation_mode: TenantIsolationMode::PerTenant });
        bed.run::<CreateFunction>(isolated).await.unwrap();
        let refusal = bed.refusal::<CreateFunctionUrlConfig>(request("t")).await;
        assert!(refusal.starts_with("Function URLs are not supported"), "{refusal}");
    }

    #[tokio::test]
    async fn the_answer_is_complete() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let cors =
            Cors { allow_origins: Some(vec!["https://a.example".into()]), max_age: Some(10), ..Default::default() };
        let input = CreateFunctionUrlConfigRequest { cors: Some(cors.clone()), ..request("a") };
        let made = bed.run::<CreateFunctionUrlConfig>(input).await.unwrap();
        let host = made.function_url.strip_prefix("http://").unwrap();
        let (url_id, rest) = host.split_once('.').unwrap();
        assert_eq!(rest, "lambda-url.us-east-1.localhost:4566/");
        assert!(url_id.len() == 32 && url_id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert_eq!(made.function_arn, "arn:aws:lambda:us-east-1:000000000000:function:a");
        assert_eq!(
            (made.auth_type, made.invoke_mode, made.cors.as_ref()),
            (FunctionUrlAuthType::None, None, Some(&cors))
        );
        assert_eq!(made.creation_time, "2026-11-23T12:00:00.000000Z");
        let get = GetFunctionUrlConfigRequest { function_name: "a".into(), qualifier: None };
        let shown = bed.run::<GetFunctionUrlConfig>(get).await.unwrap();
        assert_eq!(
            (shown.function_url, shown.invoke_mode, shown.cors),
            (made.function_url, Some(InvokeMode::Buffered), Some(cors))
        );
        assert_eq!((shown.creation_time, shown.last_modified_time), (made.creation_time.clone(), made.creation_time));
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let error = bed.run::<CreateFunctionUrlConfig>(request("a")).await.unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.status, error.message.as_str()),
            ("ResourceNotFoundException", 404, "Function does not exist")
        );
        bed.create_active("a").await;
        assert_eq!(bed.refusal::<CreateFunctionUrlConfig>(request("a:PROD")).await, "Function does not exist");
        bed.run::<CreateFunctionUrlConfig>(request("a")).await.unwrap();
        let error = bed.run::<CreateFunctionUrlConfig>(request("a")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("ResourceConflictException", 409));
        assert_eq!(
            error.message,
            "Failed to create function url config for [functionArn = arn:aws:lambda:us-east-1:000000000000:function:a]. \
             Error message:  FunctionUrlConfig exists for this Lambda function"
        );
        let mismatch = CreateFunctionUrlConfigRequest { qualifier: Some("TEST".into()), ..request("a:PROD") };
        assert!(bed.refusal::<CreateFunctionUrlConfig>(mismatch).await.starts_with("The derived qualifier"));
    }
}
