//! Tests of the driver: events run in turn, are settled, retried and survive restarts.

use super::*;
use crate::machine::{self, AttemptOutcome, RetryPolicy};
use crate::queue::enqueue;
use crate::testing::event;
use async_trait::async_trait;
use gust_kit::ports::AsyncEvent;
use gust_store::Store;
use gust_types::{Clock, ManualClock, SystemIds};
use std::collections::HashMap;
use std::sync::Mutex;
use tokio::sync::Notify;

const THROTTLED: AttemptOutcome =
    AttemptOutcome::Throttled(ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded);

/// Answers with the outcomes it was given, and reports each attempt.
struct Script {
    clock: Arc<ManualClock>,
    outcomes: Mutex<Vec<AttemptOutcome>>,
    /// Functions that are throttled.
    closed: Mutex<HashSet<String>>,
    opened: Notify,
    attempts: mpsc::UnboundedSender<String>,
    running: AtomicUsize,
    running_max: AtomicUsize,
}

#[async_trait]
impl RunEvent for Script {
    async fn run(&self, loaded: &Loaded) -> Attempted {
        let running = self.running.fetch_add(1, Ordering::AcqRel) + 1;
        self.running_max.fetch_max(running, Ordering::AcqRel);
        let outcome = if self.closed.lock().unwrap().contains(&loaded.event.function) {
            THROTTLED
        } else {
            self.attempts.send(loaded.event.request_id.clone()).unwrap();
            self.outcomes.lock().unwrap().pop().unwrap_or(AttemptOutcome::Success)
        };
        tokio::task::yield_now().await;
        self.running.fetch_sub(1, Ordering::AcqRel);
        let policy = RetryPolicy::default();
        machine::settle(policy, loaded.event.accepted_at_ms, loaded.attempts, outcome, self.clock.now_ms()).into()
    }

    async fn room(&self, _event: &AsyncEvent, _reason: ThrottleReason) {
        self.opened.notified().await;
    }
}

struct Bench {
    queue: Queue,
    clock: Arc<ManualClock>,
    store: Store,
    script: Arc<Script>,
    attempts: mpsc::UnboundedReceiver<String>,
}

async fn bench(store: Store, clock: Arc<ManualClock>, outcomes: Vec<AttemptOutcome>) -> Bench {
    let (sender, attempts) = mpsc::unbounded_channel();
    let script = Arc::new(Script {
        clock: clock.clone(),
        outcomes: Mutex::new(outcomes),
        closed: Mutex::default(),
        opened: Notify::new(),
        attempts: sender,
        running: AtomicUsize::new(0),
        running_max: AtomicUsize::new(0),
    });
    let platform = Platform { store: store.clone(), clock: clock.clone(), ids: Arc::new(SystemIds) };
    let queue = Queue::start_with(script.clone(), platform, "node", 20).await.unwrap();
    Bench { queue, clock, store, script, attempts }
}

async fn accept_all(store: &Store, events: Vec<AsyncEvent>) {
    for some in events.chunks(500) {
        let some = some.to_vec();
        store.transact(move |tx| some.iter().try_for_each(|event| enqueue(tx, event))).await.unwrap();
    }
}

impl Bench {
    async fn accept(&self, id: &str) {
        accept_all(&self.store, vec![event("f", id)]).await;
    }

    async fn attempt(&mut self) -> String {
        timeout(Duration::from_secs(60), self.attempts.recv()).await.expect("no attempt came").unwrap()
    }

    /// Waits until nothing is in memory.
    async fn settled(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.queue.snapshot().loaded > 0 {
            assert!(Instant::now() < until, "it is never settled");
            sleep(Duration::from_millis(2)).await;
        }
    }

    async fn advance(&self, ms: i64) {
        self.clock.advance_ms(ms);
        self.store.wake(CLOCK_MOVED_TOPIC);
    }

    async fn stop(self) {
        assert!(self.queue.stop(Instant::now() + Duration::from_secs(10)).await);
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_event_is_tried_again_when_it_is_due_also_after_a_restart() {
    use AttemptOutcome::FunctionError;
    let (store, clock) = (Store::memory(), clock());
    let mut first = bench(store.clone(), clock.clone(), vec![FunctionError, FunctionError]).await;
    first.accept("r").await;
    assert_eq!(first.attempt().await, "r");
    first.settled().await;
    first.advance(59_999).await;
    first.accept("marker").await;
    assert_eq!(first.attempt().await, "marker", "a minute is not over");
    first.settled().await;
    first.stop().await;

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
    second.stop().await;

    let mut third = bench(store, clock, Vec::new()).await;
    third.advance(1_000_000_000).await;
    third.accept("end").await;
    assert_eq!(third.attempt().await, "end", "nothing was left");
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_event_runs_when_there_is_room_and_nothing_is_written_meanwhile() {
    let mut bench = bench(Store::memory(), clock(), Vec::new()).await;
    bench.script.closed.lock().unwrap().insert("f".to_owned());
    bench.accept("waits").await;
    accept_all(&bench.store, vec![event("g", "passes")]).await;
    assert_eq!(bench.attempt().await, "passes");
    bench.script.closed.lock().unwrap().clear();
    bench.script.opened.notify_one();
    assert_eq!(bench.attempt().await, "waits", "without any time passing");
    bench.settled().await;
    bench.script.closed.lock().unwrap().insert("f".to_owned());
    bench.accept("again").await;
    accept_all(&bench.store, vec![event("g", "passes")]).await;
    assert_eq!(bench.attempt().await, "passes");
    bench.script.closed.lock().unwrap().clear();
    bench.advance(5 * 60_000).await;
    assert_eq!(bench.attempt().await, "again", "after a pause, if nobody says that there is room");
    bench.settled().await;
    bench.stop().await;
}

/// More than 100,000 events, half of them of a function that is throttled all the while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_events_drain_in_bounded_memory_past_a_throttled_function() {
    const CLOSED: usize = 50_000;
    const OPEN: usize = 10_000;
    let store = Store::memory();
    let of = |function: &str, count: usize| -> Vec<AsyncEvent> {
        (0..count).map(|number| event(function, &format!("{function}-{number}"))).collect()
    };
    accept_all(&store, of("closed", CLOSED)).await;
    for function in ["a", "b", "c", "d"] {
        accept_all(&store, of(function, OPEN)).await;
    }
    let mut bench = bench(store, clock(), Vec::new()).await;
    bench.script.closed.lock().unwrap().insert("closed".to_owned());
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut held_max = 0;
    // One more function, while the others are at it: its events do not wait behind theirs.
    accept_all(&bench.store, of("late", OPEN)).await;
    for _ in 0..5 * OPEN {
        let id = bench.attempt().await;
        *seen.entry(id).or_default() += 1;
        held_max = held_max.max(bench.queue.snapshot().loaded);
    }
    assert!(seen.len() == 5 * OPEN && seen.keys().all(|id| !id.starts_with("closed")));
    bench.script.closed.lock().unwrap().clear();
    bench.script.opened.notify_one();
    for _ in 0..CLOSED {
        *seen.entry(bench.attempt().await).or_default() += 1;
        held_max = held_max.max(bench.queue.snapshot().loaded);
    }
    assert_eq!(seen.len(), CLOSED + 5 * OPEN);
    assert!(seen.values().all(|count| *count == 1), "each ran once");
    bench.settled().await;
    // Six lanes with a window each, what runs, and what is being settled.
    assert!(held_max < 6 * (2 * 64 + 1_024), "{held_max} in memory");
    assert!(bench.script.running_max.load(Ordering::Acquire) <= 20);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_function_leaves_room_for_others() {
    let store = Store::memory();
    let (sender, mut attempts) = mpsc::unbounded_channel();
    struct Slow(mpsc::UnboundedSender<String>);
    #[async_trait]
    impl RunEvent for Slow {
        async fn run(&self, loaded: &Loaded) -> Attempted {
            if loaded.event.function == "slow" {
                std::future::pending::<()>().await;
            }
            self.0.send(loaded.event.request_id.clone()).unwrap();
            Settlement::Done.into()
        }
        async fn room(&self, _: &AsyncEvent, _: ThrottleReason) {}
    }
    accept_all(&store, (0..1_000).map(|number| event("slow", &number.to_string())).collect()).await;
    let platform = Platform { store: store.clone(), clock: clock(), ids: Arc::new(SystemIds) };
    let queue = Queue::start_with(Arc::new(Slow(sender)), platform, "node", 8).await.unwrap();
    for number in 0..20 {
        accept_all(&store, vec![event(&format!("quick{}", number % 3), &number.to_string())]).await;
        let id = timeout(Duration::from_secs(20), attempts.recv()).await.expect("it waits behind the slow ones");
        assert_eq!(id.unwrap(), number.to_string());
    }
    assert!(!queue.stop(Instant::now()).await);
}

#[tokio::test]
async fn what_cannot_be_written_is_split_and_given_up_last() {
    use gust_kit::ports::Staged;
    let lane = crate::queue::lane_of(&event("f", ""));
    let loaded = |stamp| {
        let event = event("f", "r");
        Arc::new(Loaded { lane, stamp, place: crate::queue::Place::Fresh, attempts: Default::default(), event })
    };
    let verdict = |stamp, staged| Verdict { loaded: loaded(stamp), settlement: Settlement::Done, staged };
    let broken = || Staged { bytes: 1, write: Arc::new(|_| Err(StoreError::KeyEmpty)) };
    let all: Arc<[Verdict]> = Arc::new([verdict(1, vec![broken()]), verdict(2, Vec::new())]);
    let passing = StoreError::Unavailable("x".to_owned());
    assert_eq!(smaller(&all, &passing).len(), 1);
    let split = smaller(&all, &StoreError::KeyEmpty);
    assert_eq!(split.iter().map(|part| part.len()).collect::<Vec<_>>(), [1, 1]);
    let without = smaller(&split[0], &StoreError::KeyEmpty);
    assert!(without.len() == 1 && without[0][0].staged.is_empty());
}
