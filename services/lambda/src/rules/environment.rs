//! What a function's environment variables may be.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>.

use crate::error::ParameterError;
use crate::limits;
use std::collections::BTreeMap;

/// Variables that Lambda sets and a function cannot. Those that the model's pattern for names already
/// refuses (`_HANDLER`, `_X_AMZN_TRACE_ID`) are listed for callers that do not pass through it.
const RESERVED: &[&str] = &[
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
];

/// Checks a function's variables: reserved names first, then the size of all together.
///
/// Errors: [`ParameterError::EnvironmentReserved`], [`ParameterError::EnvironmentTooLarge`],
/// [`ParameterError::EnvironmentNul`].
pub fn check(variables: &BTreeMap<String, String>) -> Result<(), ParameterError> {
    let reserved: Vec<&str> = RESERVED.iter().copied().filter(|key| variables.contains_key(*key)).collect();
    if !reserved.is_empty() {
        return Err(ParameterError::EnvironmentReserved { keys: reserved.join(", ") });
    }
    let measured = serde_json::to_string(variables).expect("a map of texts is always JSON");
    if measured.len() > limits::ENVIRONMENT_BYTES_MAX {
        return Err(ParameterError::EnvironmentTooLarge { measured });
    }
    match variables.iter().find(|(_, value)| value.contains('\0')) {
        Some((key, _)) => Err(ParameterError::EnvironmentNul { key: key.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn the_size_of_all_variables_is_bounded() {
        // {"KEY":"..."} takes ten bytes around the value.
        let largest = "v".repeat(limits::ENVIRONMENT_BYTES_MAX - 10);
        assert_eq!(check(&variables(&[("KEY", &largest)])), Ok(()));
        let error = check(&variables(&[("KEY", &format!("{largest}v"))])).unwrap_err().to_string();
        assert!(error.starts_with(
            "Lambda was unable to configure your environment variables because the environment variables you have \
             provided exceeded the 4KB limit. String measured: {\"KEY\":\"vv"
        ));
        assert_eq!(check(&BTreeMap::new()), Ok(()));
    }

    #[test]
    fn reserved_names_are_refused_together() {
        let error = check(&variables(&[("AWS_REGION", "x"), ("OK", "1"), ("AWS_ACCESS_KEY_ID", "k")])).unwrap_err();
        assert!(error.to_string().ends_with("Reserved keys used in this request: AWS_ACCESS_KEY_ID, AWS_REGION"));
        assert_eq!(check(&variables(&[("PATH", "/opt/bin"), ("PYTHONPATH", "/opt"), ("TZ", "UTC")])), Ok(()));
    }

    #[test]
    fn a_nul_is_refused() {
        assert_eq!(check(&variables(&[("KEY", "a\0b")])), Err(ParameterError::EnvironmentNul { key: "KEY".into() }));
    }
}
