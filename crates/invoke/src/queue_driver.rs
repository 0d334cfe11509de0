//! Works off the asynchronous events: one task decides (with `lanes.rs`) what is loaded, run and settled, and others
//! do it. An idle queue sleeps until an accepted event is told to it or a deferred one is due.

use crate::engine::Engine;
use crate::lanes::{Bounds, Cursor, End, LaneId, LaneLoad, Lanes, Step};
use crate::limits::{
    LANES_READ_MAX, QUEUE_BYTES_MAX, QUEUE_SHARDS, QUEUE_SLEEP_MAX, SETTLED_BYTES_MAX, SETTLED_EVENTS_MAX,
    STORE_RETRY_AFTER,
};
use crate::machine::Settlement;
use crate::queue::{Loaded, Shard, TOPIC, Verdict, heard, shard_of};
use crate::queue_runner::{Attempted, EngineRunner, RunEvent};
use gust_kit::Platform;
use gust_kit::ports::{FunctionCatalog, Targets, ThrottleReason};
use gust_store::{CLOCK_MOVED_TOPIC, News, StoreError, Subscription, Tail};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The queue of a running engine.
pub(crate) struct Queue {
    loaded: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
    driver: JoinHandle<()>,
    shards: Vec<Shard>,
}

/// What the queue is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSnapshot {
    /// Events that run or wait to, as far as they are in memory; one more for each function that has others.
    pub loaded: usize,
}

impl Queue {
    /// Takes the shards over and begins.
    pub(crate) async fn start(
        engine: Engine,
        platform: Platform,
        catalog: Arc<dyn FunctionCatalog>,
        targets: Targets,
    ) -> Result<Queue, StoreError> {
        let settings = &engine.inner().settings;
        let (node, places) = (settings.node.clone(), settings.async_in_flight_max);
        let runner = EngineRunner { engine, catalog, targets, clock: platform.clock.clone() };
        Queue::start_with(Arc::new(runner), platform, &node, places).await
    }

    pub(crate) async fn start_with(
        runner: Arc<dyn RunEvent>,
        platform: Platform,
        node: &str,
        places: usize,
    ) -> Result<Queue, StoreError> {
        // Before anything is read, so that nothing is missed in between.
        let tail = platform.store.tail(TOPIC);
        let clock_moved = platform.store.subscribe(CLOCK_MOVED_TOPIC);
        let acquired = (0..QUEUE_SHARDS).map(|number| Shard::acquire(&platform.store, &platform.clock, node, number));
        let shards = futures_util::future::try_join_all(acquired).await?;
        let mut lanes = Lanes::new(Bounds { places, bytes: QUEUE_BYTES_MAX });
        for shard in &shards {
            discover(shard, &mut lanes).await?;
        }
        let (stop, stopped) = watch::channel(false);
        // Each task under way sends one message: for each event that runs, each lane that is read or waits for room,
        // each shard that settles. The driver never waits for them.
        let (sender, inbox) = mpsc::channel(places + 1_024);
        let loaded = Arc::new(AtomicUsize::new(0));
        let driver = Driver {
            runner,
            platform,
            lanes,
            settlers: shards.iter().map(|shard| Settler::new(shard.clone())).collect(),
            waiting: HashSet::new(),
            tasks: JoinSet::new(),
            sender,
            stopped,
            loaded: loaded.clone(),
        };
        let driver = tokio::spawn(driver.drive(inbox, tail, clock_moved));
        Ok(Queue { loaded, stop, driver, shards })
    }

    /// No further events are loaded or begun; those that run go on.
    pub(crate) fn stop_loading(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until every event that runs is settled, at most until `until`, and gives the shards back.
    pub(crate) async fn stop(mut self, until: Instant) -> bool {
        self.stop_loading();
        let ended = timeout_at(until, &mut self.driver).await.is_ok();
        self.driver.abort();
        for shard in self.shards {
            let number = shard.number;
            match timeout(Duration::from_secs(1), shard.release()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(shard = number, %error, "a queue shard could not be given back"),
                Err(_) => tracing::warn!(shard = number, "a queue shard could not be given back in time"),
            }
        }
        ended
    }

    pub(crate) fn snapshot(&self) -> QueueSnapshot {
        QueueSnapshot { loaded: self.loaded.load(Ordering::Acquire) }
    }
}

/// Finds the lanes of a shard that have events.
async fn discover(shard: &Shard, lanes: &mut Lanes) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let found = shard.fresh_lanes(after).await?;
        found.iter().for_each(|lane| lanes.found(*lane, true, None));
        after = found.last().copied();
        if found.len() < LANES_READ_MAX {
            break;
        }
    }
    let mut after = None;
    loop {
        let found = shard.deferred_lanes(after).await?;
        found.iter().for_each(|(lane, due_ms)| lanes.found(*lane, false, Some(*due_ms)));
        after = found.last().map(|(lane, _)| *lane);
        if found.len() < LANES_READ_MAX {
            return Ok(());
        }
    }
}

/// What a task reports.
enum Message {
    Read(LaneId, Result<LaneLoad, StoreError>),
    Ran(Arc<Loaded>, Attempted),
    Room(LaneId),
    /// These are settled, or lost to another owner.
    Settled(usize, Arc<[Verdict]>),
}

/// Settles the events of one shard, one transaction at a time: while one is written, the next gathers.
struct Settler {
    shard: Shard,
    gathered: Vec<Verdict>,
    is_writing: bool,
}

impl Settler {
    fn new(shard: Shard) -> Settler {
        Settler { shard, gathered: Vec::new(), is_writing: false }
    }

    /// What the next transaction writes.
    fn take(&mut self) -> Vec<Verdict> {
        let mut bytes = 0;
        let fits = |verdict: &&Verdict| {
            bytes += verdict.bytes();
            bytes <= SETTLED_BYTES_MAX
        };
        let count = self.gathered.iter().take(SETTLED_EVENTS_MAX).take_while(fits).count();
        self.gathered.drain(..count.max(1).min(self.gathered.len())).collect()
    }
}

struct Driver {
    runner: Arc<dyn RunEvent>,
    platform: Platform,
    lanes: Lanes,
    settlers: Vec<Settler>,
    /// Lanes that somebody waits for room for.
    waiting: HashSet<LaneId>,
    tasks: JoinSet<()>,
    sender: mpsc::Sender<Message>,
    stopped: watch::Receiver<bool>,
    loaded: Arc<AtomicUsize>,
}

impl Driver {
    async fn drive(mut self, mut inbox: mpsc::Receiver<Message>, mut tail: Tail, mut clock_moved: Subscription) {
        let mut stopped = self.stopped.clone();
        loop {
            while self.tasks.try_join_next().is_some() {}
            let now_ms = self.platform.now_ms();
            let is_stopping = *stopped.borrow();
            if is_stopping && self.lanes.running() == 0 && self.settlers.iter().all(|it| !it.is_writing) {
                break;
            }
            if !is_stopping {
                self.lanes.due(now_ms);
                while let Some(step) = self.lanes.next(now_ms) {
                    self.take(step, now_ms);
                }
            }
            self.loaded.store(self.lanes.held() + self.lanes.behind(), Ordering::Release);
            let sleeps = self.lanes.next_timer_ms().map(|due_ms| until_due(due_ms, now_ms));
            let mut news = News::default();
            tokio::select! {
                biased;
                () = is_stopped(&mut stopped), if !is_stopping => {}
                Some(message) = inbox.recv() => self.heed(message),
                told = tail.news(), if !is_stopping => news = told,
                () = clock_moved.woken() => {}
                () = sleep(sleeps.unwrap_or_default()), if sleeps.is_some() && !is_stopping => {}
            }
            while let Ok(message) = inbox.try_recv() {
                self.heed(message);
            }
            self.hear(news).await;
            // Reports never make what was accepted wait.
            self.hear(tail.take()).await;
        }
        self.loaded.store(0, Ordering::Release);
    }

    /// Begins a task that sends what it brings.
    fn begin(&mut self, task: impl Future<Output = Message> + Send + 'static) {
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            let message = task.await;
            // The driver is gone only when the queue has stopped.
            let _ = sender.send(message).await;
        });
    }

    fn take(&mut self, step: Step, now_ms: i64) {
        match step {
            Step::Start(loaded) => {
                let runner = self.runner.clone();
                self.begin(async move {
                    let attempted = runner.run(&loaded).await;
                    Message::Ran(loaded, attempted)
                });
            }
            Step::Load { lane, cursor, limit } => self.read(lane, cursor, now_ms, limit),
        }
    }

    fn read(&mut self, lane: LaneId, cursor: Cursor, now_ms: i64, limit: usize) {
        let at = at_shard(lane);
        let shard = self.settlers[at].shard.clone();
        self.begin(async move { Message::Read(lane, shard.load(lane, cursor, now_ms, limit).await) });
    }

    fn heed(&mut self, message: Message) {
        let now_ms = self.platform.now_ms();
        match message {
            Message::Read(lane, Ok(load)) => self.lanes.loaded(lane, load),
            Message::Read(lane, Err(error)) => {
                tracing::error!(lane, %error, "asynchronous events could not be loaded");
                self.lanes.load_failed(lane, now_ms);
            }
            Message::Room(lane) => {
                self.waiting.remove(&lane);
                self.lanes.woken(lane);
            }
            Message::Ran(loaded, attempted) => self.ran(loaded, attempted, now_ms),
            Message::Settled(at, verdicts) => {
                for verdict in &*verdicts {
                    let due_at_ms = match verdict.settlement {
                        Settlement::RetryAt { due_at_ms, .. } => Some(due_at_ms),
                        _ => None,
                    };
                    self.lanes.settled(&verdict.loaded, due_at_ms);
                }
                self.settlers[at].is_writing = false;
                self.settle(at);
            }
        }
    }

    fn ran(&mut self, loaded: Arc<Loaded>, Attempted { settlement, staged }: Attempted, now_ms: i64) {
        match settlement {
            Settlement::Wait { reason, expires_at_ms } => {
                self.lanes.ended(loaded.clone(), End::Throttled { expires_at_ms }, now_ms);
                self.wait_for_room(loaded, reason);
            }
            Settlement::Leave => self.lanes.ended(loaded, End::Left, now_ms),
            Settlement::Done | Settlement::RetryAt { .. } | Settlement::Discard(_) => {
                let at = at_shard(loaded.lane);
                self.lanes.ended(loaded.clone(), End::Settling, now_ms);
                self.settlers[at].gathered.push(Verdict { loaded, settlement, staged });
                self.settle(at);
            }
        }
    }

    /// One wait a lane. Where the reason is not one of concurrency there is nothing to wait for but the pause's end.
    fn wait_for_room(&mut self, loaded: Arc<Loaded>, reason: ThrottleReason) {
        let lane = loaded.lane;
        if reason == ThrottleReason::CallerRateLimitExceeded || *self.stopped.borrow() || !self.waiting.insert(lane) {
            return;
        }
        let (runner, mut stopped) = (self.runner.clone(), self.stopped.clone());
        self.begin(async move {
            tokio::select! {
                () = runner.room(&loaded.event, reason) => {}
                () = is_stopped(&mut stopped) => {}
            }
            Message::Room(lane)
        });
    }

    fn settle(&mut self, at: usize) {
        let settler = &mut self.settlers[at];
        if settler.is_writing || settler.gathered.is_empty() {
            return;
        }
        settler.is_writing = true;
        let (shard, verdicts, stopped) = (settler.shard.clone(), settler.take(), self.stopped.clone());
        self.begin(async move { Message::Settled(at, settle(&shard, verdicts.into(), stopped).await) });
    }

    async fn hear(&mut self, news: News) {
        for told in news.told {
            match heard(told) {
                Ok((lane, stamp, loaded)) => self.lanes.told(lane, stamp, loaded),
                Err(error) => tracing::error!(%error, "an accepted event could not be read"),
            }
        }
        if !news.has_missed {
            return;
        }
        self.lanes.missed();
        // Before anything else is heard: a lane that is not known yet must be found before its next event is.
        for at in 0..self.settlers.len() {
            let shard = self.settlers[at].shard.clone();
            while let Err(error) = discover(&shard, &mut self.lanes).await {
                tracing::error!(shard = shard.number, %error, "asynchronous events could not be looked for");
                if pause(&mut self.stopped).await {
                    return;
                }
            }
        }
    }
}

/// The settler of a lane.
fn at_shard(lane: LaneId) -> usize {
    usize::try_from(shard_of(lane)).expect("there are few shards")
}

fn until_due(due_ms: i64, now_ms: i64) -> Duration {
    let left_ms = u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0);
    Duration::from_millis(left_ms).min(QUEUE_SLEEP_MAX)
}

async fn is_stopped(stopped: &mut watch::Receiver<bool>) {
    // An error means that the queue itself is gone.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// A moment before the store is asked again; ends at once, and says so, when the queue stops.
async fn pause(stopped: &mut watch::Receiver<bool>) -> bool {
    timeout(STORE_RETRY_AFTER, is_stopped(stopped)).await.is_ok()
}

/// Writes verdicts until they are written, or the queue stops: then they are run again after the restart.
async fn settle(shard: &Shard, verdicts: Arc<[Verdict]>, mut stopped: watch::Receiver<bool>) -> Arc<[Verdict]> {
    let mut parts = vec![verdicts.clone()];
    while let Some(part) = parts.pop() {
        match shard.settle(part.clone()).await {
            Ok(0) => {}
            Ok(gone) => tracing::warn!(shard = shard.number, gone, "asynchronous events had been settled before"),
            Err(StoreError::ClaimLost { claim }) => {
                tracing::warn!(claim, "asynchronous events are settled elsewhere");
            }
            Err(error) => {
                tracing::error!(shard = shard.number, %error, "asynchronous events could not be settled yet");
                if pause(&mut stopped).await {
                    break;
                }
                parts.extend(smaller(&part, &error));
            }
        }
    }
    verdicts
}

/// What is tried in the place of what could not be written: each event for itself, and one that fails by itself, for
/// another reason than the store's state, without what was to be sent.
fn smaller(part: &Arc<[Verdict]>, error: &StoreError) -> Vec<Arc<[Verdict]>> {
    match &**part {
        _ if is_passing(error) => vec![part.clone()],
        [verdict] if !verdict.staged.is_empty() => {
            let request_id = &verdict.loaded.event.request_id;
            tracing::error!(request_id, %error, "what was to be sent of an event is given up");
            vec![Arc::new([Verdict { staged: Vec::new(), ..verdict.clone() }])]
        }
        [_] => vec![part.clone()],
        all => all.iter().map(|verdict| Arc::from([verdict.clone()])).collect(),
    }
}

fn is_passing(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::Contended { .. } | StoreError::DiskFull { .. })
}

#[cfg(test)]
mod tests;
