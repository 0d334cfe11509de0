//! Optimistic concurrency for the engines of one machine: decides which transactions commit, in which
//! order, and hands out the stamps of logs.
//!
//! A transaction reads from a snapshot and is checked at commit: if anything it read (keys, and ranges
//! with the keys that were not there) was written since, it conflicts. That order of commits is then a
//! serial one: each transaction read what the ones before it left.

use crate::tail::Told;
use crate::transaction::{Changes, ReadSet, WriteSet, Written};
use crate::{Key, StoreError};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many written keys are remembered to check older snapshots against. Snapshots older than that conflict.
const RECENT_KEYS_MAX: usize = 200_000;
/// How many logs' next stamps are kept in memory.
const COUNTERS_MAX: usize = 100_000;

/// Numbers of commits: the one last published, and those that running transactions read from.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    state: Mutex<SnapshotsState>,
}

#[derive(Debug, Default)]
struct SnapshotsState {
    published: u64,
    in_use: BTreeMap<u64, usize>,
}

impl Snapshots {
    fn state(&self) -> MutexGuard<'_, SnapshotsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest published commit, held until the guard is dropped.
    pub(crate) fn hold(self: &Arc<Snapshots>) -> SnapshotHold {
        let mut state = self.state();
        let at = state.published;
        *state.in_use.entry(at).or_default() += 1;
        SnapshotHold { snapshots: self.clone(), at }
    }

    /// Makes all commits up to `sequence` visible.
    pub(crate) fn publish(&self, sequence: u64) {
        self.state().published = sequence;
    }

    /// The oldest commit that a running or future transaction can read from.
    pub(crate) fn oldest(&self) -> u64 {
        let state = self.state();
        state.in_use.first_key_value().map_or(state.published, |(at, _)| *at)
    }
}

/// Keeps a snapshot from being forgotten.
#[derive(Debug)]
pub(crate) struct SnapshotHold {
    snapshots: Arc<Snapshots>,
    /// Its commit number.
    pub(crate) at: u64,
}

impl Drop for SnapshotHold {
    fn drop(&mut self) {
        let mut state = self.snapshots.state();
        if let Some(count) = state.in_use.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                state.in_use.remove(&self.at);
            }
        }
    }
}

/// Transactions that are written and synced together.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The last write of each key wins.
    pub(crate) changes: Changes,
    /// The next stamp of each log it appends to.
    pub(crate) counters: BTreeMap<Key, u64>,
    pub(crate) wakes: Vec<String>,
    /// What is told to whom, in the order of commits.
    pub(crate) tells: Vec<(String, Told)>,
    /// The number of its last commit.
    pub(crate) sequence: u64,
    /// How many bytes it writes, at most.
    pub(crate) bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sequencer {
    sequence: u64,
    /// The last commit that wrote a key.
    recent: BTreeMap<Key, u64>,
    /// The same by commit, oldest first, to forget in order.
    history: VecDeque<(u64, Key)>,
    /// Snapshots before this one cannot be checked any more.
    floor: u64,
    counters: HashMap<Key, u64>,
    recent_max: usize,
}

impl Default for Sequencer {
    fn default() -> Sequencer {
        Sequencer {
            sequence: 0,
            recent: BTreeMap::new(),
            history: VecDeque::new(),
            floor: 0,
            counters: HashMap::new(),
            recent_max: RECENT_KEYS_MAX,
        }
    }
}

impl Sequencer {
    /// Whether nothing of `reads` was written after the snapshot `at`.
    pub(crate) fn is_current(&self, at: u64, reads: &ReadSet) -> bool {
        let newer = |sequence: &u64| *sequence > at;
        if at < self.floor {
            return false;
        }
        if at == self.sequence {
            return true;
        }
        let key_changed = reads.keys.iter().any(|key| self.recent.get(key).is_some_and(newer));
        let range_changed = || {
            reads.ranges.iter().any(|(start, end)| {
                let end = end.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                self.recent.range::<Key, _>((Bound::Included(start), end)).any(|(_, sequence)| newer(sequence))
            })
        };
        !key_changed && !range_changed()
    }

    /// Adds a transaction to `group` and returns the stamps of its appends.
    ///
    /// `stored_counter` reads a log's next stamp from disk (`None` for a new log). If it fails, the
    /// transaction is not added.
    pub(crate) fn admit(
        &mut self,
        group: &mut Group,
        writes: WriteSet,
        stored_counter: &dyn Fn(&Key) -> Result<Option<u64>, StoreError>,
    ) -> Result<Vec<u64>, StoreError> {
        let mut next: BTreeMap<Key, u64> = BTreeMap::new();
        let mut stamps = Vec::with_capacity(writes.appends.len());
        for (log, _) in &writes.appends {
            if !next.contains_key(log) {
                let known = group.counters.get(log).or_else(|| self.counters.get(log)).copied();
                let stored = match known {
                    Some(known) => Some(known),
                    None => stored_counter(log)?,
                };
                next.insert(log.clone(), stored.unwrap_or(FIRST_STAMP));
            }
            let counter = next.get_mut(log).expect("it was inserted above");
            stamps.push(*counter);
            *counter += 1;
        }
        let Written { changes, wakes, tells } = writes.stamp(&stamps);
        self.sequence += 1;
        group.sequence = self.sequence;
        for (key, value) in changes {
            group.bytes += key.as_bytes().len() + value.as_ref().map_or(0, bytes::Bytes::len);
            self.recent.insert(key.clone(), self.sequence);
            self.history.push_back((self.sequence, key.clone()));
            group.changes.insert(key, value);
        }
        group.counters.extend(next);
        group.wakes.extend(wakes);
        group.tells.extend(tells);
        Ok(stamps)
    }

    /// Remembers what `group` wrote and forgets what no snapshot from `oldest` on can need.
    pub(crate) fn written(&mut self, group: &Group, oldest: u64) {
        if self.counters.len() + group.counters.len() > COUNTERS_MAX {
            self.counters.clear();
        }
        self.counters.extend(group.counters.iter().map(|(log, next)| (log.clone(), *next)));
        while let Some((sequence, _)) = self.history.front() {
            if *sequence > oldest && self.history.len() <= self.recent_max {
                break;
            }
            let Some((sequence, key)) = self.history.pop_front() else { break };
            self.floor = self.floor.max(if sequence > oldest { sequence } else { 0 });
            if self.recent.get(&key) == Some(&sequence) {
                self.recent.remove(&key);
            }
        }
    }
}

/// The stamp of a log's first value; 0 comes before all.
pub(crate) const FIRST_STAMP: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;
    use bytes::Bytes;

    fn key(number: u64) -> Key {
        Table(1).key().number(number)
    }

    fn write(sequencer: &mut Sequencer, numbers: std::ops::Range<u64>) -> u64 {
        let mut group = Group::default();
        let changes = numbers.map(|number| (key(number), Some(Bytes::new()))).collect();
        let writes = WriteSet { changes, ..WriteSet::default() };
        sequencer.admit(&mut group, writes, &|_| Ok(None)).unwrap();
        sequencer.written(&group, 0);
        group.sequence
    }

    #[test]
    fn reads_of_written_keys_and_ranges_conflict_and_others_do_not() {
        let mut sequencer = Sequencer::default();
        let before = write(&mut sequencer, 5..6);
        let after = write(&mut sequencer, 7..8);
        let point = |number| ReadSet { keys: vec![key(number)], ranges: vec![] };
        let range = |from, to| ReadSet { keys: vec![], ranges: vec![(key(from), Some(key(to)))] };
        assert!(!sequencer.is_current(before, &point(7)));
        assert!(sequencer.is_current(before, &point(5)), "written, but not since");
        assert!(sequencer.is_current(before, &range(6, 7)), "the end does not belong to a range");
        assert!(!sequencer.is_current(before, &range(7, 8)));
        assert!(!sequencer.is_current(before, &ReadSet { keys: vec![], ranges: vec![(key(0), None)] }));
        assert!(sequencer.is_current(after, &range(0, 9)));
    }

    #[test]
    fn memory_is_bounded_and_snapshots_beyond_it_conflict() {
        let mut sequencer = Sequencer { recent_max: 100, ..Sequencer::default() };
        let old = write(&mut sequencer, 0..1);
        write(&mut sequencer, 1..2);
        let middle = write(&mut sequencer, 2..3);
        write(&mut sequencer, 10..109);
        assert_eq!(sequencer.history.len(), 100);
        assert!(!sequencer.is_current(old, &ReadSet::default()), "what it would be checked against is gone");
        assert!(sequencer.is_current(middle, &ReadSet { keys: vec![key(2)], ranges: vec![] }));
        let mut group = Group::default();
        sequencer.admit(&mut group, WriteSet::default(), &|_| Ok(None)).unwrap();
        sequencer.written(&group, sequencer.sequence);
        assert!(sequencer.recent.is_empty() && sequencer.history.is_empty());
    }
}
