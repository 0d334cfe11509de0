//! The Telemetry API and its predecessor, the Logs API: who has subscribed to what, and what they are sent.
//!
//! Sources: <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html>. What was written before a subscription, but in
//! the same initialisation, is sent as well, as Lambda does it. The subscription is open during initialisation only.

use crate::TELEMETRY_EARLY_BYTES_MAX;
use crate::telemetry_delivery::{Connector, Feed, deliver};
use crate::telemetry_request::{Api, Subscription};
use bytes::Bytes;
use gust_types::{Clock, SystemClock};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What a subscription chooses by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    /// What Lambda itself tells.
    Platform,
    /// The function's output.
    Function,
    /// The extensions' output.
    Extension,
}

impl Category {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Category::Platform => "platform",
            Category::Function => "function",
            Category::Extension => "extension",
        }
    }

    /// Its name in the function's log.
    pub fn title(self) -> &'static str {
        match self {
            Category::Platform => "Platform",
            Category::Function => "Function",
            Category::Extension => "Extension",
        }
    }
}

/// What is told of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A platform event's own document.
    Platform(Value),
    /// A line of output; one that is written as JSON becomes a document for those who asked for a schema that has it.
    Line {
        /// Without its end.
        text: String,
        /// Whether the function logs in JSON format.
        is_json: bool,
    },
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryEvent {
    /// What subscriptions choose it by.
    pub category: Category,
    /// For example `platform.start` or `function`.
    pub kind: &'static str,
    /// `2026-11-23T12:00:00.000Z`
    pub time: String,
    /// Its content.
    pub record: Record,
}

impl TelemetryEvent {
    fn size_bytes(&self) -> usize {
        match &self.record {
            Record::Line { text, .. } => text.len() + 64,
            Record::Platform(_) => 512,
        }
    }
}

struct Subscriber {
    name: String,
    subscription: Subscription,
    feed: Arc<Feed>,
    task: AbortHandle,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct State {
    is_closed: bool,
    early: VecDeque<TelemetryEvent>,
    early_bytes: usize,
    subscribers: Vec<Subscriber>,
}

/// Why a subscription is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SubscribeError {
    /// Initialisation is over: 403.
    Closed,
    /// The extension uses the other API: 400.
    OtherApi,
}

/// One subscription, as it is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionSummary {
    /// The extension's name.
    pub name: String,
    /// The Logs API, not the Telemetry API.
    pub is_logs_api: bool,
    /// What it asked for.
    pub categories: Vec<Category>,
}

/// The telemetry of one environment.
pub struct Telemetry {
    state: Mutex<State>,
    /// Whether anything that is published can reach anybody.
    is_wanted: AtomicBool,
    connector: OnceLock<Arc<dyn Connector>>,
    /// Whether the environment is frozen: nobody inside can answer then.
    paused: watch::Sender<bool>,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry {
            state: Mutex::default(),
            is_wanted: AtomicBool::new(true),
            connector: OnceLock::new(),
            paused: watch::Sender::new(false),
        }
    }
}

impl Telemetry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How subscribers are reached. Set once, before anybody can subscribe.
    pub fn set_connector(&self, connector: Arc<dyn Connector>) {
        let is_first = self.connector.set(connector).is_ok();
        debug_assert!(is_first, "an environment has one connector");
    }

    /// Whether publishing makes sense: asked first, because most environments have no subscriber.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    /// Tells all who want it.
    pub fn publish(&self, event: TelemetryEvent) {
        if !self.is_wanted() {
            return;
        }
        let mut state = self.lock();
        for subscriber in &state.subscribers {
            subscriber.offer(&event);
        }
        if !state.is_closed && state.early_bytes + event.size_bytes() <= TELEMETRY_EARLY_BYTES_MAX {
            state.early_bytes += event.size_bytes();
            state.early.push_back(event);
        }
    }

    /// Subscribes the extension `name`, in place of an earlier subscription of its own.
    pub(crate) fn subscribe(&self, name: &str, subscription: Subscription) -> Result<(), SubscribeError> {
        let Some(connector) = self.connector.get().cloned() else { return Err(SubscribeError::Closed) };
        let mut state = self.lock();
        if state.is_closed {
            return Err(SubscribeError::Closed);
        }
        let is_same_api = |subscriber: &Subscriber| subscriber.subscription.api.is_logs() == subscription.api.is_logs();
        if state.subscribers.iter().any(|subscriber| subscriber.name == name && !is_same_api(subscriber)) {
            return Err(SubscribeError::OtherApi);
        }
        state.subscribers.retain(|subscriber| subscriber.name != name);
        let feed = Arc::new(Feed::new(&subscription));
        let delivery = deliver(feed.clone(), subscription.destination.clone(), connector, self.paused.subscribe());
        let task = tokio::spawn(delivery).abort_handle();
        let types: Vec<&str> = subscription.categories.iter().map(|category| category.as_str()).collect();
        let kind =
            if subscription.api.is_logs() { "platform.logsSubscription" } else { "platform.telemetrySubscription" };
        let record = json!({"name": name, "state": "Subscribed", "types": types});
        let event =
            TelemetryEvent { category: Category::Platform, kind, time: now_text(), record: Record::Platform(record) };
        let subscriber = Subscriber { name: name.to_owned(), subscription, feed, task };
        for early in &state.early {
            subscriber.offer(early);
        }
        state.subscribers.push(subscriber);
        drop(state);
        self.publish(event);
        Ok(())
    }

    /// Initialisation is over: nobody can subscribe any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        (state.early, state.early_bytes) = (VecDeque::new(), 0);
        self.is_wanted.store(!state.subscribers.is_empty(), Ordering::Release);
    }

    /// Who has subscribed, for the function's log.
    pub fn summary(&self) -> Vec<SubscriptionSummary> {
        let of = |subscriber: &Subscriber| SubscriptionSummary {
            name: subscriber.name.clone(),
            is_logs_api: subscriber.subscription.api.is_logs(),
            categories: subscriber.subscription.categories.clone(),
        };
        self.lock().subscribers.iter().map(of).collect()
    }

    /// The environment is frozen, or runs again.
    pub fn set_paused(&self, is_paused: bool) {
        self.paused.send_replace(is_paused);
    }

    /// Sends what waits, and returns when all of it has been accepted or given up. The caller brings the time limit.
    pub async fn flush(&self) {
        let feeds: Vec<Arc<Feed>> = self.lock().subscribers.iter().map(|subscriber| subscriber.feed.clone()).collect();
        for feed in &feeds {
            feed.begin_flush();
        }
        for feed in feeds {
            feed.flushed().await;
        }
    }
}

impl Subscriber {
    fn offer(&self, event: &TelemetryEvent) {
        let api = self.subscription.api;
        if self.subscription.categories.contains(&event.category) && api.has(event.kind) {
            self.feed.push(encode(event, api));
        }
    }
}

fn encode(event: &TelemetryEvent, api: Api) -> Bytes {
    let record = match &event.record {
        Record::Platform(record) => record.clone(),
        // Since 2022-12-13 a line in JSON format is a document.
        Record::Line { text, is_json: true } if api.has_json_lines() && text.starts_with('{') => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        Record::Line { text, .. } => Value::String(text.clone()),
    };
    Bytes::from(json!({"time": event.time, "type": event.kind, "record": record}).to_string())
}

/// The current time as events have it.
pub(crate) fn now_text() -> String {
    let now = jiff::Timestamp::from_millisecond(SystemClock.now_ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
