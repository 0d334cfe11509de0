//! Where a function's output goes.

use gust_types::{AccountId, Region};
use std::sync::Arc;

/// A log stream, by name; created with its group on the first write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogDestination {
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The group, for example `/aws/lambda/thumbnails`.
    pub group: Arc<str>,
    /// The stream, for example `2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef`.
    pub stream: Arc<str>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Its text. A function's lines end with a newline, as they do in AWS's own GetLogEvents.
    pub message: String,
}

/// Takes a function's output. Implemented by the logs service.
pub trait LogSink: Send + Sync + 'static {
    /// Hands over `lines` and returns at once: they are readable within 200 ms and on disk with the
    /// next segment. When the bounded buffer is full the oldest lines give way and a line that counts
    /// them takes their place; a caller is never made to wait.
    fn write(&self, destination: &LogDestination, lines: Vec<LogLine>);
}
