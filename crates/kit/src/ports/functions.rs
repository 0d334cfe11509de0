//! Functions: what runs, who finds it, who runs it.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use gust_store::{StoreError, Tx};
use gust_types::{AccountId, AwsError, Region, RequestId};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// All that is needed to run one revision of a function. Immutable: a change makes a new one.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionSpec {
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The name without qualifier.
    pub name: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// The ARN without qualifier.
    pub arn: String,
    /// Changes with code or configuration; environments of another revision are replaced.
    pub revision_id: String,
    /// For example `python3.12` or `provided.al2023`.
    pub runtime: String,
    /// For example `app.handler`; empty for custom runtimes that do not use it.
    pub handler: String,
    /// The execution role.
    pub role_arn: String,
    /// Memory in MiB, 128 to 10,240.
    pub memory_mb: u32,
    /// Time limit of one invocation in milliseconds.
    pub timeout_ms: u64,
    /// Size of `/tmp` in MiB, 512 to 10,240.
    pub tmp_mb: u32,
    /// The function's own environment variables.
    pub environment: BTreeMap<String, String>,
    /// The folder on the host that appears as `/var/task`, read-only.
    pub code_dir: PathBuf,
    /// The folder on the host with the content of all its layers, merged in their order, that appears as `/opt`,
    /// read-only; `None` for a function without layers.
    pub layers_dir: Option<PathBuf>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Where and how it logs.
    pub logging: Logging,
    /// `Active` or `PassThrough`.
    pub tracing_mode: String,
    /// Whether each request has to name a tenant, whose environments serve nobody else
    /// (TenancyConfig `PER_TENANT`).
    pub is_tenant_isolated: bool,
    /// Where events go that could not be processed (DeadLetterConfig).
    pub dead_letter_arn: Option<String>,
    /// Whether it may invoke itself in a loop (RecursiveLoop `Allow`).
    pub may_recurse: bool,
    /// Set while somebody develops the function: `code_dir` is then a folder of theirs.
    pub development: Option<Development>,
}

/// How a function runs while somebody develops it.
#[derive(Debug, Clone, PartialEq)]
pub struct Development {
    /// Where a debugger's server listens inside. There is then one environment at a time, without time limits, and it
    /// is not frozen: somebody looks at it for minutes.
    pub debug_port: Option<u16>,
    /// Keeps the folder as long as anything may run from it.
    pub hold: Hold,
}

impl FunctionSpec {
    /// Where a debugger's server listens inside; `None` for a function that is not being debugged.
    pub fn debug_port(&self) -> Option<u16> {
        self.development.as_ref()?.debug_port
    }
}

/// Keeps something in existence until the last clone is dropped.
#[derive(Clone)]
pub struct Hold(Arc<dyn Any + Send + Sync>);

impl Hold {
    /// Holds `kept`.
    pub fn new(kept: impl Any + Send + Sync) -> Hold {
        Hold(Arc::new(kept))
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hold")
    }
}

impl PartialEq for Hold {
    fn eq(&self, other: &Hold) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A function's LoggingConfig, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    /// Text or JSON.
    pub format: LogFormat,
    /// Least level of the function's own lines (JSON only).
    pub application_level: LogLevel,
    /// Least level of platform lines (JSON only).
    pub system_level: LogLevel,
    /// The log group.
    pub group: String,
}

/// `Text` or `JSON`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain lines.
    Text,
    /// One JSON object a line.
    Json,
}

/// Log levels in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// TRACE
    Trace,
    /// DEBUG
    Debug,
    /// INFO
    Info,
    /// WARN
    Warn,
    /// ERROR
    Error,
    /// FATAL
    Fatal,
}

/// One invocation to be run now.
#[derive(Debug, Clone)]
pub struct InvokeRequest {
    /// What runs.
    pub function: Arc<FunctionSpec>,
    /// The ARN as it was invoked (with qualifier if one was given).
    pub invoked_arn: String,
    /// The request id: the one the caller gets and the function sees.
    pub request_id: RequestId,
    /// The event: JSON.
    pub payload: Bytes,
    /// The decoded `X-Amz-Client-Context`: JSON text.
    pub client_context: Option<String>,
    /// The trace header (`Root=...;Parent=...;Sampled=...`), if there is one.
    pub trace_header: Option<String>,
    /// The tenant that it is for (`X-Amz-Tenant-Id`); there exactly if the function is isolated by tenant.
    pub tenant_id: Option<String>,
    /// Whether the caller waits for the log tail (`LogType=Tail`).
    pub tail: LogTail,
}

/// `LogType` of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogTail {
    /// `None`: the outcome comes as soon as the function has answered; its `log_tail` is empty.
    #[default]
    Omitted,
    /// `Tail`: the outcome comes with the REPORT line, and carries the last 4 KiB of the log.
    Wanted,
}

/// How an invocation ended. A function's failure is an outcome, not an error.
#[derive(Debug, Clone, PartialEq)]
pub struct InvokeOutcome {
    /// The response, or the error payload (`errorMessage`, `errorType`, ...).
    pub payload: Bytes,
    /// How it failed, if it did; rendered as `X-Amz-Function-Error`.
    pub failure: Option<InvokeFailure>,
    /// The last 4 KiB of its log lines, START to REPORT, for `LogType=Tail`.
    pub log_tail: Bytes,
    /// The version that ran.
    pub executed_version: String,
    /// How long the handler ran, in microseconds.
    pub duration_us: u64,
    /// How long initialisation took if this invocation paid for it, in microseconds.
    pub init_us: Option<u64>,
}

/// A response that is taken while the function still writes it. The function is held up until the next item is
/// asked for; if this is dropped, the function runs on and its output is thrown away.
pub struct InvokeStream {
    /// The content type that the runtime gave the response; `None` for a runtime that answers as a whole.
    pub content_type: Option<String>,
    /// The version that runs.
    pub executed_version: String,
    /// The response's parts, then how it ended. Without an end at its end, the invocation was lost.
    pub items: BoxStream<'static, StreamItem>,
}

/// A part of an [`InvokeStream`].
#[derive(Debug, Clone, PartialEq)]
pub enum StreamItem {
    /// The next bytes of the response.
    Chunk(Bytes),
    /// The last item: its `payload` is empty, or the error's document if it failed.
    End(InvokeOutcome),
}

/// What `X-Amz-Function-Error` says.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>. AWS answers `Unhandled`
/// for every failure of today's runtimes; `Handled` stays in the API for old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvokeFailure {
    /// The function, its runtime or its environment failed.
    Unhandled,
}

/// Why an invocation was not begun.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvokeError {
    /// A concurrency limit is reached: 429 TooManyRequestsException with this reason.
    #[error("throttled: {0:?}")]
    Throttled(ThrottleReason),
    /// The runtime is not there (no such interpreter, `--strict-runtimes`): message for the caller.
    #[error("{0}")]
    RuntimeUnavailable(String),
    /// The machine cannot start an environment; logged with its cause.
    #[error("no environment could be started: {0}")]
    Sandbox(String),
    /// The function is part of a loop that has reached it too often.
    #[error("a recursive loop was detected")]
    RecursiveLoop,
    /// gust is shutting down.
    #[error("gust is shutting down")]
    ShuttingDown,
}

/// The `Reason` of a TooManyRequestsException.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleReason {
    /// `ConcurrentInvocationLimitExceeded`: the account's limit.
    ConcurrentInvocationLimitExceeded,
    /// `ReservedFunctionConcurrentInvocationLimitExceeded`: the function's reserved concurrency.
    ReservedFunctionConcurrentInvocationLimitExceeded,
    /// `CallerRateLimitExceeded`: more requests than gust queues.
    CallerRateLimitExceeded,
}

impl ThrottleReason {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ThrottleReason::ConcurrentInvocationLimitExceeded => "ConcurrentInvocationLimitExceeded",
            ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded => {
                "ReservedFunctionConcurrentInvocationLimitExceeded"
            }
            ThrottleReason::CallerRateLimitExceeded => "CallerRateLimitExceeded",
        }
    }
}

/// An event accepted for asynchronous invocation: the durable record, one per event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AsyncEvent {
    /// The id, also the request id of each attempt.
    pub request_id: String,
    /// The owner.
    pub account: String,
    /// The region.
    pub region: String,
    /// The function's name.
    pub function: String,
    /// The qualifier as it was invoked.
    pub qualifier: Option<String>,
    /// The ARN as it was invoked.
    pub invoked_arn: String,
    /// The decoded client context.
    pub client_context: Option<String>,
    /// The trace header.
    pub trace_header: Option<String>,
    /// The tenant that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// When it was accepted, in milliseconds since the epoch.
    pub accepted_at_ms: i64,
    /// The event: JSON bytes, kept behind the record's head (see the queue's record).
    #[serde(skip)]
    pub payload: Bytes,
}

/// How asynchronous events of a function, a version or an alias are treated (FunctionEventInvokeConfig).
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_FunctionEventInvokeConfig.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventSettings {
    /// How often a failed event is tried again: 0 to 2. `None` is the default.
    pub retries_max: Option<u32>,
    /// How old an event may become, in milliseconds. `None` is the default.
    pub age_ms_max: Option<i64>,
    /// Where the record of a success goes: an ARN.
    pub on_success: Option<String>,
    /// Where the record of a failure goes: an ARN.
    pub on_failure: Option<String>,
}

/// Runs functions. Implemented by `gust-invoke`.
#[async_trait]
pub trait Invoker: Send + Sync + 'static {
    /// Runs one invocation and waits for its outcome.
    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeOutcome, InvokeError>;

    /// Runs one invocation and returns as soon as its response begins, or it ended without one.
    async fn invoke_streaming(&self, request: InvokeRequest) -> Result<InvokeStream, InvokeError>;

    /// Writes `event` into `tx`: the operation's own transaction is what accepts it. Its commit wakes
    /// the queue.
    fn enqueue(&self, tx: &mut dyn Tx, event: &AsyncEvent) -> Result<(), StoreError>;

    /// A version of a function (`$LATEST` or a number) was changed or removed: its idle environments of other
    /// revisions than `keep` go, busy ones finish what they run. Other versions are left alone.
    fn retire(&self, account: &AccountId, region: &Region, function: &str, version: &str, keep_revision: Option<&str>);

    /// From now on as many requests of the function, over all of its versions, run at a time as are reserved
    /// for it, and all others share what is left of the account's concurrency; `None` takes the reservation
    /// back. What runs is not touched. Whoever stores reservations tells them again after a start.
    fn reserve(&self, account: &AccountId, region: &Region, function: &str, reserved: Option<u32>);

    /// From now on `executions` environments of this published version are started ahead and kept ready, and as many
    /// requests of it have places of their own: within the function's reservation, or else out of the account's
    /// concurrency. Replaces what was said before; 0 ends it. Whoever stores it tells it again after a start.
    fn provision(&self, function: &Arc<FunctionSpec>, executions: u32);

    /// Nothing of a version is kept ready any more. No error if nothing was.
    fn unprovision(&self, account: &AccountId, region: &Region, function: &str, version: &str);

    /// How far it is with what [`Invoker::provision`] asked for; `None` if it was not asked for anything.
    fn provisioned(&self, account: &AccountId, region: &Region, function: &str, version: &str) -> Option<Provisioned>;
}

/// What is kept ready of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// Environments that are initialised, busy ones included.
    pub ready: u32,
    /// How it stands.
    pub status: ProvisionedStatus,
}

/// How it stands with what is to be kept ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProvisionedStatus {
    /// Not all of it has been there yet.
    InProgress,
    /// All of it was there; what has ended since is being replaced.
    Ready,
    /// The last start failed, for this reason. It is tried again.
    Failed(String),
}

/// Finds functions. Implemented by the lambda service.
#[async_trait]
pub trait FunctionCatalog: Send + Sync + 'static {
    /// The function `name` with `qualifier`. An alias that routes to two versions chooses anew with every call:
    /// ask once for each attempt. Errors are Lambda's own (ResourceNotFoundException ...).
    async fn resolve(
        &self,
        account: &AccountId,
        region: &Region,
        name: &str,
        qualifier: Option<&str>,
    ) -> Result<Arc<FunctionSpec>, AwsError>;

    /// How asynchronous events are treated that were invoked with `qualifier`, as it is set now: ask for each attempt. A
    /// function that does not exist has the defaults. Errors: the store's.
    async fn event_settings(
        &self,
        account: &AccountId,
        region: &Region,
        name: &str,
        qualifier: Option<&str>,
    ) -> Result<Arc<EventSettings>, AwsError>;
}
