//! gust's own routes, beside AWS's operations.

use async_trait::async_trait;
use bytes::Bytes;
use gust_types::AccountId;

/// What gust's own routes do. Implemented by the binary, which knows all parts.
#[async_trait]
pub trait AdminHandlers: Send + Sync + 'static {
    /// `GET /_gust/health`: status, version, services.
    async fn health(&self) -> serde_json::Value;

    /// `GET /_gust/stats`: what was counted of the functions of `account`, since when.
    async fn stats(&self, account: &AccountId) -> serde_json::Value;

    /// `POST /_gust/reset`: empties an ephemeral gust.
    async fn reset(&self) -> Result<(), ResetError>;

    /// `POST /_gust/clock`: moves the clock of an ephemeral gust forward by so many milliseconds, and returns what it
    /// shows then, in milliseconds since the epoch.
    async fn move_clock(&self, by_ms: i64) -> Result<i64, ClockError>;

    /// `GET /_gust/code/...`: the content type and the bytes behind a link that gust gave out, by its path and query
    /// as they came; `None` if there is no such link or it has expired.
    async fn download(&self, path_and_query: &str) -> Option<(String, Bytes)>;
}

/// Why the clock was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockError {
    /// This gust keeps its data, and lives in real time: the answer is 409.
    NotEphemeral,
    /// It would have to go back, or too far: the answer is 400.
    OutOfRange,
}

/// Why nothing was emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetError {
    /// This gust keeps its data: the answer is 409.
    NotEphemeral,
    /// It failed; the text is logged and not shown.
    Failed(String),
}
