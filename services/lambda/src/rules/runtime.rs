//! Which runtimes a function may ask for.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html>. A runtime that AWS still runs
//! for existing functions is usable here, deprecated or not, as long as gust has something to run it with.

use crate::api::Runtime;
use crate::error::ParameterError;

/// Checks that gust runs `runtime`.
///
/// Errors: [`ParameterError::RuntimeRetired`] for what AWS has retired, [`ParameterError::Unsupported`] for
/// what gust cannot run yet.
pub fn check(runtime: Runtime) -> Result<(), ParameterError> {
    let name = runtime.as_str();
    let successor = RETIRED.iter().find(|(retired, _)| *retired == name).map(|(_, successor)| *successor);
    match (runtime, successor) {
        (_, Some(successor)) => Err(ParameterError::RuntimeRetired { runtime: name, successor }),
        (
            Runtime::Nodejs18X
            | Runtime::Nodejs20X
            | Runtime::Nodejs22X
            | Runtime::Nodejs24X
            | Runtime::Python3_9
            | Runtime::Python3_10
            | Runtime::Python3_11
            | Runtime::Python3_12
            | Runtime::Python3_13
            | Runtime::Python3_14
            | Runtime::ProvidedAl2
            | Runtime::ProvidedAl2023,
            None,
        ) => Ok(()),
        _ => Err(ParameterError::Unsupported {
            member: "Runtime",
            reason: format!(
                "{name} cannot be run yet; nodejs18.x to nodejs24.x, python3.9 to python3.14, provided.al2 and \
                 provided.al2023 can."
            ),
        }),
    }
}

/// Runtimes for which AWS no longer creates or updates functions, each with the one that it recommends.
const RETIRED: &[(&str, &str)] = &[
    ("dotnet6", "dotnet8"),
    ("dotnetcore1.0", "dotnet8"),
    ("dotnetcore2.0", "dotnet8"),
    ("dotnetcore2.1", "dotnet8"),
    ("dotnetcore3.1", "dotnet8"),
    ("go1.x", "provided.al2023"),
    ("java8", "java21"),
    ("nodejs", "nodejs22.x"),
    ("nodejs10.x", "nodejs22.x"),
    ("nodejs12.x", "nodejs22.x"),
    ("nodejs14.x", "nodejs22.x"),
    ("nodejs4.3", "nodejs22.x"),
    ("nodejs4.3-edge", "nodejs22.x"),
    ("nodejs6.10", "nodejs22.x"),
    ("nodejs8.10", "nodejs22.x"),
    ("provided", "provided.al2023"),
    ("python2.7", "python3.13"),
    ("python3.6", "python3.13"),
    ("python3.7", "python3.13"),
    ("python3.8", "python3.13"),
    ("ruby2.5", "ruby3.4"),
    ("ruby2.7", "ruby3.4"),
];

/// Whether the function brings its own program.
pub fn is_custom(runtime: &str) -> bool {
    runtime.starts_with("provided")
}

/// Checks the architecture against the machine's (`x86_64` or `arm64`). An interpreter runs what it is
/// given on any machine, so that a managed runtime's architecture has no effect; a program does not.
///
/// Errors: [`ParameterError::Unsupported`] for a program of another architecture.
pub fn check_architecture(architecture: &str, runtime: &str, machine: &str) -> Result<(), ParameterError> {
    if architecture == machine || !is_custom(runtime) {
        return Ok(());
    }
    let reason = format!("this machine runs {machine} programs, and the function's is one for {architecture}.");
    Err(ParameterError::Unsupported { member: "Architectures", reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_node_and_custom_runtimes_run() {
        let python = ["python3.9", "python3.12", "python3.14"];
        let node = ["nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x"];
        for name in python.iter().chain(&node).chain(&["provided.al2", "provided.al2023"]) {
            assert_eq!(check(Runtime::parse(name).unwrap()), Ok(()), "{name}");
        }
    }

    #[test]
    fn others_are_refused_by_name() {
        for (name, successor) in
            [("python2.7", "python3.13"), ("go1.x", "provided.al2023"), ("provided", "provided.al2023")]
        {
            let error = check(Runtime::parse(name).unwrap()).unwrap_err().to_string();
            let expected = format!(
                "The runtime parameter of {name} is no longer supported for creating or updating AWS Lambda functions. \
                 We recommend you use the new runtime ({successor}) while creating or updating functions."
            );
            assert_eq!(error, expected);
        }
        for name in ["java21", "ruby3.4", "dotnet8", "python3.15"] {
            let error = check(Runtime::parse(name).unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("gust does not support Runtime: {name} cannot be run yet")), "{error}");
        }
    }

    #[test]
    fn every_runtime_of_the_model_has_an_answer() {
        for (name, successor) in RETIRED {
            assert!(Runtime::parse(name).is_some() && Runtime::parse(successor).is_some(), "{name}, {successor}");
        }
        for runtime in Runtime::ALL {
            let _ = check(*runtime);
        }
    }

    #[test]
    fn programs_must_fit_the_machine() {
        assert_eq!(check_architecture("arm64", "python3.12", "x86_64"), Ok(()));
        assert_eq!(check_architecture("x86_64", "provided.al2023", "x86_64"), Ok(()));
        let error = check_architecture("arm64", "provided.al2023", "x86_64").unwrap_err().to_string();
        assert!(error.starts_with("gust does not support Architectures:"), "{error}");
    }
}
