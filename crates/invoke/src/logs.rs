//! What Lambda writes into a function's log: START, END, REPORT and the initialisation's lines, as text or
//! as JSON platform events, filtered by level.
//!
//! Sources: <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>, and for the levels of
//! platform events <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>.

use gust_kit::ports::{FunctionSpec, LogFormat, LogLevel, Logging};
use gust_runtime_api::{ExtensionSummary, SubscriptionSummary};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// `2026-11-23T12:00:00.000Z`
pub(crate) fn timestamp(now_ms: i64) -> String {
    in_utc(now_ms, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

/// `2026/11/23`
pub(crate) fn date(now_ms: i64) -> String {
    in_utc(now_ms, "%Y/%m/%d")
}

fn in_utc(now_ms: i64, format: &str) -> String {
    let time = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime(format).to_string()
}

/// In which phase an initialisation ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InitPhase {
    /// Before the first invocation.
    Init,
    /// Long before it: provisioned concurrency.
    Ahead,
    /// Repeated inside the first invocation.
    Invoke,
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// Well.
    Success,
    /// The function reported an error: an error in JSON; text does not mention it.
    FunctionError(Option<String>),
    /// The platform reported an error of this type.
    Error(String),
    /// Its time was up.
    Timeout,
}

/// What a REPORT tells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) duration_us: u64,
    pub(crate) init_us: Option<u64>,
    /// Not what was initialised ahead.
    pub(crate) is_init_billed: bool,
    pub(crate) memory_mb: u32,
    pub(crate) used_mb: u64,
    pub(crate) status: Status,
}

impl Report<'_> {
    /// What is billed, in whole milliseconds: the initialisation too, since 2025-08-01.
    pub(crate) fn billed_ms(&self) -> u64 {
        let init_us = self.init_us.filter(|_| self.is_init_billed).unwrap_or(0);
        (self.duration_us + init_us).div_ceil(1_000)
    }
}

/// Something that Lambda itself writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PlatformEvent<'a> {
    InitStart { phase: InitPhase, spec: &'a FunctionSpec, runtime_version: &'a str, stream: &'a str },
    InitReport { phase: InitPhase, duration_us: u64, status: Status },
    InitRuntimeDone { phase: InitPhase, status: Status },
    Extension(&'a ExtensionSummary),
    Subscription(&'a SubscriptionSummary),
    Start { request_id: &'a str, spec: &'a FunctionSpec, trace_header: &'a str },
    RuntimeDone { request_id: &'a str, duration_us: u64, produced_bytes: usize, status: Status },
    End { request_id: &'a str },
    Report(Report<'a>),
}

/// The line of `event` in this function's log; `None` where its format or level has none.
pub(crate) fn line(logging: &Logging, now_ms: i64, event: &PlatformEvent<'_>) -> Option<String> {
    match logging.format {
        LogFormat::Text => text_line(event),
        LogFormat::Json => {
            let (level, kind, record) = json_record(event)?;
            (level >= logging.system_level)
                .then(|| json!({"time": timestamp(now_ms), "type": kind, "record": record}).to_string())
        }
    }
}

/// Milliseconds as Lambda prints them, from microseconds.
fn ms_text(duration_us: u64) -> String {
    let hundredths = (duration_us + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn text_line(event: &PlatformEvent<'_>) -> Option<String> {
    match event {
        PlatformEvent::InitStart { spec, runtime_version, .. } => {
            let arn = runtime_version_arn(spec, runtime_version);
            Some(format!("INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {arn}"))
        }
        PlatformEvent::InitReport { status: Status::Success, .. }
        | PlatformEvent::InitRuntimeDone { .. }
        | PlatformEvent::RuntimeDone { .. } => None,
        PlatformEvent::Extension(extension) => Some(extension_text(extension)),
        PlatformEvent::Subscription(subscription) => Some(subscription_text(subscription)),
        PlatformEvent::InitReport { phase, duration_us, status } => {
            let (phase, status) = (phase_text(*phase), status_text(status));
            Some(format!("INIT_REPORT Init Duration: {} ms\tPhase: {phase}{status}", ms_text(*duration_us)))
        }
        PlatformEvent::Start { request_id, spec, .. } => {
            Some(format!("START RequestId: {request_id} Version: {}", spec.version))
        }
        PlatformEvent::End { request_id } => Some(format!("END RequestId: {request_id}")),
        PlatformEvent::Report(report) => Some(report_text(report)),
    }
}

fn extension_text(extension: &ExtensionSummary) -> String {
    let ExtensionSummary { name, state, events, error_type } = extension;
    let error = error_type.as_ref().map(|error_type| format!("\tError Type: {error_type}")).unwrap_or_default();
    format!("EXTENSION\tName: {name}\tState: {state}\tEvents: [{}]{error}", events.join(", "))
}

fn subscription_text(subscription: &SubscriptionSummary) -> String {
    let api = if subscription.is_logs_api { "LOGS" } else { "TELEMETRY" };
    let types: Vec<&str> = subscription.categories.iter().map(|category| category.title()).collect();
    format!("{api}\tName: {}\tState: Subscribed\tTypes: [{}]", subscription.name, types.join(", "))
}

fn report_text(report: &Report<'_>) -> String {
    let init = report.init_us.map(|init_us| format!("\tInit Duration: {} ms", ms_text(init_us))).unwrap_or_default();
    let status = status_text(&report.status);
    format!(
        "REPORT RequestId: {}\tDuration: {} ms\tBilled Duration: {} ms\tMemory Size: {} MB\tMax Memory Used: {} MB{init}{}",
        report.request_id,
        ms_text(report.duration_us),
        report.billed_ms(),
        report.memory_mb,
        report.used_mb,
        if status.is_empty() { "\t" } else { &status },
    )
}

fn phase_text(phase: InitPhase) -> &'static str {
    match phase {
        InitPhase::Init | InitPhase::Ahead => "init",
        InitPhase::Invoke => "invoke",
    }
}

/// As `AWS_LAMBDA_INITIALIZATION_TYPE` has it.
pub(crate) fn initialization_type(phase: InitPhase) -> &'static str {
    match phase {
        InitPhase::Init | InitPhase::Invoke => "on-demand",
        InitPhase::Ahead => "provisioned-concurrency",
    }
}

fn status_text(status: &Status) -> String {
    match status {
        Status::Success | Status::FunctionError(_) => String::new(),
        Status::Error(error_type) => format!("\tStatus: error\tError Type: {error_type}"),
        Status::Timeout => "\tStatus: timeout".to_owned(),
    }
}

fn ms_number(duration_us: u64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "a duration in microseconds is far below 2^52")]
    let ms = duration_us as f64 / 1_000.0;
    json!(ms)
}

fn with_status(record: &mut Map<String, Value>, status: &Status) {
    let (text, error_type) = match status {
        Status::Success => ("success", None),
        Status::FunctionError(error_type) => ("error", error_type.clone()),
        Status::Error(error_type) => ("error", Some(error_type.clone())),
        Status::Timeout => ("timeout", None),
    };
    record.insert("status".to_owned(), text.into());
    if let Some(error_type) = error_type {
        record.insert("errorType".to_owned(), error_type.into());
    }
}

/// The type and the record of `event` for those who have subscribed to telemetry; `None` for what they are told of
/// otherwise.
pub(crate) fn telemetry(event: &PlatformEvent<'_>) -> Option<(&'static str, Value)> {
    match event {
        // Told when the subscription is made.
        PlatformEvent::Subscription(_) => None,
        PlatformEvent::End { request_id } => Some(("platform.end", json!({"requestId": request_id}))),
        event => json_record(event).map(|(_, kind, record)| (kind, record)),
    }
}

/// An event as JSON: its level, its type, its record.
fn json_record(event: &PlatformEvent<'_>) -> Option<(LogLevel, &'static str, Value)> {
    let ok_level = |status: &Status, ok: LogLevel| if *status == Status::Success { ok } else { LogLevel::Warn };
    let mut record = Map::new();
    let mut set = |name: &str, value: Value| record.insert(name.to_owned(), value);
    let (level, kind) = match event {
        PlatformEvent::InitStart { phase, spec, runtime_version, stream } => {
            set("initializationType", initialization_type(*phase).into());
            set("phase", phase_text(*phase).into());
            set("runtimeVersion", (*runtime_version).into());
            set("runtimeVersionArn", runtime_version_arn(spec, runtime_version).into());
            set("functionName", spec.name.clone().into());
            set("functionArn", spec.arn.clone().into());
            set("functionVersion", spec.version.clone().into());
            set("instanceId", (*stream).into());
            set("instanceMaxMemory", (u64::from(spec.memory_mb) << 20).into());
            (LogLevel::Info, "platform.initStart")
        }
        PlatformEvent::InitReport { phase, duration_us, status } => {
            set("initializationType", initialization_type(*phase).into());
            set("phase", phase_text(*phase).into());
            set("metrics", json!({"durationMs": ms_number(*duration_us)}));
            with_status(&mut record, status);
            (ok_level(status, LogLevel::Debug), "platform.initReport")
        }
        PlatformEvent::InitRuntimeDone { phase, status } => {
            set("initializationType", initialization_type(*phase).into());
            set("phase", phase_text(*phase).into());
            with_status(&mut record, status);
            (ok_level(status, LogLevel::Debug), "platform.initRuntimeDone")
        }
        PlatformEvent::Extension(extension) => {
            set("name", extension.name.clone().into());
            set("state", extension.state.into());
            set("events", extension.events.clone().into());
            if let Some(error_type) = &extension.error_type {
                set("errorType", error_type.clone().into());
            }
            (LogLevel::Info, "platform.extension")
        }
        PlatformEvent::Subscription(subscription) => {
            let types: Vec<&str> = subscription.categories.iter().map(|category| category.as_str()).collect();
            set("name", subscription.name.clone().into());
            set("state", "Subscribed".into());
            set("types", types.into());
            let is_logs_api = subscription.is_logs_api;
            let kind = if is_logs_api { "platform.logsSubscription" } else { "platform.telemetrySubscription" };
            (LogLevel::Info, kind)
        }
        PlatformEvent::Start { request_id, spec, trace_header } => {
            set("requestId", (*request_id).into());
            set("functionArn", spec.arn.clone().into());
            set("version", spec.version.clone().into());
            if spec.tracing_mode == "Active" {
                set("tracing", json!({"type": "X-Amzn-Trace-Id", "value": trace_header}));
            }
            (LogLevel::Info, "platform.start")
        }
        PlatformEvent::RuntimeDone { request_id, duration_us, produced_bytes, status } => {
            set("requestId", (*request_id).into());
            set("metrics", json!({"durationMs": ms_number(*duration_us), "producedBytes": produced_bytes}));
            with_status(&mut record, status);
            (ok_level(status, LogLevel::Debug), "platform.runtimeDone")
        }
        // JSON has no END: the report says it.
        PlatformEvent::End { .. } => return None,
        PlatformEvent::Report(report) => {
            let mut metrics = json!({
                "durationMs": ms_number(report.duration_us),
                "billedDurationMs": report.billed_ms(),
                "memorySizeMB": report.memory_mb,
                "maxMemoryUsedMB": report.used_mb,
            });
            if let Some(init_us) = report.init_us {
                metrics["initDurationMs"] = ms_number(init_us);
            }
            set("requestId", report.request_id.into());
            set("metrics", metrics);
            with_status(&mut record, &report.status);
            (ok_level(&report.status, LogLevel::Info), "platform.report")
        }
    };
    Some((level, kind, Value::Object(record)))
}

/// An ARN for a runtime's version, the same on every machine: AWS's are hashes without further meaning.
fn runtime_version_arn(spec: &FunctionSpec, runtime_version: &str) -> String {
    let mut hash = String::with_capacity(64);
    for seed in 0..4_u64 {
        // FNV-1a, 64 bit.
        let start = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
        let mixed =
            runtime_version.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        hash.push_str(&format!("{mixed:016x}"));
    }
    format!("arn:{}:lambda:{}::runtime:{hash}", spec.region.partition(), spec.region)
}

/// Whether a line that the function wrote belongs into its log, by its level.
///
/// Levels filter only in JSON format. `level` is that of the log pipe (0 none, 1 trace ... 6 fatal); for what
/// came over stdout it is the `level` of a JSON object, and INFO where there is none.
pub(crate) fn is_wanted(logging: &Logging, level: u8, text: &str) -> bool {
    if logging.format == LogFormat::Text || logging.application_level == LogLevel::Trace {
        return true;
    }
    let level = match level {
        1 => LogLevel::Trace,
        2 => LogLevel::Debug,
        3 => LogLevel::Info,
        4 => LogLevel::Warn,
        5 => LogLevel::Error,
        6 => LogLevel::Fatal,
        _ => level_of_json(text).unwrap_or(LogLevel::Info),
    };
    level >= logging.application_level
}

fn level_of_json(text: &str) -> Option<LogLevel> {
    if !text.starts_with('{') {
        return None;
    }
    let document: Value = serde_json::from_str(text).ok()?;
    match document.get("level")?.as_str()?.to_ascii_uppercase().as_str() {
        "TRACE" => Some(LogLevel::Trace),
        "DEBUG" => Some(LogLevel::Debug),
        "INFO" => Some(LogLevel::Info),
        "WARN" | "WARNING" => Some(LogLevel::Warn),
        "ERROR" => Some(LogLevel::Error),
        "FATAL" | "CRITICAL" => Some(LogLevel::Fatal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    fn report(init_us: Option<u64>, status: Status) -> PlatformEvent<'static> {
        PlatformEvent::Report(Report {
            request_id: "X",
            duration_us: 1_230,
            init_us,
            is_init_billed: true,
            memory_mb: 128,
            used_mb: 38,
            status,
        })
    }

    #[test]
    fn text_lines_are_lambdas() {
        let spec = spec("f");
        let line = |event: &PlatformEvent<'_>| line(&spec.logging, 0, event);
        let start = PlatformEvent::Start { request_id: "X", spec: &spec, trace_header: "" };
        assert_eq!(line(&start).unwrap(), "START RequestId: X Version: $LATEST");
        assert_eq!(line(&PlatformEvent::End { request_id: "X" }).unwrap(), "END RequestId: X");
        assert_eq!(
            line(&report(Some(90_120), Status::Success)).unwrap(),
            "REPORT RequestId: X\tDuration: 1.23 ms\tBilled Duration: 92 ms\tMemory Size: 128 MB\tMax Memory Used: 38 MB\tInit Duration: 90.12 ms\t"
        );
        assert_eq!(
            line(&report(None, Status::FunctionError(None))).unwrap(),
            "REPORT RequestId: X\tDuration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 38 MB\t"
        );
        assert!(line(&report(None, Status::Timeout)).unwrap().ends_with("Max Memory Used: 38 MB\tStatus: timeout"));
        let error = Status::Error("Runtime.ExitError".to_owned());
        assert!(
            line(&report(Some(1_000), error.clone()))
                .unwrap()
                .ends_with("38 MB\tInit Duration: 1.00 ms\tStatus: error\tError Type: Runtime.ExitError")
        );
        let init =
            PlatformEvent::InitReport { phase: InitPhase::Init, duration_us: 10_000_120, status: Status::Timeout };
        assert_eq!(line(&init).unwrap(), "INIT_REPORT Init Duration: 10000.12 ms\tPhase: init\tStatus: timeout");
        let start = PlatformEvent::InitStart {
            phase: InitPhase::Init,
            spec: &spec,
            runtime_version: "python:3.12.v7",
            stream: "s",
        };
        let start = line(&start).unwrap();
        let prefix =
            "INIT_START Runtime Version: python:3.12.v7\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:";
        assert!(start.starts_with(prefix) && start.len() == prefix.len() + 64, "{start}");
    }

    #[test]
    fn extensions_and_subscriptions_have_lambdas_lines() {
        let logging = spec("f").logging;
        let mut extension = ExtensionSummary {
            name: "e".to_owned(),
            state: "Ready",
            events: vec!["INVOKE", "SHUTDOWN"],
            error_type: None,
        };
        let text = line(&logging, 0, &PlatformEvent::Extension(&extension)).unwrap();
        assert_eq!(text, "EXTENSION\tName: e\tState: Ready\tEvents: [INVOKE, SHUTDOWN]");
        (extension.state, extension.events) = ("LaunchError", Vec::new());
        extension.error_type = Some("PermissionDenied".to_owned());
        let text = line(&logging, 0, &PlatformEvent::Extension(&extension)).unwrap();
        assert_eq!(text, "EXTENSION\tName: e\tState: LaunchError\tEvents: []\tError Type: PermissionDenied");
        let subscription = SubscriptionSummary {
            name: "e".to_owned(),
            is_logs_api: false,
            categories: vec![gust_runtime_api::Category::Platform, gust_runtime_api::Category::Function],
        };
        let text = line(&logging, 0, &PlatformEvent::Subscription(&subscription)).unwrap();
        assert_eq!(text, "TELEMETRY\tName: e\tState: Subscribed\tTypes: [Platform, Function]");
    }

    #[test]
    fn json_lines_have_lambdas_members_and_levels() {
        let mut spec = spec("f");
        spec.logging.format = LogFormat::Json;
        let got = line(&spec.logging, 1_700_000_000_123, &report(Some(145_399), Status::Success)).unwrap();
        let expected = json!({"time": "2023-11-14T22:13:20.123Z", "type": "platform.report", "record": {
            "requestId": "X", "status": "success", "metrics": {"durationMs": 1.23, "billedDurationMs": 147,
            "memorySizeMB": 128, "maxMemoryUsedMB": 38, "initDurationMs": 145.399}}});
        assert_eq!(serde_json::from_str::<Value>(&got).unwrap(), expected);
        let done = |status| PlatformEvent::RuntimeDone { request_id: "X", duration_us: 1, produced_bytes: 2, status };
        assert_eq!(line(&spec.logging, 0, &done(Status::Success)), None, "DEBUG");
        assert!(line(&spec.logging, 0, &done(Status::Timeout)).is_some(), "WARN");
        spec.logging.system_level = LogLevel::Warn;
        assert_eq!(line(&spec.logging, 0, &report(None, Status::Success)), None);
        assert!(line(&spec.logging, 0, &report(None, Status::Timeout)).is_some());
    }

    #[test]
    fn levels_filter_the_functions_lines_in_json_format_only() {
        let mut logging = spec("f").logging;
        logging.application_level = LogLevel::Warn;
        assert!(is_wanted(&logging, 2, "text format keeps all"));
        logging.format = LogFormat::Json;
        let cases = [
            (3, "", false),
            (5, "", true),
            (0, "plain", false),
            (0, "{\"level\":\"error\"}", true),
            (0, "{\"level\":\"debug\"}", false),
            (0, "{\"level\":7}", false),
            (0, "{broken", false),
        ];
        for (level, text, wanted) in cases {
            assert_eq!(is_wanted(&logging, level, text), wanted, "{level} {text}");
        }
    }
}
