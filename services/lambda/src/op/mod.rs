//! The operations, one file each.

mod create_function;
mod delete_function;
mod get_account_settings;
mod get_function;
mod get_function_configuration;
pub(crate) mod invoke;
mod invoke_async;
mod list_functions;
mod list_tags;
mod tag_resource;
mod untag_resource;
mod update_function_code;
mod update_function_configuration;

use crate::error::LambdaError;
use crate::model::{FunctionConfig, FunctionRecord, Qualifier};
use crate::rules::name::{self, FunctionReference};
use crate::{Lambda, api};
use gust_kit::{Cx, Op};

/// Every operation of the service.
pub const OPERATIONS: &[Op<Lambda>] = &[
    Op::of::<api::CreateFunction>(),
    Op::of::<api::DeleteFunction>(),
    Op::of::<api::GetAccountSettings>(),
    Op::of::<api::GetFunction>(),
    Op::of::<api::GetFunctionConfiguration>(),
    Op::of::<api::Invoke>(),
    Op::of::<api::InvokeAsync>(),
    Op::of::<api::ListFunctions>(),
    Op::of::<api::ListTags>(),
    Op::of::<api::TagResource>(),
    Op::of::<api::UntagResource>(),
    Op::of::<api::UpdateFunctionCode>(),
    Op::of::<api::UpdateFunctionConfiguration>(),
];

/// The function that a request names, as it is stored.
///
/// Errors: those of [`name::resolve`], and ResourceNotFoundException for a function or qualifier that does
/// not exist.
async fn read(
    cx: &Cx<Lambda>,
    text: &str,
    qualifier: Option<&str>,
    action: &'static str,
) -> Result<(FunctionReference, FunctionRecord), LambdaError> {
    let reference = name::resolve(text, qualifier, &cx.call, action)?;
    let exists = !matches!(reference.qualifier, Some(Qualifier::Other(_)));
    let record = if exists { cx.service.catalog.read(&reference.id).await? } else { None };
    match record {
        Some(record) => Ok((reference, record)),
        None => Err(LambdaError::FunctionNotFound { arn: reference.id.qualified_arn(reference.qualifier.as_ref()) }),
    }
}

/// Says that an architecture has no effect, where it has none.
fn warn_of_architecture(config: &FunctionConfig, machine: &str) {
    if config.architecture != machine {
        let (architecture, runtime) = (&config.architecture, &config.runtime);
        tracing::warn!(
            architecture,
            runtime,
            "Architectures has no effect: {runtime} runs on this machine's {machine} interpreter"
        );
    }
}
