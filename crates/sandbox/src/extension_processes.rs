//! External extensions: processes of their own in the sandbox, started before the program.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-extensions.html>.

use std::io;

use crate::ExtensionEnd;
use crate::supervisor::{Addresses, Executable, NotExecuted, Plan, start_program};

/// Variables of the runtime that extensions do not get.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
const HIDDEN_VARIABLES: &[&str] = &[
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
];

/// An extension's process, or why there is none.
pub(crate) type ExtensionProcess = Result<i32, ExtensionEnd>;

/// Starts all extensions, in their order. One that cannot be started does not keep the others from it.
pub(crate) fn start(plan: &Plan<'_>, addresses: &Addresses) -> Vec<ExtensionProcess> {
    plan.create.extensions.iter().map(|path| start_one(plan, path, addresses)).collect()
}

fn start_one(plan: &Plan<'_>, path: &str, addresses: &Addresses) -> ExtensionProcess {
    let failed = |error: io::Error| {
        let cause = match error.get_ref().and_then(|source| source.downcast_ref::<NotExecuted>()) {
            Some(NotExecuted(cause)) => cause.clone(),
            None => error.to_string(),
        };
        ExtensionEnd::NotStarted { cause }
    };
    let Some(output) = plan.extension_output else {
        return Err(failed(io::Error::other("extensions without a pipe for their output")));
    };
    let argv = [path.to_owned()];
    let program = Executable {
        path,
        argv: &argv,
        output,
        log: None,
        channel: None,
        directory: "/",
        hidden: HIDDEN_VARIABLES,
        gate: None,
    };
    start_program(plan, &program, addresses).map(|process| process.pid).map_err(failed)
}
