//! The gateway's bounds, each with its unit and its reason.

use std::time::Duration;

/// Longest tracing header that is passed on, in bytes; AWS's own have about a hundred.
pub(crate) const TRACE_HEADER_BYTES_MAX: usize = 1_024;
/// Most connections of a public listener; more wait in the kernel's backlog.
pub const PUBLIC_CONNECTIONS_MAX: usize = 10_000;
/// Most connections of the listener inside one execution environment.
pub const ENVIRONMENT_CONNECTIONS_MAX: usize = 256;
/// Greatest size of a request's line and headers together, in bytes.
pub const HEADER_BYTES_MAX: usize = 65_536;
/// Most headers of a request.
pub const HEADERS_MAX: usize = 128;
/// Most requests at once on one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 128;
/// How long a client may take to send a request's headers.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a connection may be silent between requests.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(120);
/// How often a connection is looked at for the two above.
pub const WATCH_PERIOD: Duration = Duration::from_secs(15);
/// How long a client may pause within a request's body.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a client may take for a whole body.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(300);
/// The body of an operation that has no row in [`BODY_LIMITS`], in bytes.
pub const BODY_BYTES_MAX: usize = 10 * 1_048_576;
/// The event that a request to a function URL becomes, and therefore its body, in bytes.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html> (6 MB for synchronous invocations)
pub const URL_EVENT_BYTES_MAX: usize = 6 * 1_048_576;
/// The metadata before a streamed response of a function URL, in bytes: as much as a request's head may have.
pub const PRELUDE_BYTES_MAX: usize = HEADER_BYTES_MAX;
/// The body that is read of an unsigned request, only to see which service it is for, in bytes.
pub const UNSIGNED_BODY_BYTES_MAX: usize = 65_536;
/// How much of a refused body is read and thrown away so that the client gets to see the refusal, in bytes.
pub const DRAIN_BYTES_MAX: u64 = 128 * 1_048_576;
/// How long that may take.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(20);
/// A body up to this size is read without asking the budget, in bytes.
pub const BODY_UNBUDGETED_BYTES: usize = 262_144;
/// What larger bodies may occupy together, in bytes.
pub const BODY_BUDGET_BYTES: usize = 512 * 1_048_576;
/// How long a large body waits for its share of the budget.
pub const BODY_BUDGET_WAIT_MAX: Duration = Duration::from_secs(30);
/// Most operations that go on after their client has gone.
pub const DETACHED_MAX: usize = 10_000;
/// How long to wait after a failed accept (too many open files) before the next one.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A body's bound, and the operation's name as AWS spells it in the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit {
    /// The greatest size in bytes.
    pub bytes: usize,
    /// The operation's name in AWS's message.
    pub operation: &'static str,
}

/// Operations with a bound of their own: service, operation, bound.
///
/// Sources: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html> (6 MB of payload, 50 MB of zip);
/// the sizes and names are those of AWS's refusals.
const BODY_LIMITS: &[(&str, &str, BodyLimit)] = &[
    ("lambda", "Invoke", BodyLimit { bytes: 6_291_456, operation: "InvokeFunction" }),
    ("lambda", "InvokeWithResponseStream", BodyLimit { bytes: 6_291_456, operation: "InvokeFunction" }),
    ("lambda", "InvokeAsync", BodyLimit { bytes: 1_048_576, operation: "InvokeAsync" }),
    ("lambda", "CreateFunction", BodyLimit { bytes: 70_167_211, operation: "CreateFunction" }),
    ("lambda", "UpdateFunctionCode", BodyLimit { bytes: 70_167_211, operation: "UpdateFunctionCode" }),
    ("lambda", "PublishLayerVersion", BodyLimit { bytes: 70_167_211, operation: "PublishLayerVersion" }),
];

/// The bound of `service`'s `operation`.
pub fn body_limit(service: &str, operation: &'static str) -> BodyLimit {
    BODY_LIMITS
        .iter()
        .find(|(of_service, of_operation, _)| *of_service == service && *of_operation == operation)
        .map_or(BodyLimit { bytes: BODY_BYTES_MAX, operation }, |(_, _, limit)| *limit)
}

/// What a request to move the clock may be long, in bytes.
pub(crate) const CLOCK_BODY_BYTES_MAX: usize = 1_024;
