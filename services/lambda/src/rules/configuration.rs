//! From what a request says to a function's configuration: defaults, bounds beyond the model, and what an
//! update leaves as it is.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>,
//! <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html>.

use crate::api::{self, CreateFunctionRequest, UpdateFunctionConfigurationRequest};
use crate::error::{LambdaError, ParameterError, ValidationError};
use crate::limits;
use crate::model::{FunctionConfig, LoggingRecord, VpcRecord};
use crate::rules::{environment, runtime};
use std::collections::BTreeMap;

/// The configuration that CreateFunction asks for. `machine` is the machine's architecture.
pub fn create(input: &CreateFunctionRequest, name: &str, machine: &str) -> Result<FunctionConfig, LambdaError> {
    let (Some(runtime), Some(handler)) = (input.runtime, &input.handler) else {
        return Err(ParameterError::RuntimeAndHandlerRequired.into());
    };
    runtime::check(runtime)?;
    let architecture = first_architecture(&input.architectures).unwrap_or("x86_64");
    runtime::check_architecture(architecture, runtime.as_str(), machine)?;
    let default = LoggingRecord {
        format: api::LogFormat::Text.as_str().to_owned(),
        application_level: None,
        system_level: None,
        group: format!("/aws/lambda/{name}"),
    };
    Ok(FunctionConfig {
        runtime: runtime.as_str().to_owned(),
        handler: handler.clone(),
        role: input.role.clone(),
        description: input.description.clone().unwrap_or_default(),
        timeout_s: timeout(input.timeout.unwrap_or(limits::TIMEOUT_S_DEFAULT))?,
        memory_mb: memory(input.memory_size.unwrap_or(limits::MEMORY_MB_DEFAULT))?,
        ephemeral_mb: ephemeral(input.ephemeral_storage.as_ref().map_or(limits::EPHEMERAL_MB_DEFAULT, |it| it.size))?,
        environment: input.environment.as_ref().map(variables).transpose()?,
        architecture: architecture.to_owned(),
        tracing_mode: tracing_mode(&input.tracing_config).unwrap_or("PassThrough").to_owned(),
        logging: match &input.logging_config {
            Some(asked) => logging(&default, asked)?,
            None => default,
        },
        kms_key_arn: input.kms_key_arn.clone().filter(|arn| !arn.is_empty()),
        vpc: input.vpc_config.as_ref().map(vpc),
        // Reading them is not a decision: the operation does it.
        layers: Vec::new(),
        tenant_isolation: input.tenancy_config.as_ref().map(|it| it.tenant_isolation_mode.as_str().to_owned()),
        dead_letter_arn: input.dead_letter_config.as_ref().and_then(dead_letters),
    })
}

/// `current` with what UpdateFunctionConfiguration changes. `machine` is the machine's architecture.
pub fn update(
    current: &FunctionConfig,
    input: &UpdateFunctionConfigurationRequest,
    machine: &str,
) -> Result<FunctionConfig, LambdaError> {
    let mut config = current.clone();
    if let Some(runtime) = input.runtime {
        runtime::check(runtime)?;
        runtime::check_architecture(&config.architecture, runtime.as_str(), machine)?;
        config.runtime = runtime.as_str().to_owned();
    }
    if let Some(timeout_s) = input.timeout {
        config.timeout_s = timeout(timeout_s)?;
    }
    if let Some(memory_mb) = input.memory_size {
        config.memory_mb = memory(memory_mb)?;
    }
    if let Some(storage) = &input.ephemeral_storage {
        config.ephemeral_mb = ephemeral(storage.size)?;
    }
    if let Some(environment) = &input.environment {
        config.environment = Some(variables(environment)?);
    }
    if let Some(mode) = tracing_mode(&input.tracing_config) {
        config.tracing_mode = mode.to_owned();
    }
    if let Some(asked) = &input.logging_config {
        config.logging = logging(&config.logging, asked)?;
    }
    if let Some(arn) = &input.kms_key_arn {
        config.kms_key_arn = Some(arn.clone()).filter(|arn| !arn.is_empty());
    }
    if let Some(asked) = &input.vpc_config {
        config.vpc = Some(vpc(asked));
    }
    if let Some(asked) = &input.dead_letter_config {
        config.dead_letter_arn = dead_letters(asked);
    }
    let texts = [
        (&mut config.handler, &input.handler),
        (&mut config.role, &input.role),
        (&mut config.description, &input.description),
    ];
    for (text, asked) in texts {
        if let Some(asked) = asked {
            text.clone_from(asked);
        }
    }
    Ok(config)
}

/// The architecture that a request names.
pub fn first_architecture(architectures: &Option<Vec<api::Architecture>>) -> Option<&'static str> {
    architectures.as_ref().and_then(|list| list.first()).map(|architecture| architecture.as_str())
}

fn bounded(value: i32, maximum: i32, member: &'static str) -> Result<u32, LambdaError> {
    match u32::try_from(value) {
        Ok(fits) if value <= maximum => Ok(fits),
        _ => Err(ValidationError::TooGreat { member, maximum }.into()),
    }
}

fn timeout(value_s: i32) -> Result<u32, LambdaError> {
    bounded(value_s, limits::TIMEOUT_S_MAX, "Timeout")
}

fn memory(value_mb: i32) -> Result<u32, LambdaError> {
    bounded(value_mb, limits::MEMORY_MB_MAX, "MemorySize")
}

fn ephemeral(value_mb: i32) -> Result<u32, LambdaError> {
    bounded(value_mb, limits::EPHEMERAL_MB_MAX, "EphemeralStorage")
}

fn variables(environment: &api::Environment) -> Result<BTreeMap<String, String>, LambdaError> {
    let variables = environment.variables.clone().unwrap_or_default();
    environment::check(&variables)?;
    Ok(variables)
}

fn tracing_mode(config: &Option<api::TracingConfig>) -> Option<&'static str> {
    config.as_ref().and_then(|config| config.mode).map(|mode| mode.as_str())
}

/// Where failed events go; an empty text is nowhere.
fn dead_letters(config: &api::DeadLetterConfig) -> Option<String> {
    config.target_arn.clone().filter(|arn| !arn.is_empty())
}

fn vpc(config: &api::VpcConfig) -> VpcRecord {
    VpcRecord {
        subnet_ids: config.subnet_ids.clone().unwrap_or_default(),
        security_group_ids: config.security_group_ids.clone().unwrap_or_default(),
        ipv6_allowed: config.ipv6_allowed_for_dual_stack.unwrap_or(false),
    }
}

/// Turning JSON on sets both levels to INFO, turning it off removes them.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>.
fn logging(current: &LoggingRecord, asked: &api::LoggingConfig) -> Result<LoggingRecord, ParameterError> {
    let format = asked.log_format.map_or(current.format.as_str(), |format| format.as_str());
    let group = asked.log_group.clone().unwrap_or_else(|| current.group.clone());
    let application = asked.application_log_level.map(|level| level.as_str());
    let system = asked.system_log_level.map(|level| level.as_str());
    if format != api::LogFormat::Json.as_str() {
        if application.or(system).is_some() {
            return Err(ParameterError::LogLevelWithText);
        }
        return Ok(LoggingRecord { format: format.to_owned(), application_level: None, system_level: None, group });
    }
    let level = |asked: Option<&str>, current: &Option<String>| {
        Some(asked.or(current.as_deref()).unwrap_or(api::SystemLogLevel::Info.as_str()).to_owned())
    };
    Ok(LoggingRecord {
        format: format.to_owned(),
        application_level: level(application, &current.application_level),
        system_level: level(system, &current.system_level),
        group,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ApplicationLogLevel, EphemeralStorage, LogFormat, LoggingConfig, Runtime};

    fn request() -> CreateFunctionRequest {
        CreateFunctionRequest {
            function_name: "a".into(),
            role: "arn:aws:iam::000000000000:role/r".into(),
            runtime: Some(Runtime::Python3_12),
            handler: Some("app.handler".into()),
            ..Default::default()
        }
    }

    fn created(change: impl Fn(&mut CreateFunctionRequest)) -> Result<FunctionConfig, String> {
        let mut input = request();
        change(&mut input);
        create(&input, "a", "x86_64").map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_those_of_aws() {
        let config = created(|_| {}).unwrap();
        assert_eq!((config.timeout_s, config.memory_mb, config.ephemeral_mb), (3, 128, 512));
        assert_eq!((config.description.as_str(), config.architecture.as_str()), ("", "x86_64"));
        assert_eq!((config.tracing_mode.as_str(), config.environment), ("PassThrough", None));
        let text = LoggingRecord {
            format: "Text".into(),
            application_level: None,
            system_level: None,
            group: "/aws/lambda/a".into(),
        };
        assert_eq!(config.logging, text);
    }

    #[test]
    fn bounds_are_those_of_ordinary_functions() {
        assert!(created(|input| input.timeout = Some(900)).is_ok());
        assert!(created(|input| input.timeout = Some(901)).unwrap_err().starts_with("'Timeout' value failed"));
        assert!(created(|input| input.memory_size = Some(10_240)).is_ok());
        let error = created(|input| input.memory_size = Some(10_241)).unwrap_err();
        assert_eq!(
            error,
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240"
        );
        assert!(created(|input| input.ephemeral_storage = Some(EphemeralStorage { size: 10_240 })).is_ok());
        let error = created(|input| input.ephemeral_storage = Some(EphemeralStorage { size: 10_241 })).unwrap_err();
        assert!(error.starts_with("'EphemeralStorage' value failed"), "{error}");
        // The model refuses it before; an inside caller must not wrap around.
        assert!(created(|input| input.timeout = Some(-1)).is_err());
    }

    #[test]
    fn runtime_and_handler_are_mandatory() {
        for change in [
            |input: &mut CreateFunctionRequest| input.runtime = None,
            |input: &mut CreateFunctionRequest| input.handler = None,
        ] {
            let error = created(change).unwrap_err();
            assert_eq!(
                error,
                "Runtime and Handler are mandatory parameters for functions created with deployment packages."
            );
        }
    }

    #[test]
    fn json_logging_has_levels_and_text_has_none() {
        let json = LoggingConfig { log_format: Some(LogFormat::Json), ..Default::default() };
        let config = created(|input| input.logging_config = Some(json.clone())).unwrap();
        assert_eq!(config.logging.application_level.as_deref(), Some("INFO"));
        assert_eq!(config.logging.system_level.as_deref(), Some("INFO"));

        let debug = LoggingConfig { application_log_level: Some(ApplicationLogLevel::Debug), ..Default::default() };
        let error = created(|input| input.logging_config = Some(debug.clone())).unwrap_err();
        assert!(error.starts_with("LogLevel is not supported when LogFormat is set to \"Text\"."));

        let update_of =
            |asked| UpdateFunctionConfigurationRequest { logging_config: Some(asked), ..Default::default() };
        let louder = update(&config, &update_of(debug), "x86_64").unwrap();
        assert_eq!(louder.logging.application_level.as_deref(), Some("DEBUG"));
        assert_eq!(louder.logging.format, "JSON");
        let text =
            LoggingConfig { log_format: Some(LogFormat::Text), log_group: Some("own".into()), ..Default::default() };
        let quiet = update(&louder, &update_of(text), "x86_64").unwrap();
        assert_eq!((quiet.logging.application_level, quiet.logging.group.as_str()), (None, "own"));
    }

    #[test]
    fn an_update_leaves_what_it_does_not_name() {
        let config = created(|input| {
            input.environment = Some(api::Environment { variables: Some([("KEY".to_owned(), "1".to_owned())].into()) });
            input.kms_key_arn = Some("arn:aws:kms:us-east-1:000000000000:key/k".into());
        })
        .unwrap();
        assert_eq!(update(&config, &Default::default(), "x86_64").unwrap(), config);

        let changed = UpdateFunctionConfigurationRequest {
            handler: Some("other.handler".into()),
            memory_size: Some(256),
            environment: Some(api::Environment { variables: None }),
            kms_key_arn: Some(String::new()),
            ..Default::default()
        };
        let updated = update(&config, &changed, "x86_64").unwrap();
        let expected = FunctionConfig {
            handler: "other.handler".into(),
            memory_mb: 256,
            environment: Some(BTreeMap::new()),
            kms_key_arn: None,
            ..config
        };
        assert_eq!(updated, expected);
    }

    #[test]
    fn a_program_of_another_architecture_is_refused() {
        let arm = |input: &mut CreateFunctionRequest| input.architectures = Some(vec![api::Architecture::Arm64]);
        assert_eq!(created(arm).unwrap().architecture, "arm64");
        let error = created(|input| {
            arm(input);
            input.runtime = Some(Runtime::ProvidedAl2023);
        });
        assert!(error.unwrap_err().contains("Architectures"));
        let config = created(arm).unwrap();
        let to_program =
            UpdateFunctionConfigurationRequest { runtime: Some(Runtime::ProvidedAl2), ..Default::default() };
        assert!(update(&config, &to_program, "x86_64").is_err());
    }
}
