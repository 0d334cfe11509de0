//! A stored function as clients see it.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html>.

use crate::api;
use crate::code::base64_of_hex;
use crate::model::{AliasRecord, FunctionId, FunctionRecord, LastUpdate, Qualifier, State, Version};
use sha2::{Digest, Sha256};

/// The reason that AWS gives while a function is being created, and while it is being updated.
const REASON_CREATING: &str = "The function is being created.";

/// How a function is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Everything.
    Full,
    /// As CreateFunction answers: there has been no update yet.
    Created,
    /// As ListFunctions shows it: AWS leaves states and the runtime's version out.
    Listed,
}

/// The configuration of a function's `version`; its ARN carries `qualifier` if one is given.
pub fn configuration(
    id: &FunctionId,
    version: Version,
    record: &FunctionRecord,
    qualifier: Option<&Qualifier>,
    view: View,
) -> api::FunctionConfiguration {
    let config = &record.config;
    let mut shown = api::FunctionConfiguration {
        function_name: Some(id.name.to_string()),
        function_arn: Some(id.qualified_arn(qualifier)),
        runtime: api::Runtime::parse(&config.runtime),
        role: Some(config.role.clone()),
        handler: Some(config.handler.clone()),
        code_size: i64::try_from(record.package.zip_bytes).ok(),
        description: Some(config.description.clone()),
        timeout: i32::try_from(config.timeout_s).ok(),
        memory_size: i32::try_from(config.memory_mb).ok(),
        last_modified: Some(date(record.modified_at_ms)),
        code_sha256: Some(base64_of_hex(&record.package.sha256)),
        version: Some(version.to_string()),
        kms_key_arn: config.kms_key_arn.clone(),
        revision_id: Some(record.revision_id.clone()),
        package_type: Some(api::PackageType::Zip),
        ephemeral_storage: i32::try_from(config.ephemeral_mb).ok().map(|size| api::EphemeralStorage { size }),
        architectures: api::Architecture::parse(&config.architecture).map(|architecture| vec![architecture]),
        tracing_config: Some(api::TracingConfigResponse { mode: api::TracingMode::parse(&config.tracing_mode) }),
        snap_start: Some(api::SnapStartResponse {
            apply_on: Some(api::SnapStartApplyOn::None),
            optimization_status: Some(api::SnapStartOptimizationStatus::Off),
        }),
        ..Default::default()
    };
    shown.tenancy_config = config
        .tenant_isolation
        .as_deref()
        .and_then(api::TenantIsolationMode::parse)
        .map(|tenant_isolation_mode| api::TenancyConfig { tenant_isolation_mode });
    let dead_letters = config.dead_letter_arn.clone();
    shown.dead_letter_config = dead_letters.map(|arn| api::DeadLetterConfig { target_arn: Some(arn) });
    show_parts(record, &mut shown);
    if view != View::Listed {
        show_state(record, view, &mut shown);
        let runtime_version_arn = Some(runtime_version_arn(id, &config.runtime));
        shown.runtime_version_config = Some(api::RuntimeVersionConfig { runtime_version_arn, error: None });
    }
    shown
}

fn show_parts(record: &FunctionRecord, shown: &mut api::FunctionConfiguration) {
    let config = &record.config;
    shown.environment = config
        .environment
        .as_ref()
        .map(|variables| api::EnvironmentResponse { variables: Some(variables.clone()), error: None });
    let logging = &config.logging;
    shown.logging_config = Some(api::LoggingConfig {
        log_format: api::LogFormat::parse(&logging.format),
        application_log_level: logging.application_level.as_deref().and_then(api::ApplicationLogLevel::parse),
        system_log_level: logging.system_level.as_deref().and_then(api::SystemLogLevel::parse),
        log_group: Some(logging.group.clone()),
    });
    let layers = config.layers.iter().map(|layer| api::Layer {
        arn: Some(layer.arn.clone()),
        code_size: i64::try_from(layer.package.zip_bytes).ok(),
        ..Default::default()
    });
    shown.layers = Some(layers.collect::<Vec<_>>()).filter(|layers| !layers.is_empty());
    shown.vpc_config = config.vpc.as_ref().map(|vpc| api::VpcConfigResponse {
        subnet_ids: Some(vpc.subnet_ids.clone()),
        security_group_ids: Some(vpc.security_group_ids.clone()),
        // Nothing tells which network the subnets are in; as AWS shows it for no network.
        vpc_id: Some(String::new()),
        ipv6_allowed_for_dual_stack: Some(vpc.ipv6_allowed),
    });
}

fn show_state(record: &FunctionRecord, view: View, shown: &mut api::FunctionConfiguration) {
    match &record.state {
        State::Pending => {
            shown.state = Some(api::State::Pending);
            shown.state_reason = Some(REASON_CREATING.to_owned());
            shown.state_reason_code = Some(api::StateReasonCode::Creating);
        }
        State::Active => shown.state = Some(api::State::Active),
        State::Failed { reason } => {
            shown.state = Some(api::State::Failed);
            shown.state_reason = Some(reason.clone());
            shown.state_reason_code = Some(api::StateReasonCode::InternalError);
        }
    }
    match &record.last_update {
        _ if view == View::Created => {}
        LastUpdate::None => {}
        LastUpdate::Successful => shown.last_update_status = Some(api::LastUpdateStatus::Successful),
        LastUpdate::InProgress => {
            // AWS sends the code Creating as well, which its model does not have.
            shown.last_update_status = Some(api::LastUpdateStatus::InProgress);
            shown.last_update_status_reason = Some(REASON_CREATING.to_owned());
        }
        LastUpdate::Failed { reason } => {
            shown.last_update_status = Some(api::LastUpdateStatus::Failed);
            shown.last_update_status_reason = Some(reason.clone());
            shown.last_update_status_reason_code = Some(api::LastUpdateStatusReasonCode::InternalError);
        }
    }
}

/// An alias as clients see it.
pub fn alias(id: &FunctionId, name: &str, record: &AliasRecord) -> api::AliasConfiguration {
    let weights = record.additional.map(|(number, share)| [(number.to_string(), share)].into());
    api::AliasConfiguration {
        alias_arn: Some(format!("{}:{name}", id.arn())),
        name: Some(name.to_owned()),
        function_version: Some(record.version().to_string()),
        description: Some(record.description.clone()),
        routing_config: weights
            .map(|weights| api::AliasRoutingConfiguration { additional_version_weights: Some(weights) }),
        revision_id: Some(record.revision_id.clone()),
    }
}

/// AWS names its build of a runtime; gust's stands for the runtime's name alone.
pub fn runtime_version_arn(id: &FunctionId, runtime: &str) -> String {
    let digits: String = Sha256::digest(runtime).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("arn:{}:lambda:{}::runtime:{digits}", id.region.partition(), id.region)
}

/// `2026-11-23T12:00:00.000+0000`
pub fn date(at_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(at_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

/// `2026-11-23T12:00:00+0000`: as configs of provisioned concurrency have it.
pub fn date_of_seconds(at_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(at_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_as_lambda_writes_them() {
        assert_eq!(date(1_795_435_200_000), "2026-11-23T12:00:00.000+0000");
        assert_eq!(date_of_seconds(1_795_435_200_999), "2026-11-23T12:00:00+0000");
        assert_eq!(date(7), "1970-01-01T00:00:00.007+0000");
        assert_eq!(date(i64::MAX), "1970-01-01T00:00:00.000+0000");
    }
}
