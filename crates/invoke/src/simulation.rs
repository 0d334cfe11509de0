//! A seeded simulation of gate, queue and machine: events are accepted, loaded, run and settled in a random
//! order, reservations of concurrency come and go, and the node crashes between any two commits. Whatever the
//! order: every accepted event ends, its end is written once, no more run at a time than account and function
//! may, and nothing is left behind.

use crate::gate::{FunctionGate, Gates, Slot};
use crate::limits::QUEUE_SHARDS;
use crate::machine::{AttemptOutcome, RetryPolicy, Settlement, settle};
use crate::queue::{Cursor, Loaded, Shard, enqueue};
use crate::testing::{account, event, region};
use gust_store::{Store, StoreError};
use gust_types::{Clock, Ids, ManualClock, SeededIds, SharedClock};
use std::collections::HashMap;
use std::sync::Arc;

const LIMIT: usize = 3;
const FUNCTIONS: usize = 3;
const EVENTS: usize = 40;

/// What a crash takes away.
struct Node {
    shards: Vec<(Shard, Cursor)>,
    gates: Gates,
    waiting: Vec<(usize, Loaded)>,
    running: Vec<(usize, Loaded, Slot)>,
}

struct World {
    store: Store,
    clock: Arc<ManualClock>,
    random: SeededIds,
    accepted: usize,
    attempts: HashMap<String, u32>,
    ends: HashMap<String, u32>,
    crashes: u32,
    /// What is reserved for each function; outlives a crash, as in the store.
    reserved: [Option<u32>; FUNCTIONS],
    /// Requests that a reservation kept out.
    kept_out: u32,
}

impl World {
    fn pick(&self, below: usize) -> usize {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % below as u64).unwrap()
    }

    async fn boot(&self) -> Node {
        let mut shards = Vec::new();
        let clock: SharedClock = self.clock.clone();
        for number in 0..QUEUE_SHARDS {
            let shard = Shard::acquire(&self.store, &clock, "node", number).await.unwrap();
            shards.push((shard, Cursor::default()));
        }
        let gates = Gates::new(LIMIT);
        for (function, reserved) in self.reserved.iter().enumerate() {
            gates.reserve(&account(), &region(), &format!("f{function}"), *reserved);
        }
        Node { shards, gates, waiting: Vec::new(), running: Vec::new() }
    }

    async fn accept(&mut self) {
        if self.accepted < EVENTS {
            let mut event = event(&format!("f{}", self.pick(FUNCTIONS)), &self.accepted.to_string());
            event.accepted_at_ms = self.clock.now_ms();
            self.store.transact(move |tx| enqueue(tx, &event)).await.unwrap();
            self.accepted += 1;
        }
    }

    async fn load(&self, node: &mut Node) {
        let number = self.pick(node.shards.len());
        let (shard, cursor) = &mut node.shards[number];
        let load = shard.load(*cursor, self.clock.now_ms(), 1 + self.pick(4)).await.unwrap();
        *cursor = load.cursor;
        node.waiting.extend(load.events.into_iter().map(|loaded| (number, loaded)));
    }

    async fn begin(&mut self, node: &mut Node) {
        if node.waiting.is_empty() {
            return;
        }
        let (number, loaded) = node.waiting.swap_remove(self.pick(node.waiting.len()));
        let gate = gate(&node.gates, &loaded.event.function);
        let own_before = gate.in_flight();
        match gate.enter() {
            Ok(slot) => {
                assert!(self.may_enter(node, &loaded.event.function, own_before), "more run than may");
                *self.attempts.entry(loaded.event.request_id.clone()).or_default() += 1;
                node.running.push((number, loaded, slot));
            }
            Err(_) => {
                assert!(!self.may_enter(node, &loaded.event.function, own_before), "a place was withheld");
                self.kept_out += u32::from(self.reserved_for(&loaded.event.function).is_some());
                self.write(node, number, &loaded, AttemptOutcome::Postponed).await;
            }
        }
        let in_flight: usize = (0..FUNCTIONS).map(|number| gate_of(&node.gates, number).in_flight()).sum();
        assert_eq!(in_flight, node.running.len());
    }

    fn reserved_for(&self, function: &str) -> Option<u32> {
        self.reserved[function[1..].parse::<usize>().unwrap()]
    }

    /// Whether one more of the function may run, told from what runs and not from the gate's own counts.
    fn may_enter(&self, node: &Node, function: &str, own: usize) -> bool {
        if let Some(reserved) = self.reserved_for(function) {
            return own < reserved as usize;
        }
        let shared = node.running.iter().filter(|(_, loaded, _)| self.reserved_for(&loaded.event.function).is_none());
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

    async fn finish(&mut self, node: &mut Node) {
        if node.running.is_empty() {
            return;
        }
        let (number, loaded, slot) = node.running.swap_remove(self.pick(node.running.len()));
        drop(slot);
        let outcome = match self.pick(4) {
            0 => AttemptOutcome::FunctionError,
            1 => AttemptOutcome::Postponed,
            _ => AttemptOutcome::Success,
        };
        self.write(node, number, &loaded, outcome).await;
    }

    async fn write(&mut self, node: &Node, number: usize, loaded: &Loaded, outcome: AttemptOutcome) {
        let (accepted_at_ms, now_ms) = (loaded.event.accepted_at_ms, self.clock.now_ms());
        let settlement = settle(RetryPolicy::default(), accepted_at_ms, loaded.attempts, outcome, now_ms);
        node.shards[number].0.settle(loaded, settlement).await.unwrap();
        if matches!(settlement, Settlement::Done | Settlement::Discard(_)) {
            *self.ends.entry(loaded.event.request_id.clone()).or_default() += 1;
        }
    }

    /// The node dies; what it had in memory is gone. Its ghost tries to go on and must not get anywhere.
    async fn crash(&mut self, node: Node) -> Node {
        self.crashes += 1;
        let fresh = self.boot().await;
        for (number, loaded, _) in &node.running {
            let ghost = node.shards[*number].0.settle(loaded, Settlement::Done).await;
            assert!(matches!(ghost, Err(StoreError::ClaimLost { .. })), "{ghost:?}");
        }
        fresh
    }
}

fn gate(gates: &Gates, function: &str) -> Arc<FunctionGate> {
    gates.function(&account(), &region(), function)
}

fn gate_of(gates: &Gates, number: usize) -> Arc<FunctionGate> {
    gate(gates, &format!("f{number}"))
}

async fn simulate(seed: u64) -> World {
    let mut world = World {
        store: Store::memory(),
        clock: Arc::new(ManualClock::at(1_000_000)),
        random: SeededIds::new(seed),
        accepted: 0,
        attempts: HashMap::new(),
        ends: HashMap::new(),
        crashes: 0,
        reserved: [None; FUNCTIONS],
        kept_out: 0,
    };
    let mut node = world.boot().await;
    for _ in 0..20_000 {
        match world.pick(42) {
            0..=4 => world.accept().await,
            5..=14 => world.load(&mut node).await,
            15..=24 => world.begin(&mut node).await,
            25..=34 => world.finish(&mut node).await,
            35..=38 => world.clock.advance_ms(i64::try_from(world.pick(90_000)).unwrap()),
            39..=40 => world.reserve(&node),
            _ if world.crashes < 20 => node = world.crash(node).await,
            _ => {}
        }
        if world.ends.len() == EVENTS {
            break;
        }
    }
    // Nothing is left: a new node finds no event, now or later.
    assert!(node.running.is_empty() && node.waiting.is_empty());
    assert_eq!(node.gates.of(&account(), &region()).in_flight(), 0);
    for (shard, _) in world.boot().await.shards {
        let load = shard.load(Cursor::default(), i64::MAX, 100).await.unwrap();
        assert!(load.events.is_empty() && load.next_due_ms.is_none(), "seed {seed}");
    }
    world
}

#[tokio::test]
async fn every_accepted_event_ends_exactly_once_whenever_the_node_crashes() {
    let (mut crashes, mut repeated, mut kept_out) = (0, 0, 0);
    for seed in 0..12 {
        let world = simulate(seed).await;
        assert_eq!(world.accepted, EVENTS, "seed {seed}");
        assert_eq!(world.ends.len(), EVENTS, "seed {seed}: some event never ended");
        assert!(world.ends.values().all(|ends| *ends == 1), "seed {seed}: {:?}", world.ends);
        crashes += world.crashes;
        kept_out += world.kept_out;
        repeated += world.attempts.values().filter(|attempts| **attempts > 3).count();
    }
    // The simulation must reach what it is for.
    assert!(crashes > 50 && repeated > 0, "{crashes} crashes, {repeated} events run again because of one");
    assert!(kept_out > 50, "{kept_out} requests kept out by a reservation");
}
