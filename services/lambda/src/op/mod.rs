//! The operations, one file each.

mod add_layer_version_permission;
mod add_permission;
mod create_alias;
mod create_function;
mod create_function_url_config;
mod delete_alias;
mod delete_function;
mod delete_function_concurrency;
mod delete_function_event_invoke_config;
mod delete_function_url_config;
mod delete_layer_version;
mod delete_provisioned_concurrency_config;
mod get_account_settings;
mod get_alias;
mod get_function;
mod get_function_code_signing_config;
mod get_function_concurrency;
mod get_function_configuration;
mod get_function_event_invoke_config;
mod get_function_recursion_config;
mod get_function_url_config;
mod get_layer_version;
mod get_layer_version_by_arn;
mod get_layer_version_policy;
mod get_policy;
mod get_provisioned_concurrency_config;
mod get_runtime_management_config;
pub(crate) mod invoke;
mod invoke_async;
mod invoke_with_response_stream;
mod list_aliases;
mod list_function_event_invoke_configs;
mod list_function_url_configs;
mod list_functions;
mod list_layer_versions;
mod list_layers;
mod list_provisioned_concurrency_configs;
mod list_tags;
mod list_versions_by_function;
mod publish_layer_version;
mod publish_version;
mod put_function_concurrency;
mod put_function_event_invoke_config;
mod put_function_recursion_config;
mod put_provisioned_concurrency_config;
mod put_runtime_management_config;
mod remove_layer_version_permission;
mod remove_permission;
mod tag_resource;
mod untag_resource;
mod update_alias;
mod update_function_code;
mod update_function_configuration;
mod update_function_event_invoke_config;
mod update_function_url_config;

use crate::error::LambdaError;
use crate::lookup::Found;
use crate::model::FunctionConfig;
use crate::rules::name::{self, FunctionReference};
use crate::{Lambda, api};
use gust_kit::{Cx, Op};

/// Every operation of the service.
pub const OPERATIONS: &[Op<Lambda>] = &[
    Op::of::<api::AddLayerVersionPermission>(),
    Op::of::<api::AddPermission>(),
    Op::of::<api::CreateAlias>(),
    Op::of::<api::CreateFunction>(),
    Op::of::<api::CreateFunctionUrlConfig>(),
    Op::of::<api::DeleteAlias>(),
    Op::of::<api::DeleteFunction>(),
    Op::of::<api::DeleteFunctionConcurrency>(),
    Op::of::<api::DeleteFunctionEventInvokeConfig>(),
    Op::of::<api::DeleteFunctionUrlConfig>(),
    Op::of::<api::DeleteLayerVersion>(),
    Op::of::<api::DeleteProvisionedConcurrencyConfig>(),
    Op::of::<api::GetAccountSettings>(),
    Op::of::<api::GetAlias>(),
    Op::of::<api::GetFunction>(),
    Op::of::<api::GetFunctionCodeSigningConfig>(),
    Op::of::<api::GetFunctionConcurrency>(),
    Op::of::<api::GetFunctionConfiguration>(),
    Op::of::<api::GetFunctionEventInvokeConfig>(),
    Op::of::<api::GetFunctionRecursionConfig>(),
    Op::of::<api::GetFunctionUrlConfig>(),
    Op::of::<api::GetLayerVersion>(),
    Op::of::<api::GetLayerVersionByArn>(),
    Op::of::<api::GetLayerVersionPolicy>(),
    Op::of::<api::GetPolicy>(),
    Op::of::<api::GetProvisionedConcurrencyConfig>(),
    Op::of::<api::GetRuntimeManagementConfig>(),
    Op::of::<api::Invoke>(),
    Op::of::<api::InvokeAsync>(),
    Op::of::<api::InvokeWithResponseStream>(),
    Op::of::<api::ListAliases>(),
    Op::of::<api::ListFunctionEventInvokeConfigs>(),
    Op::of::<api::ListFunctionUrlConfigs>(),
    Op::of::<api::ListFunctions>(),
    Op::of::<api::ListLayerVersions>(),
    Op::of::<api::ListLayers>(),
    Op::of::<api::ListProvisionedConcurrencyConfigs>(),
    Op::of::<api::ListTags>(),
    Op::of::<api::ListVersionsByFunction>(),
    Op::of::<api::PublishLayerVersion>(),
    Op::of::<api::PublishVersion>(),
    Op::of::<api::PutFunctionConcurrency>(),
    Op::of::<api::PutFunctionEventInvokeConfig>(),
    Op::of::<api::PutFunctionRecursionConfig>(),
    Op::of::<api::PutProvisionedConcurrencyConfig>(),
    Op::of::<api::PutRuntimeManagementConfig>(),
    Op::of::<api::RemoveLayerVersionPermission>(),
    Op::of::<api::RemovePermission>(),
    Op::of::<api::TagResource>(),
    Op::of::<api::UntagResource>(),
    Op::of::<api::UpdateAlias>(),
    Op::of::<api::UpdateFunctionCode>(),
    Op::of::<api::UpdateFunctionConfiguration>(),
    Op::of::<api::UpdateFunctionEventInvokeConfig>(),
    Op::of::<api::UpdateFunctionUrlConfig>(),
];

/// The version of a function that a request names, as it is stored.
///
/// Errors: those of [`name::resolve`], and ResourceNotFoundException for a function or qualifier that does
/// not exist.
async fn read(
    cx: &Cx<Lambda>,
    text: &str,
    qualifier: Option<&str>,
    action: &'static str,
) -> Result<(FunctionReference, Found), LambdaError> {
    let reference = name::resolve(text, qualifier, &cx.call, action)?;
    match cx.service.catalog.read_qualified(&reference.id, reference.qualifier.as_ref()).await? {
        Some(found) => Ok((reference, found)),
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
