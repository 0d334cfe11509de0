//! FilterLogEvents, page by page.

use super::Client;
use crate::failure::Failure;
use serde_json::{Value, json};

/// What to search for.
#[derive(Debug, Clone)]
pub struct FilterRequest<'a> {
    /// The log group.
    pub group: &'a str,
    /// The filter pattern.
    pub pattern: Option<&'a str>,
    /// Events from this time on, in milliseconds since the epoch.
    pub from_ms: i64,
    /// Where the previous page ended.
    pub next_token: Option<&'a str>,
}

/// One event found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Its unique id.
    pub id: String,
    /// The stream.
    pub stream: String,
    /// When, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Its text.
    pub message: String,
}

/// One page of events.
pub struct FilterPage {
    /// The events, oldest first.
    pub events: Vec<LogEvent>,
    /// Where the next page begins.
    pub next_token: Option<String>,
}

impl Client {
    /// One page of matching events.
    pub async fn filter_log_events(&self, request: &FilterRequest<'_>) -> Result<FilterPage, Failure> {
        let mut input = json!({"logGroupName": request.group, "startTime": request.from_ms});
        if let Some(pattern) = request.pattern {
            input["filterPattern"] = pattern.into();
        }
        if let Some(token) = request.next_token {
            input["nextToken"] = token.into();
        }
        let output = self.logs("FilterLogEvents", &input).await?;
        let events = output["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(FilterPage {
            events: events.iter().map(read_event).collect(),
            next_token: output["nextToken"].as_str().map(str::to_owned),
        })
    }
}

fn read_event(event: &Value) -> LogEvent {
    let text = |member: &str| event[member].as_str().unwrap_or_default().to_owned();
    LogEvent {
        id: text("eventId"),
        stream: text("logStreamName"),
        timestamp_ms: event["timestamp"].as_i64().unwrap_or_default(),
        message: text("message"),
    }
}
