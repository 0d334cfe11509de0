//! Deletes what PutFunctionEventInvokeConfig has set.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionEventInvokeConfig.html>
//! Deviations: none. Errors: ResourceNotFoundException.

use crate::api::{
    DeleteFunctionEventInvokeConfig, DeleteFunctionEventInvokeConfigRequest, DeleteFunctionEventInvokeConfigResponse,
};
use crate::error::LambdaError;
use crate::event_configs::missing;
use crate::rules::name;
use crate::{Lambda, keys};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for DeleteFunctionEventInvokeConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: DeleteFunctionEventInvokeConfigRequest,
    ) -> Result<DeleteFunctionEventInvokeConfigResponse, LambdaError> {
        let action = "DeleteFunctionEventInvokeConfig";
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, action)?;
        let function = reference.id.clone();
        let removed = move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
            let (id, qualifier) = (&reference.id, reference.qualifier.as_ref());
            let key = keys::event_config(id, qualifier);
            tx.get(&key)?.ok_or_else(|| missing(id, qualifier))?;
            Ok(tx.delete(key)?)
        };
        cx.store().transact(removed).await?;
        cx.service.catalog.invalidate(&function);
        Ok(DeleteFunctionEventInvokeConfigResponse {})
    }
}
