//! Sets what becomes of a function that invokes itself in a loop.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionRecursionConfig.html>
//! Deviations: none.
//! Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::api::{PutFunctionRecursionConfig, PutFunctionRecursionConfigRequest, PutFunctionRecursionConfigResponse};
use crate::attached::RecursionRecord;
use crate::error::LambdaError;
use crate::rules::name;
use crate::{Lambda, keys, subject};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for PutFunctionRecursionConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: PutFunctionRecursionConfigRequest,
    ) -> Result<PutFunctionRecursionConfigResponse, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "PutFunctionRecursionConfig")?;
        let function = id.clone();
        let record = RecursionRecord { recursive_loop: input.recursive_loop.as_str().to_owned() };
        let work = move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
            subject::revision(tx, &id, None)?;
            Ok(tx.put(keys::recursion(&id), keys::encode(&record))?)
        };
        cx.store().transact(work).await?;
        cx.service.catalog.invalidate(&function);
        Ok(PutFunctionRecursionConfigResponse { recursive_loop: Some(input.recursive_loop) })
    }
}
