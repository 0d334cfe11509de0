//! Deletes the URL of a function or an alias. Its id is not given again.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionUrlConfig.html>
//! Deviations: none. Errors: ResourceNotFoundException.

use crate::api::{DeleteFunctionUrlConfig, DeleteFunctionUrlConfigRequest, DeleteFunctionUrlConfigResponse};
use crate::attached::UrlRecord;
use crate::error::{AttachedError, LambdaError};
use crate::rules::name;
use crate::task::to_the_end;
use crate::{Lambda, keys};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for DeleteFunctionUrlConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: DeleteFunctionUrlConfigRequest,
    ) -> Result<DeleteFunctionUrlConfigResponse, LambdaError> {
        let action = "DeleteFunctionUrlConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let removed = move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
            let key = keys::url(&reference.id, reference.qualifier.as_ref());
            let record: UrlRecord = keys::decode(&tx.get(&key)?.ok_or(AttachedError::NoResource)?)?;
            tx.delete(keys::url_id(&record.url_id))?;
            Ok(tx.delete(key)?)
        };
        let (store, catalog) = (cx.store().clone(), cx.service.catalog.clone());
        to_the_end(async move {
            let outcome = store.transact(removed).await;
            catalog.invalidate_urls();
            outcome.map(|_| ())
        })
        .await?;
        Ok(DeleteFunctionUrlConfigResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{CreateFunctionUrlConfig, CreateFunctionUrlConfigRequest, FunctionUrlAuthType};
    use crate::tests::Bed;

    #[tokio::test]
    async fn a_url_made_anew_is_another() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let delete = || DeleteFunctionUrlConfigRequest { function_name: "a".into(), qualifier: None };
        let create = || CreateFunctionUrlConfigRequest {
            function_name: "a".into(),
            auth_type: FunctionUrlAuthType::None,
            ..Default::default()
        };
        let none = "The resource you requested does not exist.";
        assert_eq!(bed.refusal::<DeleteFunctionUrlConfig>(delete()).await, none);
        let first = bed.run::<CreateFunctionUrlConfig>(create()).await.unwrap().function_url;
        bed.run::<DeleteFunctionUrlConfig>(delete()).await.unwrap();
        assert_eq!(bed.refusal::<DeleteFunctionUrlConfig>(delete()).await, none);
        assert_ne!(bed.run::<CreateFunctionUrlConfig>(create()).await.unwrap().function_url, first);
        let alias = DeleteFunctionUrlConfigRequest { qualifier: Some("PROD".into()), ..delete() };
        assert_eq!(bed.refusal::<DeleteFunctionUrlConfig>(alias).await, none);
    }
}
