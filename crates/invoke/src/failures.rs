//! The payloads of failed invocations, as Lambda words them today.
//!
//! Sources: <https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>; the time-out's document
//! was `{"errorMessage":"<time> <id> Task timed out ..."}` until 2024 and is what stands here since.

use crate::logs::Status;
use bytes::Bytes;
use gust_runtime_api::{ExtensionFailure, FunctionFailure};
use gust_sandbox::Exit;
use serde::Serialize;

/// A failure that the platform reports in the runtime's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlatformFailure {
    /// The function's time was up.
    TimedOut {
        /// Its time limit in milliseconds.
        timeout_ms: u64,
    },
    /// The main process ended.
    Exited(Exit),
    /// An extension failed.
    Extension(ExtensionFailure),
    /// The response was too large.
    ResponseTooLarge {
        /// What it may have, in bytes.
        bytes_max: usize,
    },
    /// There is nothing to execute; the text names what is wrong.
    InvalidEntrypoint(String),
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "errorType")]
    error_type: &'a str,
    #[serde(rename = "errorMessage")]
    error_message: &'a str,
}

impl PlatformFailure {
    /// `errorType`.
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            PlatformFailure::TimedOut { .. } => "Sandbox.Timedout",
            PlatformFailure::Exited(exit) if exit.oom_killed => "Runtime.OutOfMemory",
            PlatformFailure::Exited(_) => "Runtime.ExitError",
            PlatformFailure::Extension(failure) => failure.error_type,
            PlatformFailure::ResponseTooLarge { .. } => "Function.ResponseSizeTooLarge",
            PlatformFailure::InvalidEntrypoint(_) => "Runtime.InvalidEntrypoint",
        }
    }

    /// As START, REPORT and the like tell it.
    pub(crate) fn status(&self) -> Status {
        match self {
            PlatformFailure::TimedOut { .. } => Status::Timeout,
            failure => Status::Error(failure.error_type().to_owned()),
        }
    }

    /// `errorMessage`.
    pub(crate) fn error_message(&self, request_id: &str) -> String {
        match self {
            PlatformFailure::ResponseTooLarge { bytes_max } => {
                format!("Response payload size exceeded maximum allowed payload size ({bytes_max} bytes).")
            }
            other => format!("RequestId: {request_id} Error: {}", other.cause()),
        }
    }

    /// What follows `Error: `.
    pub(crate) fn cause(&self) -> String {
        match self {
            PlatformFailure::TimedOut { timeout_ms } => timed_out(*timeout_ms),
            PlatformFailure::Exited(exit) => exit_cause(exit),
            PlatformFailure::Extension(failure) => failure.cause.clone(),
            PlatformFailure::InvalidEntrypoint(cause) => cause.clone(),
            PlatformFailure::ResponseTooLarge { .. } => String::new(),
        }
    }

    /// The invocation's payload.
    pub(crate) fn payload(&self, request_id: &str) -> Bytes {
        let message = self.error_message(request_id);
        let document = Document { error_type: self.error_type(), error_message: &message };
        serde_json::to_vec(&document).expect("texts always serialise into memory").into()
    }

    /// The line in the function's log, if this failure has one.
    pub(crate) fn log_line(&self, request_id: &str, now_ms: i64) -> Option<String> {
        match self {
            PlatformFailure::TimedOut { timeout_ms } => {
                let time = crate::logs::timestamp(now_ms);
                Some(format!("{time} {request_id} {}\n", timed_out(*timeout_ms)))
            }
            PlatformFailure::Exited(_) | PlatformFailure::Extension(_) | PlatformFailure::InvalidEntrypoint(_) => {
                Some(format!("{}\n{}", self.error_message(request_id), self.error_type()))
            }
            PlatformFailure::ResponseTooLarge { .. } => None,
        }
    }
}

/// The failure of a runtime that lives, and broke off its response. The name is that of Lambda's own runtime
/// interface; the message is inferred.
pub(crate) fn truncated_response(request_id: &str) -> FunctionFailure {
    let error_type = "Runtime.TruncatedResponse";
    let message = format!("RequestId: {request_id} Error: the response ended before it was complete");
    let document = Document { error_type, error_message: &message };
    let body = serde_json::to_vec(&document).expect("texts always serialise into memory").into();
    FunctionFailure { body, error_type: Some(error_type.to_owned()) }
}

fn timed_out(timeout_ms: u64) -> String {
    format!("Task timed out after {}.{:02} seconds", timeout_ms / 1_000, timeout_ms % 1_000 / 10)
}

fn exit_cause(exit: &Exit) -> String {
    match (exit.signal, exit.code) {
        _ if exit.oom_killed => "Runtime exited with error: signal: killed".to_owned(),
        (Some(signal), _) => format!("Runtime exited with error: signal: {}", signal_text(signal)),
        (None, Some(code)) if code != 0 => format!("Runtime exited with error: exit status {code}"),
        _ => "Runtime exited without providing a reason".to_owned(),
    }
}

/// A signal by the words that Lambda uses for it.
pub(crate) fn signal_text(signal: i32) -> String {
    let text = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        31 => "bad system call",
        other => return format!("signal {other}"),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: Option<i32>, signal: Option<i32>, oom_killed: bool) -> PlatformFailure {
        PlatformFailure::Exited(Exit { code, signal, oom_killed })
    }

    #[test]
    fn payloads_are_lambdas() {
        let cases = [
            (
                PlatformFailure::TimedOut { timeout_ms: 3_000 },
                r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: X Error: Task timed out after 3.00 seconds"}"#,
            ),
            (
                exit(Some(1), None, false),
                r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: X Error: Runtime exited with error: exit status 1"}"#,
            ),
            (
                exit(Some(0), None, false),
                r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: X Error: Runtime exited without providing a reason"}"#,
            ),
            (
                exit(None, Some(11), false),
                r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: X Error: Runtime exited with error: signal: segmentation fault"}"#,
            ),
            (
                exit(Some(137), None, true),
                r#"{"errorType":"Runtime.OutOfMemory","errorMessage":"RequestId: X Error: Runtime exited with error: signal: killed"}"#,
            ),
            (
                PlatformFailure::ResponseTooLarge { bytes_max: gust_runtime_api::RESPONSE_BYTES_MAX },
                r#"{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}"#,
            ),
        ];
        for (failure, expected) in cases {
            assert_eq!(failure.payload("X"), expected);
        }
    }

    #[test]
    fn log_lines_are_lambdas() {
        let timed_out = PlatformFailure::TimedOut { timeout_ms: 900_000 }.log_line("X", 0).unwrap();
        assert_eq!(timed_out, "1970-01-01T00:00:00.000Z X Task timed out after 900.00 seconds\n");
        let exited = exit(Some(1), None, false).log_line("X", 0).unwrap();
        assert_eq!(exited, "RequestId: X Error: Runtime exited with error: exit status 1\nRuntime.ExitError");
        assert_eq!(PlatformFailure::ResponseTooLarge { bytes_max: 1 }.log_line("X", 0), None);
    }
}
