//! The engine in memory: every key with the versions that a snapshot may still read.

use crate::engine::{Attempt, Engine, Failure, ReadWork, View, Work};
use crate::local::{ALONE_FROM_ATTEMPT, Base, Proposal, Ran, Run, judge, run};
use crate::pool::Pool;
use crate::sequencer::{Group, Sequencer, Snapshots};
use crate::transaction::Snapshot;
use crate::wake::Hub;
use crate::{Key, Order, Pair, StoreError, StoreOptions};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use gust_types::{Ids, SeededIds};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// One closure in this many is run twice.
const RERUN_ONE_IN: u8 = 8;

/// The values of one key by commit, oldest first; `None` is a removal.
type Versions = Vec<(u64, Option<Bytes>)>;

/// Versioned data in memory.
#[derive(Default)]
pub(crate) struct MemoryBase {
    data: RwLock<MemoryData>,
}

#[derive(Default)]
struct MemoryData {
    versions: BTreeMap<Key, Versions>,
    counters: BTreeMap<Key, u64>,
    /// Keys with versions to be dropped once no snapshot is older than the commit.
    garbage: VecDeque<(u64, Key)>,
}

impl MemoryData {
    /// Drops the versions of `key` that no snapshot from `oldest` on can see.
    fn prune(&mut self, key: &Key, oldest: u64) {
        let Some(versions) = self.versions.get_mut(key) else { return };
        let visible = versions.iter().rposition(|(sequence, _)| *sequence <= oldest).unwrap_or(0);
        versions.drain(..visible);
        if matches!(versions.as_slice(), [(sequence, None)] if *sequence <= oldest) {
            self.versions.remove(key);
        }
    }
}

impl Base for MemoryBase {
    fn view(&self, at: u64) -> Box<dyn View + '_> {
        Box::new(MemoryView { base: self, at })
    }

    fn counter(&self, log: &Key) -> Result<Option<u64>, StoreError> {
        Ok(self.data.read().unwrap_or_else(PoisonError::into_inner).counters.get(log).copied())
    }

    fn counters(&self) -> Result<Vec<(Key, u64)>, StoreError> {
        let data = self.data.read().unwrap_or_else(PoisonError::into_inner);
        Ok(data.counters.iter().map(|(log, next)| (log.clone(), *next)).collect())
    }

    fn check_space(&self, _bytes: usize) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&self, group: &Group, oldest: u64) -> Result<(), String> {
        let mut data = self.data.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in &group.changes {
            let versions = data.versions.entry(key.clone()).or_default();
            versions.push((group.sequence, value.clone()));
            if versions.len() > 1 || value.is_none() {
                data.garbage.push_back((group.sequence, key.clone()));
            }
        }
        for (log, next) in &group.counters {
            data.counters.insert(log.clone(), *next);
        }
        while data.garbage.front().is_some_and(|(sequence, _)| *sequence <= oldest) {
            let Some((_, key)) = data.garbage.pop_front() else { break };
            data.prune(&key, oldest);
        }
        Ok(())
    }
}

struct MemoryView<'a> {
    base: &'a MemoryBase,
    at: u64,
}

impl MemoryView<'_> {
    fn visible(&self, versions: &Versions) -> Option<Bytes> {
        versions.iter().rev().find(|(sequence, _)| *sequence <= self.at).and_then(|(_, value)| value.clone())
    }
}

impl View for MemoryView<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        let data = self.base.data.read().unwrap_or_else(PoisonError::into_inner);
        Ok(data.versions.get(key).and_then(|versions| self.visible(versions)))
    }

    fn range(&mut self, start: &[u8], end: Option<&[u8]>, order: Order, limit: usize) -> Result<Vec<Pair>, Failure> {
        let data = self.base.data.read().unwrap_or_else(PoisonError::into_inner);
        let upper = end.map_or(Bound::Unbounded, Bound::Excluded);
        let found = data.versions.range::<[u8], _>((Bound::Included(start), upper));
        let pair = |(key, versions): (&Key, &Versions)| Some((key.clone(), self.visible(versions)?));
        Ok(match order {
            Order::Ascending => found.filter_map(pair).take(limit).collect(),
            Order::Descending => found.rev().filter_map(pair).take(limit).collect(),
        })
    }
}

/// See the module.
pub(crate) struct MemoryEngine {
    shared: Arc<Shared>,
    reruns: SeededIds,
    time: Duration,
}

struct Shared {
    base: MemoryBase,
    snapshots: Arc<Snapshots>,
    sequencer: Mutex<Sequencer>,
    hub: Arc<Hub>,
}

impl MemoryEngine {
    pub(crate) fn new(options: &StoreOptions, hub: Arc<Hub>) -> MemoryEngine {
        let shared =
            Shared { base: MemoryBase::default(), snapshots: Arc::default(), sequencer: Mutex::default(), hub };
        let reruns = SeededIds::new(options.rerun_seed);
        MemoryEngine { shared: Arc::new(shared), reruns, time: options.transaction_time() }
    }

    fn is_run_twice(&self) -> bool {
        let mut byte = [0u8];
        self.reruns.fill(&mut byte);
        byte[0].is_multiple_of(RERUN_ONE_IN)
    }
}

impl Shared {
    fn attempt(&self, closure: Run, alone: bool) -> Result<Attempt, StoreError> {
        let proposal = if alone {
            Proposal::Alone(closure)
        } else {
            match run(&self.base, &self.snapshots, closure)? {
                Ran::Done(attempt, wakes) => {
                    wakes.iter().for_each(|topic| self.hub.wake(topic));
                    return Ok(attempt);
                }
                Ran::Proposed(proposal) => proposal,
            }
        };
        let mut group = Group::default();
        let attempt = {
            let mut sequencer = self.sequencer.lock().unwrap_or_else(PoisonError::into_inner);
            let attempt = judge(&self.base, &self.snapshots, &mut sequencer, &mut group, proposal)?;
            if group.sequence > 0 {
                let oldest = self.snapshots.oldest();
                self.base.write(&group, oldest).map_err(StoreError::Unavailable)?;
                sequencer.written(&group, oldest);
                self.snapshots.publish(group.sequence);
                // Before the next transaction commits, so that those who are told hear of them in their order.
                self.hub.tell(std::mem::take(&mut group.tells));
            }
            attempt
        };
        group.wakes.iter().for_each(|topic| self.hub.wake(topic));
        Ok(attempt)
    }
}

impl Engine for MemoryEngine {
    fn attempt<'a>(&'a self, pool: &'a Pool, work: Work, attempt: u32) -> BoxFuture<'a, Result<Attempt, StoreError>> {
        let (shared, closure) = (self.shared.clone(), Run { work, time: self.time });
        let twice = attempt == 1 && self.is_run_twice();
        Box::pin(pool.run(move || {
            if twice {
                // As if it had conflicted: what this run wrote is dropped.
                run(&shared.base, &shared.snapshots, closure.clone())?;
            }
            shared.attempt(closure, attempt >= ALONE_FROM_ATTEMPT)
        }))
    }

    fn read<'a>(&'a self, pool: &'a Pool, work: ReadWork) -> BoxFuture<'a, Result<(), StoreError>> {
        let shared = self.shared.clone();
        Box::pin(pool.run(move || {
            let hold = shared.snapshots.hold();
            let mut view = shared.base.view(hold.at);
            work(&mut Snapshot(&mut *view));
            Ok(())
        }))
    }

    fn counters<'a>(&'a self, pool: &'a Pool) -> BoxFuture<'a, Result<Vec<(Key, u64)>, StoreError>> {
        let shared = self.shared.clone();
        Box::pin(pool.run(move || shared.base.counters()))
    }

    fn fatal(&self) -> BoxFuture<'static, StoreError> {
        Box::pin(std::future::pending())
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, Table};
    use std::sync::atomic::{AtomicU32, Ordering};

    fn write(base: &MemoryBase, sequence: u64, oldest: u64, value: Option<&'static [u8]>) {
        let key = Table(1).key();
        let changes = BTreeMap::from([(key, value.map(Bytes::from_static))]);
        base.write(&Group { changes, sequence, ..Group::default() }, oldest).unwrap();
    }

    #[test]
    fn versions_live_as_long_as_a_snapshot_may_see_them() {
        let base = MemoryBase::default();
        let get = |at| base.view(at).get(Table(1).key().as_bytes()).unwrap();
        write(&base, 1, 0, Some(b"1"));
        write(&base, 2, 1, None);
        write(&base, 3, 1, Some(b"3"));
        assert_eq!([get(0), get(1), get(2), get(3)], [None, Some("1".into()), None, Some("3".into())]);
        write(&base, 4, 3, None);
        assert_eq!([get(3), get(4)], [Some("3".into()), None]);
        write(&base, 5, 5, None);
        assert!(base.data.read().unwrap().versions.is_empty(), "nothing is left of a removed key");
        assert!(base.data.read().unwrap().garbage.is_empty());
    }

    #[tokio::test]
    async fn some_closures_run_twice_and_none_on_a_reactor_thread() {
        let store = Store::memory();
        let runs = Arc::new(AtomicU32::new(0));
        let reactor = std::thread::current().id();
        for _ in 0..200 {
            let runs = runs.clone();
            let counted = store.transact(move |tx| {
                assert_ne!(std::thread::current().id(), reactor);
                runs.fetch_add(1, Ordering::Relaxed);
                tx.put(Table(1).key(), Bytes::new())
            });
            counted.await.unwrap();
        }
        let runs = runs.load(Ordering::Relaxed);
        assert!((205..300).contains(&runs), "{runs} of 200");
    }

    #[tokio::test]
    async fn a_run_has_a_time_limit_even_if_the_closure_ignores_it() {
        let store = Store::memory_with(&StoreOptions { transaction_ms: 0, ..StoreOptions::default() });
        let late = store.transact(|tx| tx.put(Table(1).key(), Bytes::new())).await;
        assert!(matches!(late, Err(StoreError::TransactionTooLarge(_))), "{late:?}");
        let late = store.transact(|tx| {
            let _ = tx.put(Table(1).key(), Bytes::new());
            Ok::<_, StoreError>(())
        });
        let late = late.await;
        assert!(matches!(late, Err(StoreError::TransactionTooLarge(_))), "{late:?}");
    }
}
