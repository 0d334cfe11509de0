//! Sends one subscriber's events in batches, into the sandbox, in bounded memory and time.
//!
//! Whoever listens there is the function's owner's code: it may be slow, hang, answer without end or not be there. All that
//! it can do is lose events of its own.

use crate::telemetry::{Category, now_text};
use crate::telemetry_request::{Destination, Subscription};
use crate::{
    TELEMETRY_ANSWER_BYTES_MAX, TELEMETRY_ANSWER_LIMIT, TELEMETRY_ATTEMPTS_MAX, TELEMETRY_POST_LIMIT,
    TELEMETRY_RETRY_AFTER, TELEMETRY_WAITING_BYTES_MAX,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Reaches ports of the loopback inside an environment.
pub trait Connector: Send + Sync + 'static {
    /// Connects; the caller brings the time limit.
    fn connect(&self, port: u16) -> BoxFuture<'_, io::Result<TcpStream>>;
}

#[derive(Default)]
struct FeedState {
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// When the oldest one that waits came.
    since: Option<Instant>,
    dropped_records: u64,
    dropped_bytes: u64,
    is_flushing: bool,
    is_sending: bool,
}

/// The events that wait for one subscriber.
pub(crate) struct Feed {
    state: Mutex<FeedState>,
    changed: watch::Sender<()>,
    items_max: usize,
    bytes_max: usize,
    timeout: Duration,
    is_told_of_losses: bool,
}

impl Feed {
    pub(crate) fn new(subscription: &Subscription) -> Feed {
        Feed {
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            items_max: subscription.items_max,
            bytes_max: subscription.bytes_max,
            timeout: subscription.timeout,
            is_told_of_losses: subscription.categories.contains(&Category::Platform),
        }
    }

    fn lock(&self) -> MutexGuard<'_, FeedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, event: Bytes) {
        let mut state = self.lock();
        if state.waiting_bytes + event.len() > TELEMETRY_WAITING_BYTES_MAX {
            state.dropped_records += 1;
            state.dropped_bytes += event.len() as u64;
            return;
        }
        state.waiting_bytes += event.len();
        state.since.get_or_insert_with(Instant::now);
        state.waiting.push_back(event);
        drop(state);
        self.changed.send_replace(());
    }

    pub(crate) fn begin_flush(&self) {
        self.lock().is_flushing = true;
        self.changed.send_replace(());
    }

    /// Waits until nothing waits any more.
    pub(crate) async fn flushed(&self) {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let mut state = self.lock();
                if state.waiting.is_empty() && !state.is_sending {
                    state.is_flushing = false;
                    return;
                }
            }
            let _ = changed.changed().await;
        }
    }

    /// Takes a batch once one is due.
    async fn batch(&self) -> Vec<Bytes> {
        let mut changed = self.changed.subscribe();
        loop {
            let due_at = {
                let mut state = self.lock();
                let due_at = state.since.map(|since| since + self.timeout);
                let is_full = state.waiting.len() >= self.items_max || state.waiting_bytes >= self.bytes_max;
                let is_due = is_full || state.is_flushing || due_at.is_some_and(|at| at <= Instant::now());
                if is_due && !state.waiting.is_empty() {
                    return self.take(&mut state);
                }
                due_at
            };
            let due = async {
                match due_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = due => {}
            }
        }
    }

    fn take(&self, state: &mut FeedState) -> Vec<Bytes> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        if state.dropped_records > 0 && self.is_told_of_losses {
            batch.push(losses(state.dropped_records, state.dropped_bytes));
            (state.dropped_records, state.dropped_bytes) = (0, 0);
        }
        while let Some(event) = state.waiting.front() {
            // One that is larger than a batch goes alone.
            let fits = batch.len() < self.items_max && (bytes == 0 || bytes + event.len() <= self.bytes_max);
            if !fits {
                break;
            }
            bytes += event.len();
            batch.extend(state.waiting.pop_front());
        }
        state.waiting_bytes -= bytes;
        state.since = (!state.waiting.is_empty()).then(Instant::now);
        state.is_sending = true;
        batch
    }

    fn sent(&self, lost: Option<&[Bytes]>) {
        let mut state = self.lock();
        state.is_sending = false;
        if let Some(lost) = lost {
            state.dropped_records += lost.len() as u64;
            state.dropped_bytes += lost.iter().map(|event| event.len() as u64).sum::<u64>();
        }
        drop(state);
        self.changed.send_replace(());
    }
}

/// `platform.logsDropped`
fn losses(records: u64, bytes: u64) -> Bytes {
    let reason = "Some logs were dropped because the downstream consumer is slower than the logs production rate";
    let record = json!({"reason": reason, "droppedRecords": records, "droppedBytes": bytes});
    Bytes::from(json!({"time": now_text(), "type": "platform.logsDropped", "record": record}).to_string())
}

/// Sends `feed`'s events until it is aborted.
pub(crate) async fn deliver(
    feed: Arc<Feed>,
    destination: Destination,
    connector: Arc<dyn Connector>,
    mut paused: watch::Receiver<bool>,
) {
    let mut courier = Courier { destination, connector, http: None, tcp: None };
    loop {
        let batch = feed.batch().await;
        let mut is_accepted = false;
        for attempt in 0..TELEMETRY_ATTEMPTS_MAX {
            if attempt > 0 {
                sleep(TELEMETRY_RETRY_AFTER).await;
            }
            match running_limit(&mut paused, courier.send(&batch)).await {
                Some(Ok(())) => {
                    is_accepted = true;
                    break;
                }
                Some(Err(error)) => tracing::debug!(%error, "a telemetry subscriber did not accept a batch"),
                None => tracing::debug!("a telemetry subscriber did not answer in time"),
            }
            courier.hang_up();
        }
        feed.sent((!is_accepted).then_some(batch.as_slice()));
    }
}

/// Runs `work` for at most [`TELEMETRY_POST_LIMIT`], not counting the time in which the environment is frozen.
async fn running_limit<T>(paused: &mut watch::Receiver<bool>, work: impl Future<Output = T>) -> Option<T> {
    // Nothing is begun that cannot be answered. (An error: the environment is gone, and this task with it.)
    let _ = paused.wait_for(|is_paused| !is_paused).await;
    tokio::pin!(work);
    loop {
        let expired = async {
            let _ = paused.wait_for(|is_paused| !is_paused).await;
            tokio::select! {
                () = sleep(TELEMETRY_POST_LIMIT) => true,
                _ = paused.wait_for(|is_paused| *is_paused) => false,
            }
        };
        tokio::select! {
            result = &mut work => return Some(result),
            is_over = expired => if is_over { return None },
        }
    }
}

/// Ends its task when it is dropped.
struct Driven<T> {
    sender: T,
    driver: JoinHandle<()>,
}

impl<T> Drop for Driven<T> {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

struct Courier {
    destination: Destination,
    connector: Arc<dyn Connector>,
    http: Option<Driven<SendRequest<Full<Bytes>>>>,
    tcp: Option<TcpStream>,
}

impl Courier {
    fn hang_up(&mut self) {
        (self.http, self.tcp) = (None, None);
    }

    async fn send(&mut self, batch: &[Bytes]) -> io::Result<()> {
        match self.destination.clone() {
            Destination::Http { authority, path, method, .. } => {
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header(HOST, authority)
                    .header(CONTENT_TYPE, "application/json")
                    .body(Full::new(array(batch)))
                    .map_err(io::Error::other)?;
                self.post(request).await
            }
            Destination::Tcp { port } => {
                if self.tcp.is_none() {
                    self.tcp = Some(self.connector.connect(port).await?);
                }
                let stream = self.tcp.as_mut().ok_or(io::ErrorKind::NotConnected)?;
                stream.write_all(&lines(batch)).await
            }
        }
    }

    async fn post(&mut self, request: Request<Full<Bytes>>) -> io::Result<()> {
        if self.http.as_ref().is_none_or(|connection| connection.sender.is_closed()) {
            let stream = self.connector.connect(self.destination.port()).await?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to a telemetry subscriber broke");
                }
            });
            self.http = Some(Driven { sender, driver });
        }
        let connection = self.http.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        connection.sender.ready().await.map_err(io::Error::other)?;
        let response = connection.sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        // Accepted as soon as the status says so; the rest is only read so that the connection can be used again.
        let rest = Limited::new(response.into_body(), TELEMETRY_ANSWER_BYTES_MAX).collect();
        if !matches!(timeout(TELEMETRY_ANSWER_LIMIT, rest).await, Ok(Ok(_))) {
            self.http = None;
        }
        if status.is_success() { Ok(()) } else { Err(io::Error::other(format!("status {status}"))) }
    }
}

fn array(batch: &[Bytes]) -> Bytes {
    let mut body = Vec::with_capacity(batch.iter().map(|event| event.len() + 1).sum::<usize>() + 1);
    for (number, event) in batch.iter().enumerate() {
        body.push(if number == 0 { b'[' } else { b',' });
        body.extend_from_slice(event);
    }
    body.push(b']');
    body.into()
}

fn lines(batch: &[Bytes]) -> Bytes {
    let mut body = Vec::with_capacity(batch.iter().map(|event| event.len() + 1).sum());
    for event in batch {
        body.extend_from_slice(event);
        body.push(b'\n');
    }
    body.into()
}
