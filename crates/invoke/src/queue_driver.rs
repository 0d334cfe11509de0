//! Works off the asynchronous events: one task a shard loads them into a bounded window, one task an event
//! runs and settles it. An idle queue sleeps until a commit wakes it or a deferred event is due.

use crate::engine::Engine;
use crate::limits::{
    QUEUE_LOAD_EVENTS, QUEUE_SHARDS, QUEUE_SLEEP_MAX, QUEUE_WINDOW_BYTES, QUEUE_WINDOW_EVENTS, STORE_RETRY_AFTER,
    THROTTLE_WAIT,
};
use crate::machine::{self, AttemptOutcome, RetryPolicy, Settlement};
use crate::queue::{Cursor, Loaded, Shard, topic};
use async_trait::async_trait;
use gust_kit::Platform;
use gust_kit::ports::{
    AsyncEvent, FunctionCatalog, FunctionSpec, InvokeError, InvokeRequest, Invoker, LogTail, ThrottleReason,
};
use gust_store::{CLOCK_MOVED_TOPIC, StoreError};
use gust_types::{AccountId, Region, RequestId};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Runs one attempt of an event.
#[async_trait]
pub(crate) trait RunEvent: Send + Sync + 'static {
    async fn run(&self, event: &AsyncEvent) -> AttemptOutcome;
}

/// The queue of a running engine.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    shards: Vec<Shard>,
}

struct Shared {
    runner: Arc<dyn RunEvent>,
    platform: Platform,
    /// Bounds the attempts that run at a time.
    places: Semaphore,
    loaded: AtomicUsize,
}

/// What the queue is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSnapshot {
    /// Events in memory: running, or waiting to.
    pub loaded: usize,
}

impl Queue {
    /// Takes the shards over and begins.
    pub(crate) async fn start(engine: Engine, catalog: Arc<dyn FunctionCatalog>) -> Result<Queue, StoreError> {
        let (platform, settings) = (engine.inner().platform.clone(), &engine.inner().settings);
        let (node, places) = (settings.node.clone(), settings.async_in_flight_max);
        let runner = Arc::new(EngineRunner { engine, catalog });
        Queue::start_with(runner, platform, &node, places).await
    }

    pub(crate) async fn start_with(
        runner: Arc<dyn RunEvent>,
        platform: Platform,
        node: &str,
        places: usize,
    ) -> Result<Queue, StoreError> {
        let acquired = (0..QUEUE_SHARDS).map(|number| Shard::acquire(&platform.store, &platform.clock, node, number));
        let shards = futures_util::future::try_join_all(acquired).await?;
        let shared = Arc::new(Shared { runner, platform, places: Semaphore::new(places), loaded: AtomicUsize::new(0) });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for shard in &shards {
            tasks.spawn(drive(shard.clone(), shared.clone(), stopped.clone()));
        }
        Ok(Queue { shared, stop, tasks, shards })
    }

    /// No further events are loaded or begun; those that run go on.
    pub(crate) fn stop_loading(&self) {
        self.stop.send_replace(true);
        self.shared.places.close();
    }

    /// Waits until every event that runs is settled, at most until `until`, and gives the shards back.
    pub(crate) async fn stop(mut self, until: Instant) -> bool {
        self.stop_loading();
        let ended = timeout_at(until, async { while self.tasks.join_next().await.is_some() {} }).await.is_ok();
        self.tasks.shutdown().await;
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
        QueueSnapshot { loaded: self.shared.loaded.load(Ordering::Acquire) }
    }
}

/// An event that left the window.
struct Settled {
    stamp: u64,
    bytes: usize,
    due_at_ms: Option<i64>,
}

/// What one shard has in memory.
struct Window {
    cursor: Cursor,
    stamps: HashSet<u64>,
    bytes: usize,
    next_due_ms: Option<i64>,
    /// Whether the store may hold something to load now.
    is_dirty: bool,
}

impl Window {
    fn room(&self) -> usize {
        if self.bytes >= QUEUE_WINDOW_BYTES {
            return 0;
        }
        QUEUE_WINDOW_EVENTS.saturating_sub(self.stamps.len()).min(QUEUE_LOAD_EVENTS)
    }

    fn settled(&mut self, settled: &Settled) {
        self.stamps.remove(&settled.stamp);
        self.bytes -= settled.bytes;
        let Some(due_at_ms) = settled.due_at_ms else { return };
        self.next_due_ms = Some(self.next_due_ms.map_or(due_at_ms, |next_ms| next_ms.min(due_at_ms)));
        // A clock that was set back may make it due before what was loaded already.
        let due = u64::try_from(due_at_ms).unwrap_or(0);
        if self.cursor.deferred.is_some_and(|(last, _)| due <= last) {
            self.cursor.deferred = due.checked_sub(1).map(|before| (before, u64::MAX));
        }
    }
}

async fn drive(shard: Shard, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    // Before the first look, so that nothing is missed in between.
    let mut woken = shard.store().subscribe(&topic(shard.number));
    let mut clock_moved = shard.store().subscribe(CLOCK_MOVED_TOPIC);
    let (settled, mut leaving) = mpsc::channel::<Settled>(2 * QUEUE_WINDOW_EVENTS);
    let mut window =
        Window { cursor: Cursor::default(), stamps: HashSet::new(), bytes: 0, next_due_ms: None, is_dirty: true };
    let mut events = JoinSet::new();
    loop {
        while events.try_join_next().is_some() {}
        let now_ms = shared.platform.now_ms();
        let is_due = window.next_due_ms.is_some_and(|due_ms| due_ms <= now_ms);
        if (window.is_dirty || is_due) && window.room() > 0 && !*stopped.borrow() {
            match load(&shard, &mut window, now_ms).await {
                Ok(fresh) => {
                    for loaded in fresh {
                        shared.loaded.fetch_add(1, Ordering::AcqRel);
                        events.spawn(work(shard.clone(), shared.clone(), loaded, settled.clone(), stopped.clone()));
                    }
                    continue;
                }
                Err(error) => {
                    tracing::error!(shard = shard.number, %error, "asynchronous events could not be loaded");
                    pause(&mut stopped).await;
                    continue;
                }
            }
        }
        let has_room = window.room() > 0;
        let sleeps = window.next_due_ms.filter(|_| has_room).map(|due_ms| until_due(due_ms, now_ms));
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(left) = leaving.recv() => window.settled(&left),
            () = woken.woken() => window.is_dirty = true,
            () = clock_moved.woken(), if window.next_due_ms.is_some() => {}
            () = sleep(sleeps.unwrap_or_default()), if sleeps.is_some() => {}
        }
        while let Ok(left) = leaving.try_recv() {
            window.settled(&left);
        }
    }
    // The window is never larger than the channel: nobody waits to leave.
    while events.join_next().await.is_some() {}
}

fn until_due(due_ms: i64, now_ms: i64) -> Duration {
    let left_ms = u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0);
    Duration::from_millis(left_ms).min(QUEUE_SLEEP_MAX)
}

/// A moment before the store is asked again; ends at once when the queue stops.
async fn pause(stopped: &mut watch::Receiver<bool>) {
    // An error means that the queue itself is gone.
    let _ = timeout(STORE_RETRY_AFTER, stopped.wait_for(|stopped| *stopped)).await;
}

async fn load(shard: &Shard, window: &mut Window, now_ms: i64) -> Result<Vec<Loaded>, StoreError> {
    let load = shard.load(window.cursor, now_ms, window.room()).await?;
    (window.cursor, window.next_due_ms, window.is_dirty) = (load.cursor, load.next_due_ms, load.has_more);
    let mut fresh = Vec::with_capacity(load.events.len());
    for loaded in load.events {
        // Loaded twice only where the cursor was set back.
        if window.stamps.insert(loaded.stamp) {
            window.bytes += loaded.event.payload.len();
            fresh.push(loaded);
        }
    }
    Ok(fresh)
}

/// Runs an event once and settles it.
async fn work(
    shard: Shard,
    shared: Arc<Shared>,
    loaded: Loaded,
    settled: mpsc::Sender<Settled>,
    mut stopped: watch::Receiver<bool>,
) {
    let outcome = match shared.places.acquire().await {
        Ok(_place) => shared.runner.run(&loaded.event).await,
        Err(_) => AttemptOutcome::Interrupted,
    };
    let accepted_at_ms = loaded.event.accepted_at_ms;
    let now_ms = shared.platform.now_ms();
    let settlement = machine::settle(RetryPolicy::default(), accepted_at_ms, loaded.attempts, outcome, now_ms);
    if let Settlement::Discard(reason) = settlement {
        let (request_id, function) = (&loaded.event.request_id, &loaded.event.function);
        tracing::warn!(request_id, function, ?reason, "an asynchronous event was given up");
    }
    loop {
        match shard.settle(&loaded, settlement).await {
            Ok(()) => break,
            Err(StoreError::ClaimLost { claim }) => {
                tracing::warn!(claim, "an asynchronous event was settled elsewhere");
                break;
            }
            Err(error) => {
                tracing::error!(%error, "an asynchronous event could not be settled yet");
                if *stopped.borrow() {
                    // It is run again after the restart.
                    break;
                }
                pause(&mut stopped).await;
            }
        }
    }
    shared.loaded.fetch_sub(1, Ordering::AcqRel);
    let due_at_ms = if let Settlement::RetryAt { due_at_ms, .. } = settlement { Some(due_at_ms) } else { None };
    let left = Settled { stamp: loaded.stamp, bytes: loaded.event.payload.len(), due_at_ms };
    // The shard's task is gone only when the queue stops.
    let _ = settled.send(left).await;
}

/// Runs events on the engine.
struct EngineRunner {
    engine: Engine,
    catalog: Arc<dyn FunctionCatalog>,
}

#[async_trait]
impl RunEvent for EngineRunner {
    async fn run(&self, event: &AsyncEvent) -> AttemptOutcome {
        let parsed = AccountId::parse(&event.account).zip(Region::parse(&event.region));
        let Some((account, region)) = parsed else { return AttemptOutcome::FunctionGone };
        let qualifier = event.qualifier.as_deref();
        let function = match self.catalog.resolve(&account, &region, &event.function, qualifier).await {
            Ok(function) => function,
            Err(error) if error.code == "ResourceNotFoundException" => return AttemptOutcome::FunctionGone,
            Err(error) => {
                tracing::warn!(function = event.function, %error, "a function could not be looked up");
                return AttemptOutcome::Postponed;
            }
        };
        self.invoke(event, &function).await
    }
}

impl EngineRunner {
    /// Invokes; waits a moment for a place in the gate, because putting the event back costs a sync.
    async fn invoke(&self, event: &AsyncEvent, function: &Arc<FunctionSpec>) -> AttemptOutcome {
        let gate = self.engine.inner().gates.function(&function.account, &function.region, &function.arn);
        let until = Instant::now() + THROTTLE_WAIT;
        loop {
            let request = InvokeRequest {
                function: function.clone(),
                invoked_arn: event.invoked_arn.clone(),
                request_id: RequestId::from_text(event.request_id.clone()),
                payload: event.payload.clone(),
                client_context: event.client_context.clone(),
                trace_header: event.trace_header.clone(),
                tenant_id: event.tenant_id.clone(),
                tail: LogTail::Omitted,
            };
            match self.engine.invoke(request).await {
                Ok(outcome) if outcome.failure.is_none() => return AttemptOutcome::Success,
                Ok(_) => return AttemptOutcome::FunctionError,
                Err(InvokeError::ShuttingDown) => return AttemptOutcome::Interrupted,
                Err(InvokeError::Throttled(ThrottleReason::CallerRateLimitExceeded)) => {
                    return AttemptOutcome::Postponed;
                }
                Err(InvokeError::Throttled(reason)) => {
                    if timeout_at(until, gate.freed(reason)).await.is_err() {
                        return AttemptOutcome::Postponed;
                    }
                }
                Err(error @ (InvokeError::RuntimeUnavailable(_) | InvokeError::Sandbox(_))) => {
                    tracing::warn!(request_id = event.request_id, %error, "an asynchronous event has to wait");
                    return AttemptOutcome::Postponed;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::enqueue;
    use crate::testing::event;
    use gust_store::Store;
    use gust_types::{ManualClock, SystemIds};
    use std::sync::Mutex;

    /// Answers with the outcomes it was given, and reports each attempt.
    struct Script {
        outcomes: Mutex<Vec<AttemptOutcome>>,
        attempts: mpsc::UnboundedSender<String>,
    }

    #[async_trait]
    impl RunEvent for Script {
        async fn run(&self, event: &AsyncEvent) -> AttemptOutcome {
            self.attempts.send(event.request_id.clone()).unwrap();
            self.outcomes.lock().unwrap().pop().unwrap_or(AttemptOutcome::Success)
        }
    }

    struct Bench {
        queue: Queue,
        clock: Arc<ManualClock>,
        store: Store,
        attempts: mpsc::UnboundedReceiver<String>,
    }

    async fn bench(store: Store, clock: Arc<ManualClock>, outcomes: Vec<AttemptOutcome>) -> Bench {
        let (sender, attempts) = mpsc::unbounded_channel();
        let script = Arc::new(Script { outcomes: Mutex::new(outcomes), attempts: sender });
        let platform = Platform { store: store.clone(), clock: clock.clone(), ids: Arc::new(SystemIds) };
        let queue = Queue::start_with(script, platform, "node", 10).await.unwrap();
        Bench { queue, clock, store, attempts }
    }

    impl Bench {
        async fn accept(&self, id: &str) {
            let event = event("f", id);
            self.store.transact(move |tx| enqueue(tx, &event)).await.unwrap();
        }

        async fn attempt(&mut self) -> String {
            timeout(Duration::from_secs(20), self.attempts.recv()).await.expect("no attempt came").unwrap()
        }

        /// Waits until nothing is in memory.
        async fn settled(&self) {
            let until = Instant::now() + Duration::from_secs(20);
            while self.queue.snapshot().loaded > 0 {
                assert!(Instant::now() < until, "it is never settled");
                sleep(Duration::from_millis(2)).await;
            }
        }

        async fn advance(&self, ms: i64) {
            self.clock.advance_ms(ms);
            self.store.wake(CLOCK_MOVED_TOPIC);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_failing_event_is_tried_again_when_it_is_due_also_after_a_restart() {
        use AttemptOutcome::FunctionError;
        let (store, clock) = (Store::memory(), Arc::new(ManualClock::at(0)));
        let mut first = bench(store.clone(), clock.clone(), vec![FunctionError, FunctionError]).await;
        first.accept("r").await;
        assert_eq!(first.attempt().await, "r");
        first.settled().await;
        first.advance(59_999).await;
        first.accept("marker").await;
        assert_eq!(first.attempt().await, "marker", "a minute is not over");
        first.settled().await;
        assert!(first.queue.stop(Instant::now() + Duration::from_secs(5)).await);

        // The marker failed too, a minute less a millisecond later.
        let mut second = bench(store.clone(), clock.clone(), vec![FunctionError]).await;
        second.advance(1).await;
        assert_eq!(second.attempt().await, "r");
        second.settled().await;
        second.advance(120_000).await;
        let mut rest = [second.attempt().await, second.attempt().await];
        rest.sort();
        assert_eq!(rest, ["marker", "r"]);
        second.settled().await;
        assert!(second.queue.stop(Instant::now() + Duration::from_secs(5)).await);

        let mut third = bench(store, clock, Vec::new()).await;
        third.advance(1_000_000_000).await;
        third.accept("end").await;
        assert_eq!(third.attempt().await, "end", "nothing was left");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn more_events_than_fit_into_memory_are_all_run() {
        let mut bench = bench(Store::memory(), Arc::new(ManualClock::at(0)), Vec::new()).await;
        let count = 3 * QUEUE_WINDOW_EVENTS;
        let ids: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        futures_util::future::join_all(ids.iter().map(|id| bench.accept(id))).await;
        let mut seen = HashSet::new();
        for _ in 0..count {
            seen.insert(bench.attempt().await);
        }
        assert_eq!(seen.len(), count);
        bench.settled().await;
    }
}
