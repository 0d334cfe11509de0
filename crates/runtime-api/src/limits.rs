//! Every bound of the Runtime API and the private channel.

/// Greatest response of a function in bytes, as Lambda counts it.
///
/// Source: the message of `Function.ResponseSizeTooLarge`, and
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html> (6 MB).
pub const RESPONSE_BYTES_MAX: usize = 6_291_556;
/// Greatest streamed response of a function in bytes.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html> (200 MB).
pub const STREAMED_RESPONSE_BYTES_MAX: usize = 200 * 1024 * 1024;
/// Greatest part of a streamed response on the private channel, in bytes.
pub const STREAM_CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Longest content type of a streamed response in bytes; a longer one counts as none.
pub const CONTENT_TYPE_BYTES_MAX: usize = 1024;
/// Greatest frame of the private channel in bytes, each way: 6 MiB of payload and 64 KiB around it.
pub const FRAME_BYTES_MAX: usize = 6 * 1024 * 1024 + 64 * 1024;
/// How many bytes of an oversized HTTP body are read and thrown away before the connection is closed,
/// so that a client that writes before it reads sees its 413.
pub const OVERSIZE_DRAIN_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Connections to one environment's Runtime API at a time.
pub const CONNECTIONS_MAX: usize = 64;
/// Longest line of stdout or stderr in bytes (a log event of CloudWatch Logs holds 256 KB); longer ones
/// are cut into several.
pub const LINE_BYTES_MAX: usize = 256 * 1024;
/// Longest text of one frame of the log pipe in bytes; what is longer is cut.
pub const LOG_TEXT_BYTES_MAX: usize = 256 * 1024;
/// Extensions of one environment, external and internal ones together.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
pub const EXTENSIONS_MAX: usize = 10;
/// Body of a call of the Extensions, Telemetry and Logs APIs in bytes.
pub const EXTENSION_BODY_BYTES_MAX: usize = 64 * 1024;
/// Events of the time before anybody has subscribed that are kept for whoever will, in bytes.
pub const TELEMETRY_EARLY_BYTES_MAX: usize = 256 * 1024;
/// Events that wait for one subscriber, in bytes; more are dropped, counted, and reported as `platform.logsDropped`. Twice
/// the largest batch that a subscription may ask for.
pub const TELEMETRY_WAITING_BYTES_MAX: usize = 2 << 20;
/// How long a subscriber may take to accept one batch.
pub const TELEMETRY_POST_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);
/// How often a batch is offered before it is dropped.
pub const TELEMETRY_ATTEMPTS_MAX: u32 = 3;
/// How long the next attempt waits.
pub const TELEMETRY_RETRY_AFTER: std::time::Duration = std::time::Duration::from_millis(200);
/// What is read of a subscriber's answer, in bytes; one that says more loses its connection.
pub const TELEMETRY_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How long the rest of an accepting answer is waited for.
pub const TELEMETRY_ANSWER_LIMIT: std::time::Duration = std::time::Duration::from_millis(200);
