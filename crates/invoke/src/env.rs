//! The environment variables of a function.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>

use gust_kit::ports::{Credentials, FunctionSpec, LogFormat, LogLevel};

const PATH: &str = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin";
const LD_LIBRARY_PATH: &str =
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib";

/// Whether `runtime` is the OS-only family, whose programs speak the HTTP Runtime API.
pub(crate) fn is_custom(runtime: &str) -> bool {
    runtime.starts_with("provided")
}

/// Whether a variable acts when a program is executed, so that a runtime cannot be forked for it.
fn acts_at_exec(name: &str) -> bool {
    name == "AWS_LAMBDA_EXEC_WRAPPER"
        || name == "GLIBC_TUNABLES"
        || ["PYTHON", "LD_", "MALLOC_"].iter().any(|prefix| name.starts_with(prefix))
}

const LANG: &str = "en_US.UTF-8";
const TZ: &str = ":UTC";

/// Whether the function sets something that Node.js or what it is made of reads at its start, so that a process that
/// runs already cannot serve it.
pub(crate) fn needs_own_node(spec: &FunctionSpec) -> bool {
    spec.environment.iter().any(|(name, value)| match name.as_str() {
        // Read when they are needed.
        "NODE_ENV" | "NODE_PATH" | "NODE_TLS_REJECT_UNAUTHORIZED" => false,
        "LANG" => value != LANG,
        "AWS_LAMBDA_EXEC_WRAPPER" | "GLIBC_TUNABLES" => true,
        name => {
            ["NODE_", "UV_", "LC_", "LD_", "MALLOC_", "SSL_", "OPENSSL_"].iter().any(|start| name.starts_with(start))
        }
    })
}

/// Whether the function sets something that acts at exec, so that a fork of a zygote cannot serve it.
pub(crate) fn needs_own_python(spec: &FunctionSpec) -> bool {
    spec.environment.keys().any(|name| acts_at_exec(name))
}

/// What a Node.js process has in its environment before it has a function.
pub(crate) fn node_before_function() -> Vec<(String, String)> {
    let pairs =
        [("LANG", LANG), ("TZ", TZ), ("PATH", PATH), ("LD_LIBRARY_PATH", LD_LIBRARY_PATH), ("_GUST_PREBOOTED", "1")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// The name of a level in `AWS_LAMBDA_LOG_LEVEL`.
pub(crate) fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Trace => "TRACE",
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warn => "WARN",
        LogLevel::Error => "ERROR",
        LogLevel::Fatal => "FATAL",
    }
}

/// Everything that a function finds in its environment when it starts. `AWS_LAMBDA_RUNTIME_API` and, unless the
/// function sets it, `AWS_ENDPOINT_URL` are added by whoever makes the sandbox, because only it knows the ports.
///
/// Where both set a variable, the platform's value holds for those that Lambda reserves, the function's
/// for the others.
pub(crate) fn variables(
    spec: &FunctionSpec,
    initialization_type: &str,
    log_stream: &str,
    credentials: &Credentials,
) -> Vec<(String, String)> {
    let mut reserved: Vec<(&str, String)> = vec![
        ("_HANDLER", spec.handler.clone()),
        ("AWS_REGION", spec.region.as_str().to_owned()),
        ("AWS_DEFAULT_REGION", spec.region.as_str().to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", spec.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", spec.version.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory_mb.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", initialization_type.to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", spec.logging.group.clone()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream.to_owned()),
        ("AWS_ACCESS_KEY_ID", credentials.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.clone()),
        ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
        ("TZ", TZ.to_owned()),
    ];
    if let Some(token) = &credentials.session_token {
        reserved.push(("AWS_SESSION_TOKEN", token.clone()));
    }
    if !is_custom(&spec.runtime) {
        reserved.push(("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", spec.runtime)));
    }
    let (format, is_json) = match spec.logging.format {
        LogFormat::Text => ("Text", false),
        LogFormat::Json => ("JSON", true),
    };
    reserved.push(("AWS_LAMBDA_LOG_FORMAT", format.to_owned()));
    if is_json {
        reserved.push(("AWS_LAMBDA_LOG_LEVEL", level_name(spec.logging.application_level).to_owned()));
    }
    // Nothing listens at the daemon's address yet; on the loopback, datagrams to it vanish without an error.
    let defaults = [
        ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"),
        ("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000"),
        ("_AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1"),
        ("_AWS_XRAY_DAEMON_PORT", "2000"),
        ("LANG", LANG),
        ("PATH", PATH),
        ("LD_LIBRARY_PATH", LD_LIBRARY_PATH),
    ];
    let mut variables: Vec<(String, String)> =
        reserved.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    for (name, value) in &spec.environment {
        if !variables.iter().any(|(taken, _)| taken == name) {
            variables.push((name.clone(), value.clone()));
        }
    }
    let is_executed = !spec.runtime.starts_with("python") || spec.environment.keys().any(|name| acts_at_exec(name));
    for (name, value) in defaults {
        // The platform's search path for libraries is for programs that are executed: a runtime that is
        // forked has it already, and a variable that only we set must not force an execution.
        let is_wanted = name != "LD_LIBRARY_PATH" || is_executed;
        if is_wanted && !variables.iter().any(|(taken, _)| taken == name) {
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    fn of(spec: &FunctionSpec) -> Vec<(String, String)> {
        let credentials = Credentials {
            access_key_id: "ASIAX".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: Some("token".to_owned()),
            expires_at_ms: None,
        };
        variables(spec, "on-demand", "stream", &credentials)
    }

    fn get<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let mut found = variables.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let value = found.next();
        assert!(found.next().is_none(), "{name} is set twice");
        value
    }

    #[test]
    fn the_function_sets_what_is_not_reserved() {
        let mut spec = spec("f");
        spec.runtime = "python3.12".to_owned();
        for (name, value) in [("AWS_REGION", "mars"), ("LANG", "C"), ("AWS_ENDPOINT_URL", "http://x"), ("MY", "1")] {
            spec.environment.insert(name.to_owned(), value.to_owned());
        }
        let variables = of(&spec);
        assert_eq!(get(&variables, "AWS_REGION"), Some("us-east-1"));
        assert_eq!(get(&variables, "LANG"), Some("C"));
        assert_eq!(get(&variables, "AWS_ENDPOINT_URL"), Some("http://x"));
        assert_eq!(get(&variables, "MY"), Some("1"));
        spec.environment.remove("AWS_ENDPOINT_URL");
        assert_eq!(get(&of(&spec), "AWS_ENDPOINT_URL"), None, "its port is known where the sandbox is made");
        assert_eq!(get(&variables, "AWS_EXECUTION_ENV"), Some("AWS_Lambda_python3.12"));
        assert_eq!(get(&variables, "AWS_SESSION_TOKEN"), Some("token"));
        assert_eq!(get(&variables, "LD_LIBRARY_PATH"), None);
        spec.environment.insert("PYTHONPATH".to_owned(), "/opt/x".to_owned());
        assert!(get(&of(&spec), "LD_LIBRARY_PATH").is_some());
        assert_eq!(get(&variables, "AWS_LAMBDA_LOG_LEVEL"), None);
    }

    #[test]
    fn what_acts_at_the_start_of_node_needs_a_process_of_its_own() {
        let needs = |name: &str, value: &str| {
            let mut spec = spec("f");
            spec.environment.insert(name.to_owned(), value.to_owned());
            needs_own_node(&spec)
        };
        for name in [
            "NODE_OPTIONS",
            "UV_THREADPOOL_SIZE",
            "LD_PRELOAD",
            "NODE_EXTRA_CA_CERTS",
            "AWS_LAMBDA_EXEC_WRAPPER",
            "LC_ALL",
        ] {
            assert!(needs(name, "1"), "{name}");
        }
        for name in ["NODE_ENV", "NODE_PATH", "MY_NODE", "PYTHONPATH"] {
            assert!(!needs(name, "production"), "{name}");
        }
        assert!(needs("LANG", "de_DE.UTF-8") && !needs("LANG", "en_US.UTF-8"));
    }

    #[test]
    fn custom_runtimes_have_no_execution_env_but_a_library_path() {
        let mut spec = spec("f");
        spec.runtime = "provided.al2023".to_owned();
        spec.logging.format = LogFormat::Json;
        let variables = of(&spec);
        assert_eq!(get(&variables, "AWS_EXECUTION_ENV"), None);
        assert_eq!(get(&variables, "AWS_LAMBDA_LOG_LEVEL"), Some("INFO"));
        assert!(get(&variables, "LD_LIBRARY_PATH").is_some());
        assert_eq!(get(&variables, "_HANDLER"), Some("app.handler"));
    }
}
