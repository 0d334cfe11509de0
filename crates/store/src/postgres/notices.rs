//! Wake-ups between gust nodes: LISTEN and NOTIFY where the server has them, and waking everybody from time
//! to time, since a notice is sent after its commit and can be lost.

use super::connection::Connector;
use crate::wake::Hub;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Client, NoTls};

/// How many commits' topics wait to be sent; more are left to the others' polling.
const QUEUE_COMMITS_MAX: usize = 4_096;
/// Greatest size of a topic that is sent, in bytes: servers take payloads below 8,000.
const TOPIC_BYTES_MAX: usize = 7_000;
/// How often everybody is woken while notices come, in milliseconds.
const POLL_LISTENING_MS: u64 = 10_000;
/// The same while they do not.
const POLL_DEAF_MS: u64 = 1_000;
/// How often old transactions' ids are removed, in milliseconds.
const PURGE_MS: u64 = 60_000;

const PURGE: &str = "DELETE FROM gust_transaction WHERE at < now() - interval '5 minutes'";

/// Sends topics to the other nodes and hears theirs.
pub(crate) struct Notices {
    outgoing: mpsc::Sender<Vec<String>>,
    task: AbortHandle,
}

impl Notices {
    /// Starts the task that does so.
    pub(crate) fn start(connector: Connector, hub: Arc<Hub>) -> Notices {
        let (outgoing, topics) = mpsc::channel(QUEUE_COMMITS_MAX);
        let task = tokio::spawn(run(connector, hub, topics)).abort_handle();
        Notices { outgoing, task }
    }

    /// Sends `topics` soon, if there is room for them.
    pub(crate) fn send(&self, topics: Vec<String>) {
        if !topics.is_empty() {
            // A full queue costs the other nodes one polling interval, and no commit waits for it.
            let _ = self.outgoing.try_send(topics);
        }
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Keeps a connection for notices; while there is none, wakes everybody often.
async fn run(connector: Connector, hub: Arc<Hub>, mut topics: mpsc::Receiver<Vec<String>>) {
    loop {
        if let Err(error) = listen(&connector, &hub, &mut topics).await {
            tracing::debug!(error, "no notices from the database: polling");
        }
        if topics.is_closed() {
            return;
        }
        hub.wake_all();
        tokio::time::sleep(Duration::from_millis(POLL_DEAF_MS)).await;
    }
}

/// Sends and hears notices until the connection ends.
async fn listen(connector: &Connector, hub: &Hub, topics: &mut mpsc::Receiver<Vec<String>>) -> Result<(), String> {
    let connected = connector.config().connect(NoTls).await;
    let (client, mut connection) = connected.map_err(|error| error.to_string())?;
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    let hear = async {
        while let Some(message) = messages.next().await {
            if let AsyncMessage::Notification(notice) = message.map_err(|error| error.to_string())? {
                hub.wake(notice.payload());
            }
        }
        Err("the connection ended".to_owned())
    };
    tokio::select! {
        ended = hear => ended,
        ended = talk(&client, hub, topics) => ended,
    }
}

async fn talk(client: &Client, hub: &Hub, topics: &mut mpsc::Receiver<Vec<String>>) -> Result<(), String> {
    client.batch_execute("LISTEN gust_wake").await.map_err(|error| error.to_string())?;
    // What was sent before is lost.
    hub.wake_all();
    let mut poll = tokio::time::interval(Duration::from_millis(POLL_LISTENING_MS));
    let mut purge = tokio::time::interval(Duration::from_millis(PURGE_MS));
    loop {
        tokio::select! {
            first = topics.recv() => {
                let Some(mut all) = first else { return Ok(()) };
                while let Ok(more) = topics.try_recv() {
                    all.extend(more);
                }
                all.sort_unstable();
                all.dedup();
                all.retain(|topic| topic.len() <= TOPIC_BYTES_MAX);
                let notify = "SELECT count(pg_notify('gust_wake', topic)) FROM unnest($1::text[]) AS topic";
                client.query(notify, &[&all]).await.map_err(|error| error.to_string())?;
            }
            _ = poll.tick() => hub.wake_all(),
            _ = purge.tick() => {
                client.execute(PURGE, &[]).await.map_err(|error| error.to_string())?;
            }
        }
    }
}
