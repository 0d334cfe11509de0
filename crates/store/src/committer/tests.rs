//! Tests of group commit over a base whose writes the test holds up or lets fail.

use super::*;
use crate::engine::View;
use crate::memory::MemoryBase;
use crate::{Key, Store, Table};
use bytes::Bytes;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A base in memory behind a gate.
struct Gated {
    memory: MemoryBase,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    changed: Condvar,
    writes: AtomicU32,
    fails: AtomicBool,
}

impl Gate {
    fn set_open(&self, is_open: bool) {
        *self.is_open.lock().unwrap() = is_open;
        self.changed.notify_all();
    }

    fn writes(&self) -> u32 {
        self.writes.load(Ordering::SeqCst)
    }
}

/// Opens the gate at the end of a test, so that one that fails does not wait for the committer for ever.
struct GateHandle(Arc<Gate>);

impl std::ops::Deref for GateHandle {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.0
    }
}

impl Drop for GateHandle {
    fn drop(&mut self) {
        self.set_open(true);
    }
}

impl Base for Gated {
    fn view(&self, at: u64) -> Box<dyn View + '_> {
        self.memory.view(at)
    }

    fn counter(&self, log: &Key) -> Result<Option<u64>, StoreError> {
        self.memory.counter(log)
    }

    fn counters(&self) -> Result<Vec<(Key, u64)>, StoreError> {
        self.memory.counters()
    }

    fn check_space(&self, _bytes: usize) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&self, group: &Group, oldest: u64) -> Result<(), String> {
        self.gate.writes.fetch_add(1, Ordering::SeqCst);
        let is_open = self.gate.is_open.lock().unwrap();
        drop(self.gate.changed.wait_while(is_open, |is_open| !*is_open).unwrap());
        if self.gate.fails.load(Ordering::SeqCst) {
            return Err("no disk".to_owned());
        }
        self.memory.write(group, oldest)
    }
}

fn gated() -> (Store, Arc<GroupCommitEngine>, GateHandle) {
    let (gate, hub, options) = (Arc::new(Gate::default()), Arc::new(Hub::default()), StoreOptions::default());
    let base = Gated { memory: MemoryBase::default(), gate: gate.clone() };
    let engine = Arc::new(GroupCommitEngine::start(Box::new(base), &options, hub.clone()).unwrap());
    (Store::over(engine.clone(), hub, &options), engine, GateHandle(gate))
}

/// Waits until `done`; fails the test after 30 s.
async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::task::yield_now().await;
    }
}

fn queued(engine: &GroupCommitEngine) -> usize {
    QUEUE_TRANSACTIONS_MAX - engine.parts().as_ref().unwrap().requests.capacity()
}

async fn put(store: Store, number: u64) -> Result<(), StoreError> {
    store.transact(move |tx| tx.put(Table(1).key().number(number), Bytes::new())).await.map(|_| ())
}

async fn add(store: Store) {
    let added = store.transact(|tx| {
        let key = Table(2).key();
        let count = tx.get(&key)?.map_or(0, |value| value[0]);
        tx.put(key, Bytes::copy_from_slice(&[count + 1]))
    });
    added.await.unwrap();
}

#[tokio::test]
async fn what_comes_during_a_sync_is_one_group() {
    let (store, engine, gate) = gated();
    let first = tokio::spawn(put(store.clone(), 0));
    until("the first sync", || gate.writes() == 1).await;
    let more: Vec<_> = (1..=3_000).map(|number| tokio::spawn(put(store.clone(), number))).collect();
    until("the queue", || queued(&engine) == 3_000).await;
    assert!(!first.is_finished(), "nothing is acknowledged before its sync");
    let unseen = store.read(|read| read.get(&Table(1).key().number(0))).await.unwrap();
    assert_eq!(unseen, None, "nothing is visible before its sync");
    gate.set_open(true);
    first.await.unwrap().unwrap();
    for task in more {
        task.await.unwrap().unwrap();
    }
    // One group; a slow machine closes it a few times, lest the first wait for too long.
    assert!(gate.writes() <= 30, "{} syncs for 3001 commits", gate.writes());
}

#[tokio::test]
async fn updates_of_one_key_in_one_group_see_each_other() {
    let (store, engine, gate) = gated();
    let first = tokio::spawn(put(store.clone(), 0));
    until("the first sync", || gate.writes() == 1).await;
    let adders: Vec<_> = (0..50).map(|_| tokio::spawn(add(store.clone()))).collect();
    until("the queue", || queued(&engine) == 50).await;
    gate.set_open(true);
    first.await.unwrap().unwrap();
    for adder in adders {
        adder.await.unwrap();
    }
    let count = store.read(|read| read.get(&Table(2).key())).await.unwrap();
    assert_eq!(count, Some(Bytes::from_static(&[50])));
    assert!(gate.writes() <= 4, "{} syncs for 50 updates of a hot key", gate.writes());
}

#[tokio::test]
async fn a_panic_in_the_committer_ends_only_its_transaction() {
    let (store, engine, gate) = gated();
    let first = tokio::spawn(add(store.clone()));
    until("the first sync", || gate.writes() == 1).await;
    let runs = Arc::new(AtomicU32::new(0));
    let panics = {
        let (store, runs) = (store.clone(), runs.clone());
        tokio::spawn(async move {
            let panics = store.transact(move |tx| {
                let found = tx.get(&Table(2).key())?;
                assert_eq!(runs.fetch_add(1, Ordering::SeqCst), 0, "on purpose");
                tx.put(Table(2).key(), found.unwrap_or_default())
            });
            panics.await.map(|_| ())
        })
    };
    until("the queue", || queued(&engine) == 1).await;
    gate.set_open(true);
    first.await.unwrap();
    assert!(matches!(panics.await.unwrap(), Err(StoreError::Unavailable(cause)) if cause.contains("on purpose")));
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    put(store, 1).await.unwrap();
}

#[tokio::test]
async fn a_failed_write_is_fatal() {
    let (store, _engine, gate) = gated();
    gate.set_open(true);
    put(store.clone(), 0).await.unwrap();
    let fatal = tokio::spawn({
        let store = store.clone();
        async move { store.fatal().await }
    });
    gate.fails.store(true, Ordering::SeqCst);
    assert!(matches!(put(store.clone(), 1).await, Err(StoreError::Unavailable(cause)) if cause.contains("no disk")));
    let reason = tokio::time::timeout(Duration::from_secs(30), fatal).await.unwrap().unwrap();
    assert!(reason.to_string().contains("no disk"));
    gate.fails.store(false, Ordering::SeqCst);
    assert!(put(store.clone(), 2).await.is_err(), "it does not come back");
    assert!(store.read(|read| read.get(&Table(1).key().number(0))).await.is_err());
    assert!(store.close().await.is_err());
}

#[tokio::test]
async fn close_waits_for_what_was_begun() {
    let (store, engine, gate) = gated();
    let mut tasks = vec![tokio::spawn(put(store.clone(), 0))];
    until("the first sync", || gate.writes() == 1).await;
    tasks.extend((1..10).map(|number| tokio::spawn(put(store.clone(), number))));
    until("the queue", || queued(&engine) == 9).await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    until("the closing", || engine.parts().is_none()).await;
    gate.set_open(true);
    closing.await.unwrap().unwrap();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!(put(store, 11).await.is_err());
}
