//! A seeded simulation of gate, queue and machine: events are accepted, loaded, run and settled in a random
//! order, and the node crashes between any two commits. Whatever the order: every accepted event ends, its
//! end is written once, no more run at a time than the gate lets in, and nothing is left behind.

use crate::gate::{Gates, Slot};
use crate::limits::QUEUE_SHARDS;
use crate::machine::{AttemptOutcome, RetryPolicy, Settlement, settle};
use crate::queue::{Cursor, Loaded, Shard, enqueue};
use crate::testing::{account, event, region};
use gust_store::{Store, StoreError};
use gust_types::{Clock, Ids, ManualClock, SeededIds, SharedClock};
use std::collections::HashMap;
use std::sync::Arc;

const LIMIT: usize = 3;
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
        Node { shards, gates: Gates::new(LIMIT), waiting: Vec::new(), running: Vec::new() }
    }

    async fn accept(&mut self) {
        if self.accepted < EVENTS {
            let mut event = event(&format!("f{}", self.pick(3)), &self.accepted.to_string());
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
        let gate = node.gates.of(&account(), &region());
        match gate.enter() {
            Ok(slot) => {
                *self.attempts.entry(loaded.event.request_id.clone()).or_default() += 1;
                node.running.push((number, loaded, slot));
            }
            Err(_) => self.write(node, number, &loaded, AttemptOutcome::Postponed).await,
        }
        assert!(gate.in_flight() <= LIMIT && gate.in_flight() == node.running.len());
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

async fn simulate(seed: u64) -> World {
    let mut world = World {
        store: Store::memory(),
        clock: Arc::new(ManualClock::at(1_000_000)),
        random: SeededIds::new(seed),
        accepted: 0,
        attempts: HashMap::new(),
        ends: HashMap::new(),
        crashes: 0,
    };
    let mut node = world.boot().await;
    for _ in 0..20_000 {
        match world.pick(40) {
            0..=4 => world.accept().await,
            5..=14 => world.load(&mut node).await,
            15..=24 => world.begin(&mut node).await,
            25..=34 => world.finish(&mut node).await,
            35..=38 => world.clock.advance_ms(i64::try_from(world.pick(90_000)).unwrap()),
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
    let (mut crashes, mut repeated) = (0, 0);
    for seed in 0..12 {
        let world = simulate(seed).await;
        assert_eq!(world.accepted, EVENTS, "seed {seed}");
        assert_eq!(world.ends.len(), EVENTS, "seed {seed}: some event never ended");
        assert!(world.ends.values().all(|ends| *ends == 1), "seed {seed}: {:?}", world.ends);
        crashes += world.crashes;
        repeated += world.attempts.values().filter(|attempts| **attempts > 3).count();
    }
    // The simulation must reach what it is for.
    assert!(crashes > 50 && repeated > 0, "{crashes} crashes, {repeated} events run again because of one");
}
