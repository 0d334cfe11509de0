//! Group commit: one thread judges transactions in the order in which they come, writes all that may
//! commit with one sync, makes them visible and answers.
//!
//! While a sync runs, the next group gathers in the queue: the slower the disk, the larger the groups.

use crate::engine::{Attempt, Engine, ReadWork, Work};
use crate::local::{ALONE_FROM_ATTEMPT, Base, Proposal, Ran, Run, judge, run};
use crate::pool::{Pool, catch};
use crate::sequencer::{Group, Sequencer, Snapshots};
use crate::transaction::Snapshot;
use crate::wake::Hub;
use crate::{Key, StoreError, StoreOptions};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// How many transactions wait for the committer; more wait for a place.
const QUEUE_TRANSACTIONS_MAX: usize = 16_384;
/// How many transactions one group holds.
const GROUP_TRANSACTIONS_MAX: usize = 16_384;
/// How many bytes one group writes before it is closed.
const GROUP_BYTES_MAX: usize = 32 * 1_048_576;
/// How long a group stays open while transactions keep coming, in milliseconds.
const GROUP_OPEN_MS_MAX: u64 = 20;

type Answer = oneshot::Sender<Result<Attempt, StoreError>>;

struct Request {
    proposal: Proposal,
    bytes: usize,
    answer: Answer,
}

/// What the committer's thread and the pool's threads share.
struct Shared {
    base: Box<dyn Base>,
    snapshots: Arc<Snapshots>,
    hub: Arc<Hub>,
    fatal: watch::Sender<Option<StoreError>>,
}

impl Shared {
    fn check_alive(&self) -> Result<(), StoreError> {
        self.fatal.borrow().clone().map_or(Ok(()), Err)
    }
}

/// What is let go of when the engine is closed.
struct Parts {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

/// An engine over a [`Base`] that takes time to make writes durable.
pub(crate) struct GroupCommitEngine {
    parts: Mutex<Option<Parts>>,
    fatal: watch::Receiver<Option<StoreError>>,
    time: Duration,
}

impl GroupCommitEngine {
    pub(crate) fn start(base: Box<dyn Base>, options: &StoreOptions, hub: Arc<Hub>) -> Result<Self, StoreError> {
        let (fatal_sender, fatal) = watch::channel(None);
        let shared = Arc::new(Shared { base, snapshots: Arc::default(), hub, fatal: fatal_sender });
        let (requests, receiver) = mpsc::channel(QUEUE_TRANSACTIONS_MAX);
        let committer = Committer { shared: shared.clone(), sequencer: Sequencer::default() };
        let thread = std::thread::Builder::new().name("gust-commit".to_owned()).spawn(move || committer.run(receiver));
        let thread =
            thread.map_err(|error| StoreError::Unavailable(format!("no thread for the committer: {error}")))?;
        let parts = Parts { shared, requests, thread };
        Ok(GroupCommitEngine { parts: Mutex::new(Some(parts)), fatal, time: options.transaction_time() })
    }

    fn parts(&self) -> MutexGuard<'_, Option<Parts>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<(Arc<Shared>, mpsc::Sender<Request>), StoreError> {
        let parts = self.parts();
        let parts = parts.as_ref().ok_or_else(closed)?;
        parts.shared.check_alive()?;
        Ok((parts.shared.clone(), parts.requests.clone()))
    }

    async fn attempt_once(&self, pool: &Pool, work: Work, attempt: u32) -> Result<Attempt, StoreError> {
        let (shared, requests) = self.open()?;
        let closure = Run { work, time: self.time };
        let proposal = if attempt >= ALONE_FROM_ATTEMPT {
            Proposal::Alone(closure)
        } else {
            let ran = pool.run(move || {
                let ran = run(&*shared.base, &shared.snapshots, closure)?;
                if let Ran::Done(_, wakes) = &ran {
                    wakes.iter().for_each(|topic| shared.hub.wake(topic));
                }
                Ok(ran)
            });
            match ran.await? {
                Ran::Done(attempt, _) => return Ok(attempt),
                Ran::Proposed(proposal) => proposal,
            }
        };
        let bytes = proposal.bytes();
        let (answer, answered) = oneshot::channel();
        requests.send(Request { proposal, bytes, answer }).await.map_err(|_| closed())?;
        drop(requests);
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

impl Engine for GroupCommitEngine {
    fn attempt<'a>(&'a self, pool: &'a Pool, work: Work, attempt: u32) -> BoxFuture<'a, Result<Attempt, StoreError>> {
        Box::pin(self.attempt_once(pool, work, attempt))
    }

    fn read<'a>(&'a self, pool: &'a Pool, work: ReadWork) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let (shared, requests) = self.open()?;
            drop(requests);
            let read = pool.run(move || {
                let hold = shared.snapshots.hold();
                let mut view = shared.base.view(hold.at);
                work(&mut Snapshot(&mut *view));
                Ok(())
            });
            read.await
        })
    }

    fn counters<'a>(&'a self, pool: &'a Pool) -> BoxFuture<'a, Result<Vec<(Key, u64)>, StoreError>> {
        Box::pin(async move {
            let (shared, requests) = self.open()?;
            drop(requests);
            pool.run(move || shared.base.counters()).await
        })
    }

    fn fatal(&self) -> BoxFuture<'static, StoreError> {
        let mut fatal = self.fatal.clone();
        Box::pin(async move {
            let reason = fatal.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
            match reason {
                Some(reason) => reason,
                // The engine was closed in good order.
                None => std::future::pending().await,
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        let parts = self.parts().take();
        Box::pin(async move {
            let Some(parts) = parts else { return Ok(()) };
            let stop = tokio::task::spawn_blocking(move || parts.stop());
            stop.await
                .unwrap_or_else(|error| Err(StoreError::Unavailable(format!("cannot stop the committer: {error}"))))
        })
    }
}

impl Parts {
    /// Waits until the committer has answered all it was given, and lets go of the base.
    fn stop(self) -> Result<(), StoreError> {
        drop(self.requests);
        if self.thread.thread().id() != std::thread::current().id() {
            self.thread.join().map_err(|_| StoreError::Unavailable("the committer panicked".to_owned()))?;
        }
        self.shared.check_alive()
    }
}

impl Drop for GroupCommitEngine {
    fn drop(&mut self) {
        // Waits for the thread, so that the folder is free once the last handle is gone.
        if let Some(parts) = self.parts().take()
            && let Err(error) = parts.stop()
        {
            tracing::warn!(%error, "the store was dropped after it had failed");
        }
    }
}

impl Proposal {
    /// About how much it will write.
    fn bytes(&self) -> usize {
        match self {
            Proposal::Ran { writes, .. } => writes
                .changes
                .iter()
                .fold(0, |sum, (key, value)| sum + key.as_bytes().len() + value.as_ref().map_or(0, bytes::Bytes::len)),
            Proposal::Alone(_) => 0,
        }
    }
}

struct Committer {
    shared: Arc<Shared>,
    sequencer: Sequencer,
}

impl Committer {
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let opened = Instant::now();
            let mut group = Group::default();
            let mut answers = Vec::new();
            let mut request = Some(first);
            while let Some(Request { proposal, bytes, answer }) = request {
                match self.judge(&mut group, proposal, bytes) {
                    Ok(attempt @ Attempt::Committed(_)) => answers.push((answer, attempt)),
                    // Nothing of these needs the sync. A caller that went away is not told.
                    settled => drop(answer.send(settled)),
                }
                let full = answers.len() >= GROUP_TRANSACTIONS_MAX
                    || group.bytes >= GROUP_BYTES_MAX
                    || opened.elapsed() >= Duration::from_millis(GROUP_OPEN_MS_MAX);
                request = if full { None } else { requests.try_recv().ok() };
            }
            self.commit(group, answers);
        }
    }

    fn judge(&mut self, group: &mut Group, proposal: Proposal, bytes: usize) -> Result<Attempt, StoreError> {
        let shared = &self.shared;
        shared.check_alive()?;
        shared.base.check_space(bytes)?;
        catch(|| judge(&*shared.base, &shared.snapshots, &mut self.sequencer, group, proposal))
    }

    fn commit(&mut self, mut group: Group, answers: Vec<(Answer, Attempt)>) {
        let oldest = self.shared.snapshots.oldest();
        if group.sequence > 0 {
            let written = catch(|| self.shared.base.write(&group, oldest).map_err(StoreError::Unavailable));
            if let Err(error) = written {
                tracing::error!(%error, "the store cannot write any more; restart to recover");
                self.shared.fatal.send_replace(Some(error.clone()));
                answers.into_iter().for_each(|(answer, _)| drop(answer.send(Err(error.clone()))));
                return;
            }
            self.sequencer.written(&group, oldest);
            self.shared.snapshots.publish(group.sequence);
        }
        self.shared.hub.tell(std::mem::take(&mut group.tells));
        group.wakes.iter().for_each(|topic| self.shared.hub.wake(topic));
        answers.into_iter().for_each(|(answer, attempt)| drop(answer.send(Ok(attempt))));
    }
}

#[cfg(test)]
mod tests;
