//! A seeded simulation of gate, lanes, queue and machine: events are accepted, loaded, run and settled in a random
//! order, reservations of concurrency and settings of functions come and go, and the node crashes between any two
//! commits. What is asked of it stands in [`Invariants`], and is read from the store, in which each end is written by
//! the transaction that settles its event.

use crate::gate::{FunctionGate, Gates, Slot};
use crate::lanes::{Bounds, End, Lanes, Step};
use crate::limits::QUEUE_SHARDS;
use crate::machine::{AttemptOutcome, DiscardReason, RetryPolicy, Settlement, before, settle};
use crate::queue::{Loaded, Shard, TOPIC, Verdict, enqueue, heard, shard_of};
use crate::testing::{account, event, region};
use bytes::Bytes;
use gust_kit::ports::{EventSettings, Staged};
use gust_store::{Order, Range, Store, StoreError, Table, Tail};
use gust_types::{Clock, Ids, ManualClock, SeededIds, SharedClock};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const LIMIT: usize = 3;
const PLACES: usize = 6;
const FUNCTIONS: usize = 3;
const EVENTS: usize = 40;
/// The function that records are sent to.
const SINK: &str = "sink";

/// A log: the id of an event, and how it ended.
const ENDS: Table = Table(0x01fd);
/// A log: the ids of dead letters.
const DEAD_LETTERS: Table = Table(0x01fe);

/// How a function's events are treated, its destinations being there or not.
#[derive(Debug, Clone, Copy)]
struct Treatment {
    retries_max: u32,
    age_ms_max: Option<i64>,
    on_success: bool,
    on_failure: bool,
    dead_letters: bool,
}

const PLAIN: Treatment =
    Treatment { retries_max: 2, age_ms_max: None, on_success: false, on_failure: false, dead_letters: false };

impl Treatment {
    fn policy(self) -> RetryPolicy {
        let (retries_max, age_ms_max) = (Some(self.retries_max), self.age_ms_max);
        RetryPolicy::from(&EventSettings { retries_max, age_ms_max, ..EventSettings::default() })
    }
}

/// What a crash takes away.
struct Node {
    shards: Vec<Shard>,
    tail: Tail,
    lanes: Lanes,
    gates: Gates,
    running: Vec<(Arc<Loaded>, Slot)>,
    gathered: Vec<Verdict>,
}

struct World {
    store: Store,
    clock: Arc<ManualClock>,
    random: SeededIds,
    accepted: usize,
    attempts: BTreeMap<String, u32>,
    /// Ends that were written, records that were sent among them.
    ended: usize,
    /// Records that were sent.
    sent: usize,
    crashes: u32,
    /// What is reserved for each function; outlives a crash, as in the store.
    reserved: [Option<u32>; FUNCTIONS],
    treatments: [Treatment; FUNCTIONS],
    /// Requests that a reservation kept out.
    kept_out: u32,
}

impl World {
    fn pick(&self, below: usize) -> usize {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % below as u64).unwrap()
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    async fn boot(&self) -> Node {
        let clock: SharedClock = self.clock.clone();
        let tail = self.store.tail(TOPIC);
        let mut lanes = Lanes::new(Bounds { places: PLACES, bytes: 4_096 });
        let mut shards = Vec::new();
        for number in 0..QUEUE_SHARDS {
            let shard = Shard::acquire(&self.store, &clock, "node", number).await.unwrap();
            discover(&shard, &mut lanes).await;
            shards.push(shard);
        }
        let gates = Gates::new(LIMIT);
        for (function, reserved) in self.reserved.iter().enumerate() {
            gates.reserve(&account(), &region(), &format!("f{function}"), *reserved);
        }
        Node { shards, tail, lanes, gates, running: Vec::new(), gathered: Vec::new() }
    }

    async fn accept(&mut self) {
        if self.accepted < EVENTS {
            let mut event = event(&format!("f{}", self.pick(FUNCTIONS)), &self.accepted.to_string());
            event.accepted_at_ms = self.now_ms();
            self.store.transact(move |tx| enqueue(tx, &event)).await.unwrap();
            self.accepted += 1;
        }
    }

    async fn hear(&self, node: &mut Node) {
        let news = node.tail.take();
        for told in news.told {
            let (lane, stamp, loaded) = heard(told).unwrap();
            // Sometimes its value did not come along.
            node.lanes.told(lane, stamp, loaded.filter(|_| self.pick(4) > 0));
        }
        if news.has_missed {
            node.lanes.missed();
            for shard in &node.shards {
                discover(shard, &mut node.lanes).await;
            }
        }
    }

    async fn next(&mut self, node: &mut Node) {
        let now_ms = self.now_ms();
        node.lanes.due(now_ms);
        match node.lanes.next(now_ms) {
            Some(Step::Load { lane, cursor, limit }) => {
                if self.pick(20) == 0 {
                    return node.lanes.load_failed(lane, now_ms);
                }
                let shard = &node.shards[usize::try_from(shard_of(lane)).unwrap()];
                node.lanes.loaded(lane, shard.load(lane, cursor, now_ms, limit).await.unwrap());
            }
            Some(Step::Start(loaded)) => self.begin(node, loaded),
            None => {}
        }
    }

    fn treatment(&self, loaded: &Loaded) -> Treatment {
        number_of(&loaded.event.function).map_or(PLAIN, |number| self.treatments[number])
    }

    fn begin(&mut self, node: &mut Node, loaded: Arc<Loaded>) {
        let policy = self.treatment(&loaded).policy();
        if let Some(settlement) = before(policy, loaded.event.accepted_at_ms, self.now_ms()) {
            return self.conclude(node, loaded, settlement);
        }
        let gate = gate(&node.gates, &loaded.event.function);
        let own_before = gate.in_flight();
        let may_enter = self.may_enter(node, &loaded.event.function, own_before);
        match gate.enter() {
            Ok(slot) => {
                assert!(may_enter, "{}: more run than may", Invariants::IN_FLIGHT);
                *self.attempts.entry(loaded.event.request_id.clone()).or_default() += 1;
                node.running.push((loaded, slot));
            }
            Err(reason) => {
                assert!(!may_enter, "a place was withheld");
                self.kept_out += u32::from(self.reserved_for(&loaded.event.function).is_some());
                let outcome = match gate.reserved() {
                    Some(0) => AttemptOutcome::NoConcurrency,
                    _ => AttemptOutcome::Throttled(reason),
                };
                self.write(node, loaded, outcome);
            }
        }
        let in_flight: usize = gates_of(&node.gates).map(|gate| gate.in_flight()).sum();
        assert!(in_flight == node.running.len() && in_flight <= PLACES, "{}", Invariants::IN_FLIGHT);
    }

    fn reserved_for(&self, function: &str) -> Option<u32> {
        number_of(function).and_then(|number| self.reserved[number])
    }

    /// Whether one more of the function may run, told from what runs and not from the gate's own counts.
    fn may_enter(&self, node: &Node, function: &str, own: usize) -> bool {
        if let Some(reserved) = self.reserved_for(function) {
            return own < reserved as usize;
        }
        let shared = node.running.iter().filter(|(loaded, _)| self.reserved_for(&loaded.event.function).is_none());
        let reserved = self.reserved.iter().flatten().sum::<u32>() as usize;
        shared.count() < LIMIT - reserved
    }

    /// Another reservation for one function; at least one place stays for the others.
    fn reserve(&mut self, node: &Node) {
        let number = self.pick(FUNCTIONS);
        self.reserved[number] = None;
        let left = LIMIT - 1 - self.reserved.iter().flatten().sum::<u32>() as usize;
        self.reserved[number] = match self.pick(3) {
            0 => None,
            _ => Some(u32::try_from(self.pick(left + 1)).unwrap()),
        };
        node.gates.reserve(&account(), &region(), &format!("f{number}"), self.reserved[number]);
    }

    fn treat_otherwise(&mut self) {
        let number = self.pick(FUNCTIONS);
        self.treatments[number] = Treatment {
            retries_max: u32::try_from(self.pick(3)).unwrap(),
            age_ms_max: (self.pick(2) == 0).then(|| 60_000 + i64::try_from(self.pick(600_000)).unwrap()),
            on_success: self.pick(2) == 0,
            on_failure: self.pick(2) == 0,
            dead_letters: self.pick(2) == 0,
        };
    }

    fn finish(&mut self, node: &mut Node) {
        if node.running.is_empty() {
            return;
        }
        let (loaded, slot) = node.running.swap_remove(self.pick(node.running.len()));
        drop(slot);
        let outcome = match self.pick(5) {
            0 | 1 => AttemptOutcome::FunctionError,
            2 => AttemptOutcome::Postponed,
            _ => AttemptOutcome::Success,
        };
        self.write(node, loaded, outcome);
    }

    fn write(&mut self, node: &mut Node, loaded: Arc<Loaded>, outcome: AttemptOutcome) {
        let policy = self.treatment(&loaded).policy();
        let settlement = settle(policy, loaded.event.accepted_at_ms, loaded.attempts, outcome, self.now_ms());
        self.conclude(node, loaded, settlement);
    }

    fn conclude(&mut self, node: &mut Node, loaded: Arc<Loaded>, settlement: Settlement) {
        let now_ms = self.now_ms();
        if let Settlement::Wait { expires_at_ms, .. } = settlement {
            return node.lanes.ended(loaded, End::Throttled { expires_at_ms }, now_ms);
        }
        if settlement == Settlement::Discard(DiscardReason::EventAgeExceeded) {
            let age_ms = now_ms - loaded.event.accepted_at_ms;
            let pause_ms = 5 * 60_000;
            assert!(age_ms + pause_ms >= self.treatment(&loaded).policy().age_ms_max, "given up too early");
        }
        let staged = self.staged(&loaded, settlement);
        node.lanes.ended(loaded.clone(), End::Settling, now_ms);
        node.gathered.push(Verdict { loaded, settlement, staged });
    }

    /// What follows from an end: its line in the log of ends, a record, a dead letter.
    fn staged(&self, loaded: &Arc<Loaded>, settlement: Settlement) -> Vec<Staged> {
        let treatment = self.treatment(loaded);
        let (end, is_sent, is_dead) = match settlement {
            Settlement::Done => ("Success", treatment.on_success, false),
            Settlement::Discard(reason) => (reason.condition(), treatment.on_failure, treatment.dead_letters),
            _ => return Vec::new(),
        };
        let id = loaded.event.request_id.clone();
        let line = Bytes::from(format!("{id} {end} {is_sent} {is_dead}"));
        let mut staged = vec![append(ENDS, line)];
        if is_sent {
            let mut record = event(SINK, &format!("record-{id}"));
            record.accepted_at_ms = self.now_ms();
            staged.push(Staged { bytes: 1, write: Arc::new(move |tx| enqueue(tx, &record)) });
        }
        if is_dead {
            staged.push(append(DEAD_LETTERS, id.into()));
        }
        staged
    }

    /// Writes some of what was gathered for one shard.
    async fn settle(&mut self, node: &mut Node) {
        let Some(first) = node.gathered.first() else { return };
        let shard = shard_of(first.loaded.lane);
        let (mut batch, mut rest) = (Vec::new(), Vec::new());
        let count = 1 + self.pick(5);
        for verdict in std::mem::take(&mut node.gathered) {
            let is_in = shard_of(verdict.loaded.lane) == shard && batch.len() < count;
            if is_in { batch.push(verdict) } else { rest.push(verdict) }
        }
        node.gathered = rest;
        let gone = node.shards[usize::try_from(shard).unwrap()].settle(batch.clone().into()).await.unwrap();
        assert_eq!(gone, 0, "{}: somebody else settled it", Invariants::ONE_END);
        for verdict in batch {
            self.ended += usize::from(!matches!(verdict.settlement, Settlement::RetryAt { .. }));
            self.sent += usize::from(is_sent(&verdict));
            let due_at_ms = match verdict.settlement {
                Settlement::RetryAt { due_at_ms, .. } => Some(due_at_ms),
                _ => None,
            };
            node.lanes.settled(&verdict.loaded, due_at_ms);
        }
        // Whatever was settled was told before, and the driver hears before it goes on.
        self.hear(node).await;
    }

    /// The node dies; what it had in memory is gone. Its ghost tries to go on and must not get anywhere.
    async fn crash(&mut self, node: Node) -> Node {
        self.crashes += 1;
        let fresh = self.boot().await;
        let running = node.running.iter().map(|(loaded, _)| Verdict {
            loaded: loaded.clone(),
            settlement: Settlement::Done,
            staged: self.staged(loaded, Settlement::Done),
        });
        for verdict in running.chain(node.gathered.iter().cloned()) {
            let shard = &node.shards[usize::try_from(shard_of(verdict.loaded.lane)).unwrap()];
            let ghost = shard.settle([verdict].into()).await;
            assert!(matches!(ghost, Err(StoreError::ClaimLost { .. })), "{ghost:?}");
        }
        fresh
    }
}

/// Whether a record goes with it: told from what is staged, because settings change.
fn is_sent(verdict: &Verdict) -> bool {
    verdict.staged.iter().any(|staged| staged.bytes == 1)
}

fn append(log: Table, line: Bytes) -> Staged {
    Staged { bytes: 0, write: Arc::new(move |tx| tx.append(&log.key(), line.clone()).map(|_| ())) }
}

async fn discover(shard: &Shard, lanes: &mut Lanes) {
    for lane in shard.fresh_lanes(None).await.unwrap() {
        lanes.found(lane, true, None);
    }
    for (lane, due_ms) in shard.deferred_lanes(None).await.unwrap() {
        lanes.found(lane, false, Some(due_ms));
    }
}

fn number_of(function: &str) -> Option<usize> {
    function.strip_prefix('f')?.parse().ok()
}

fn gate(gates: &Gates, function: &str) -> Arc<FunctionGate> {
    gates.function(&account(), &region(), function)
}

fn gates_of(gates: &Gates) -> impl Iterator<Item = Arc<FunctionGate>> {
    let names = (0..FUNCTIONS).map(|number| format!("f{number}")).chain([SINK.to_owned()]);
    names.map(|name| gate(gates, &name))
}

async fn simulate(seed: u64) -> World {
    let mut world = World {
        store: Store::memory(),
        clock: Arc::new(ManualClock::at(1_000_000)),
        random: SeededIds::new(seed),
        accepted: 0,
        attempts: BTreeMap::new(),
        ended: 0,
        sent: 0,
        crashes: 0,
        reserved: [None; FUNCTIONS],
        treatments: [PLAIN; FUNCTIONS],
        kept_out: 0,
    };
    let mut node = world.boot().await;
    for _ in 0..40_000 {
        match world.pick(50) {
            0..=4 => world.accept().await,
            5..=9 => world.hear(&mut node).await,
            10..=24 => world.next(&mut node).await,
            25..=33 => world.finish(&mut node),
            34..=40 => world.settle(&mut node).await,
            41..=44 => world.clock.advance_ms(i64::try_from(world.pick(90_000)).unwrap()),
            45 => world.reserve(&node),
            46 => world.treat_otherwise(),
            47 => node.lanes.woken(0),
            _ if world.crashes < 20 => node = world.crash(node).await,
            _ => {}
        }
        if world.accepted == EVENTS && world.ended == EVENTS + world.sent {
            break;
        }
    }
    assert!(node.running.is_empty() && node.gathered.is_empty(), "seed {seed}: {} left", node.lanes.held());
    // A new node finds no event, now or later.
    let mut fresh = world.boot().await;
    while fresh.lanes.next(i64::MAX).is_some() {}
    assert_eq!((fresh.lanes.len(), fresh.lanes.held()), (0, 0), "seed {seed}: {}", Invariants::NO_LEAK);
    world
}

/// What holds at the end, whatever the order.
struct Invariants {
    /// Each end that was written: by the event's id, how it ended, whether a record was to be sent, and a dead letter.
    ends: Vec<(String, String, bool, bool)>,
    dead_letters: Vec<String>,
    /// Records in the queue's own tables.
    left: usize,
}

impl Invariants {
    const ONE_END: &str = "each accepted event ends exactly once";
    const CONSEQUENCES: &str = "what an end is to send is sent exactly once, and nothing else";
    const IN_FLIGHT: &str = "in flight is never above the limits";
    const NO_LEAK: &str = "no record is left behind";

    async fn of(store: &Store) -> Invariants {
        let read = store.read(|read| {
            let mut lines = |table: Table| -> Result<Vec<String>, StoreError> {
                let found = read.range(&Range::prefix(&table.key()), Order::Ascending, 10_000)?;
                Ok(found.into_iter().map(|(_, line)| String::from_utf8(line.to_vec()).unwrap()).collect())
            };
            let (ends, dead_letters) = (lines(ENDS)?, lines(DEAD_LETTERS)?);
            let mut left = 0;
            for table in 0x0180..=0x0185 {
                left += read.range(&Range::prefix(&Table(table).key()), Order::Ascending, 10_000)?.len();
            }
            Ok::<_, StoreError>((ends, dead_letters, left))
        });
        let (ends, dead_letters, left) = read.await.unwrap();
        let parsed = ends.iter().map(|line| {
            let parts: Vec<&str> = line.split(' ').collect();
            (parts[0].to_owned(), parts[1].to_owned(), parts[2] == "true", parts[3] == "true")
        });
        Invariants { ends: parsed.collect(), dead_letters, left }
    }

    fn check(&self, seed: u64) {
        let mut expected: BTreeSet<String> = (0..EVENTS).map(|number| number.to_string()).collect();
        expected.extend(self.ends.iter().filter(|end| end.2).map(|end| format!("record-{}", end.0)));
        let ended: BTreeSet<String> = self.ends.iter().map(|end| end.0.clone()).collect();
        assert_eq!(ended.len(), self.ends.len(), "seed {seed}: {}", Invariants::ONE_END);
        assert_eq!(ended, expected, "seed {seed}: {}; {}", Invariants::ONE_END, Invariants::CONSEQUENCES);
        let mut dead: Vec<&String> = self.ends.iter().filter(|end| end.3).map(|end| &end.0).collect();
        let mut dead_letters: Vec<&String> = self.dead_letters.iter().collect();
        dead.sort();
        dead_letters.sort();
        assert_eq!(dead_letters, dead, "seed {seed}: {}", Invariants::CONSEQUENCES);
        assert_eq!(self.left, 0, "seed {seed}: {}", Invariants::NO_LEAK);
    }
}

#[tokio::test]
async fn every_accepted_event_ends_exactly_once_whenever_the_node_crashes() {
    let (mut crashes, mut repeated, mut kept_out) = (0, 0, 0);
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    let (mut records, mut dead_letters) = (0, 0);
    for seed in 0..12 {
        let world = simulate(seed).await;
        assert_eq!(world.accepted, EVENTS, "seed {seed}");
        let invariants = Invariants::of(&world.store).await;
        invariants.check(seed);
        for end in &invariants.ends {
            *ends.entry(end.1.clone()).or_default() += 1;
        }
        records += world.sent;
        dead_letters += invariants.dead_letters.len();
        crashes += world.crashes;
        kept_out += world.kept_out;
        repeated += world.attempts.values().filter(|attempts| **attempts > 3).count();
    }
    // The simulation must reach what it is for.
    assert!(crashes > 50 && repeated > 0, "{crashes} crashes, {repeated} events run again because of one");
    assert!(kept_out > 50, "{kept_out} requests kept out by a reservation");
    assert!(records > 20 && dead_letters > 10, "{records} records, {dead_letters} dead letters");
    for condition in ["Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency"] {
        assert!(ends.get(condition).is_some_and(|count| *count > 3), "{ends:?}");
    }
}
