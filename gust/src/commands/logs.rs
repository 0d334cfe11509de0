//! `gust logs`: what functions wrote, once or as it comes.

use crate::cli;
use crate::client::{Client, FilterRequest, LogEvent, now_ms};
use crate::failure::Failure;
use owo_colors::OwoColorize;
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// Pause between two looks for new lines.
const FOLLOW_PAUSE_MS: u64 = 500;
/// Lines may arrive this much later than others that carry a younger time.
const LATE_MS_MAX: i64 = 10_000;
/// How many shown events are remembered, so that none is shown twice.
const SHOWN_MAX: usize = 100_000;
/// Most pages that are read in one go.
const PAGES_MAX: usize = 10_000;

/// Prints the events; with `--follow` until Ctrl-C.
pub async fn run(arguments: cli::Logs) -> Result<(), Failure> {
    let client = Client::new(&arguments.target)?;
    let group = group_of(&client, &arguments.name).await?;
    let since_ms = i64::try_from(arguments.since.as_millis()).unwrap_or(i64::MAX);
    let mut follower = Follower {
        filter: arguments.filter,
        is_json: arguments.json,
        ..Follower::new(group, now_ms().saturating_sub(since_ms))
    };
    if !arguments.follow {
        return follower.read_once(&client).await;
    }
    follower.show_new(&client).await?;
    loop {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                return interrupted.map_err(|cause| Failure::new(format!("cannot listen for Ctrl-C: {cause}")));
            }
            () = tokio::time::sleep(Duration::from_millis(FOLLOW_PAUSE_MS)) => {}
        }
        follower.show_new(&client).await?;
    }
}

/// A function that was never invoked has no log group yet: following waits for it.
fn tolerate_missing(outcome: Result<(), Failure>) -> Result<(), Failure> {
    match outcome {
        Err(failure) if failure.message.starts_with("ResourceNotFoundException") => Ok(()),
        other => other,
    }
}

/// The log group of a function, as its LoggingConfig names it.
async fn group_of(client: &Client, name: &str) -> Result<String, Failure> {
    if name.starts_with('/') {
        return Ok(name.to_owned());
    }
    let configuration = client.configuration(name).await?;
    match configuration["LoggingConfig"]["LogGroup"].as_str() {
        Some(group) => Ok(group.to_owned()),
        None => Ok(format!("/aws/lambda/{}", configuration["FunctionName"].as_str().unwrap_or(name))),
    }
}

/// Shows the events of a log group, each once.
pub struct Follower {
    group: String,
    filter: Option<String>,
    is_json: bool,
    from_ms: i64,
    shown: Shown,
}

impl Follower {
    /// Events from `from_ms` on, in milliseconds since the epoch.
    pub fn new(group: String, from_ms: i64) -> Follower {
        Follower { group, filter: None, is_json: false, from_ms, shown: Shown::default() }
    }

    /// Prints what is new since the last time. A group that is not there yet has no events.
    pub async fn show_new(&mut self, client: &Client) -> Result<(), Failure> {
        tolerate_missing(self.read_once(client).await)
    }

    /// Prints what is new since the last time.
    async fn read_once(&mut self, client: &Client) -> Result<(), Failure> {
        let mut token: Option<String> = None;
        let mut newest_ms = self.from_ms;
        for _ in 0..PAGES_MAX {
            let request = FilterRequest {
                group: &self.group,
                pattern: self.filter.as_deref(),
                from_ms: self.from_ms,
                next_token: token.as_deref(),
            };
            let page = client.filter_log_events(&request).await?;
            for event in &page.events {
                newest_ms = newest_ms.max(event.timestamp_ms);
                if self.shown.insert(&event.id) {
                    print_event(event, self.is_json);
                }
            }
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        self.from_ms = self.from_ms.max(newest_ms.saturating_sub(LATE_MS_MAX));
        Ok(())
    }
}

/// The ids of the events that were printed last.
#[derive(Default)]
struct Shown {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Shown {
    /// Remembers `id`; false if it was there already.
    fn insert(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > SHOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

fn print_event(event: &LogEvent, as_json: bool) {
    if as_json {
        let document: Value = json!({
            "timestamp": event.timestamp_ms,
            "logStreamName": event.stream,
            "eventId": event.id,
            "message": event.message,
        });
        anstream::println!("{document}");
        return;
    }
    let text = event.message.trim_end_matches('\n');
    anstream::println!("{} {}", time_of_day(event.timestamp_ms).dimmed(), painted(text));
}

/// Platform lines stand back, errors stand out.
fn painted(text: &str) -> String {
    const PLATFORM: [&str; 4] = ["START RequestId:", "END RequestId:", "REPORT RequestId:", "INIT_START"];
    const TROUBLE: [&str; 4] = ["[ERROR]", "ERROR", "Traceback", "Task timed out"];
    if PLATFORM.iter().any(|head| text.starts_with(head)) {
        return text.dimmed().to_string();
    }
    if TROUBLE.iter().any(|mark| text.contains(mark)) {
        return text.red().to_string();
    }
    text.to_owned()
}

/// `HH:MM:SS.mmm` in UTC.
fn time_of_day(timestamp_ms: i64) -> String {
    let ms = timestamp_ms.rem_euclid(86_400_000);
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_shown_once() {
        let mut shown = Shown::default();
        assert!(shown.insert("a"));
        assert!(!shown.insert("a"));
        for id in 0..SHOWN_MAX {
            shown.insert(&id.to_string());
        }
        assert!(shown.insert("a"), "only the latest ids are remembered");
        assert_eq!(shown.ids.len(), SHOWN_MAX);
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(time_of_day(1_700_000_000_123), "22:13:20.123");
        assert_eq!(time_of_day(-1), "23:59:59.999");
    }
}
