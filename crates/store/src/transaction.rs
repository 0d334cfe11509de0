//! A running transaction, the same for every engine: reads through a view and its own writes, keeps to
//! the bounds, remembers what it read.

use crate::engine::{Failure, View};
use crate::tail::Told;
use crate::tx::Appended;
use crate::{
    KEY_BYTES_MAX, Key, Order, Pair, RANGE_PAIRS_MAX, Range, Read, StoreError, TRANSACTION_BYTES_MAX,
    TRANSACTION_READS_MAX, Tx, VALUE_BYTES_MAX,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// Size of a stamp inside a key, in bytes.
pub(crate) const STAMP_BYTES: usize = 8;

/// Values by key; `None` removes.
pub(crate) type Changes = BTreeMap<Key, Option<Bytes>>;

/// What a transaction read of the base (not of its own writes).
#[derive(Debug, Default)]
pub(crate) struct ReadSet {
    pub(crate) keys: Vec<Key>,
    /// From the first (inclusive) to the second (exclusive; `None` for no bound).
    pub(crate) ranges: Vec<(Key, Option<Key>)>,
}

/// What a transaction wrote.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    pub(crate) changes: Changes,
    /// Log and value of each append.
    pub(crate) appends: Vec<(Key, Bytes)>,
    pub(crate) stamped: Vec<Stamped>,
    pub(crate) wakes: Vec<String>,
    /// Which append is told to whom.
    pub(crate) tells: Vec<(String, usize)>,
}

/// What a transaction changes, and whom it tells, once its stamps are known.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) changes: Changes,
    pub(crate) wakes: Vec<String>,
    pub(crate) tells: Vec<(String, Told)>,
}

/// A value whose key holds the stamp of an append.
#[derive(Debug)]
pub(crate) struct Stamped {
    pub(crate) append: usize,
    pub(crate) prefix: Key,
    pub(crate) suffix: Vec<u8>,
    pub(crate) value: Bytes,
}

impl WriteSet {
    /// Whether nothing needs to be stored.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.appends.is_empty()
    }

    /// All changes, once `stamps` (one an append) are known.
    pub(crate) fn stamp(self, stamps: &[u64]) -> Written {
        let mut changes = self.changes;
        let appends = &self.appends;
        let told =
            |at: usize| Told { log: appends[at].0.clone(), stamp: stamps[at], value: Some(appends[at].1.clone()) };
        let tells = self.tells.into_iter().map(|(topic, at)| (topic, told(at))).collect();
        for ((log, value), stamp) in self.appends.into_iter().zip(stamps) {
            changes.insert(log.number(*stamp), Some(value));
        }
        for put in self.stamped {
            changes.insert(put.prefix.number(stamps[put.append]).bytes(&put.suffix), Some(put.value));
        }
        Written { changes, wakes: self.wakes, tells }
    }
}

/// See the module.
pub(crate) struct Transaction<'a> {
    view: &'a mut dyn View,
    deadline: Instant,
    reads: ReadSet,
    writes: WriteSet,
    bytes: usize,
    failure: Option<Failure>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(view: &'a mut dyn View, time: Duration) -> Transaction<'a> {
        Transaction {
            view,
            deadline: Instant::now() + time,
            reads: ReadSet::default(),
            writes: WriteSet::default(),
            bytes: 0,
            failure: None,
        }
    }

    /// What it read and wrote; the first failure, even one that the closure ignored.
    pub(crate) fn finish(mut self) -> Result<(ReadSet, WriteSet), Failure> {
        // The error is latched, which is all that is wanted here.
        let _ = self.check_time();
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok((self.reads, self.writes)),
        }
    }

    /// Keeps the first failure: the transaction cannot commit any more.
    fn latch(&mut self, failure: Failure) -> StoreError {
        let error = match &failure {
            Failure::Conflict => StoreError::Contended { attempts: 1 },
            Failure::Error(error) => error.clone(),
        };
        self.failure.get_or_insert(failure);
        error
    }

    fn check_time(&mut self) -> Result<(), StoreError> {
        if Instant::now() <= self.deadline {
            return Ok(());
        }
        Err(self.latch(StoreError::TransactionTooLarge("it takes too long".to_owned()).into()))
    }

    fn check(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        self.check_time()?;
        result.map_err(|error| self.latch(error.into()))
    }

    fn count_reads(&mut self, more: usize) -> Result<(), StoreError> {
        let reads = self.reads.keys.len() + self.reads.ranges.len() + more;
        if reads <= TRANSACTION_READS_MAX {
            return Ok(());
        }
        Err(self.latch(StoreError::TransactionTooLarge(format!("it reads {reads} keys and ranges")).into()))
    }

    fn change(&mut self, key: Key, value: Option<Bytes>) -> Result<(), StoreError> {
        let size = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let key_bytes = key.as_bytes().len();
        let new_bytes = key_bytes + size(&value);
        let old_bytes = self.writes.changes.get(&key).map_or(0, |old| key_bytes + size(old));
        self.count_bytes(new_bytes, old_bytes)?;
        self.writes.changes.insert(key, value);
        Ok(())
    }

    fn count_bytes(&mut self, new_bytes: usize, old_bytes: usize) -> Result<(), StoreError> {
        let bytes = self.bytes - old_bytes + new_bytes;
        if bytes > TRANSACTION_BYTES_MAX {
            let error = StoreError::TransactionTooLarge(format!("it writes {bytes} bytes"));
            return Err(self.latch(error.into()));
        }
        self.bytes = bytes;
        Ok(())
    }
}

fn check_key(bytes: usize) -> Result<(), StoreError> {
    match bytes {
        0 => Err(StoreError::KeyEmpty),
        1..=KEY_BYTES_MAX => Ok(()),
        _ => Err(StoreError::KeyTooLong { bytes }),
    }
}

fn check_pair(key_bytes: usize, value: &Bytes) -> Result<(), StoreError> {
    check_key(key_bytes)?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(StoreError::ValueTooLarge { bytes: value.len() });
    }
    Ok(())
}

impl Read for Transaction<'_> {
    fn get(&mut self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        self.check(check_key(key.as_bytes().len()))?;
        if let Some(change) = self.writes.changes.get(key) {
            return Ok(change.clone());
        }
        self.count_reads(1)?;
        self.reads.keys.push(key.clone());
        self.view.get(key.as_bytes()).map_err(|failure| self.latch(failure))
    }

    fn get_many(&mut self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let unknown: Vec<&Key> = keys.iter().filter(|key| !self.writes.changes.contains_key::<Key>(key)).collect();
        for key in keys {
            self.check(check_key(key.as_bytes().len()))?;
        }
        self.count_reads(unknown.len())?;
        self.reads.keys.extend(unknown.iter().map(|key| (*key).clone()));
        let bytes: Vec<&[u8]> = unknown.iter().map(|key| key.as_bytes()).collect();
        let found = self.view.get_many(&bytes).map_err(|failure| self.latch(failure))?;
        let mut found = found.into_iter();
        let own = &self.writes.changes;
        Ok(keys.iter().map(|key| own.get(key).cloned().unwrap_or_else(|| found.next().flatten())).collect())
    }

    fn range(&mut self, range: &Range, order: Order, limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.check(Ok(()))?;
        let limit = limit.min(RANGE_PAIRS_MAX);
        if limit == 0 || is_empty(range) {
            return Ok(Vec::new());
        }
        self.count_reads(1)?;
        let pairs = merged_range(self.view, &self.writes.changes, range, order, limit);
        let pairs = pairs.map_err(|failure| self.latch(failure))?;
        self.reads.ranges.push(covered(range, order, limit, &pairs));
        Ok(pairs)
    }
}

/// The part of `range` that a read really depended on: up to the last pair, if the limit ended it.
fn covered(range: &Range, order: Order, limit: usize, pairs: &[Pair]) -> (Key, Option<Key>) {
    match (pairs.last(), order) {
        (Some((last, _)), Order::Ascending) if pairs.len() == limit => {
            (range.start.clone(), Some(last.clone().bytes(&[0])))
        }
        (Some((last, _)), Order::Descending) if pairs.len() == limit => (last.clone(), range.end.clone()),
        _ => (range.start.clone(), range.end.clone()),
    }
}

impl Tx for Transaction<'_> {
    fn put(&mut self, key: Key, value: Bytes) -> Result<(), StoreError> {
        self.check(check_pair(key.as_bytes().len(), &value))?;
        self.change(key, Some(value))
    }

    fn delete(&mut self, key: Key) -> Result<(), StoreError> {
        self.check(check_key(key.as_bytes().len()))?;
        self.change(key, None)
    }

    fn append(&mut self, log: &Key, value: Bytes) -> Result<Appended, StoreError> {
        check_key(log.as_bytes().len()).map_err(|error| self.latch(error.into()))?;
        let key_bytes = log.as_bytes().len() + STAMP_BYTES;
        self.check(check_pair(key_bytes, &value))?;
        self.count_bytes(key_bytes + value.len(), 0)?;
        self.writes.appends.push((log.clone(), value));
        Ok(Appended(self.writes.appends.len() - 1))
    }

    fn put_stamped(&mut self, appended: Appended, prefix: Key, suffix: &[u8], value: Bytes) -> Result<(), StoreError> {
        if appended.0 >= self.writes.appends.len() {
            let error = StoreError::Unavailable("a stamp belongs to another transaction".to_owned());
            return Err(self.latch(error.into()));
        }
        let key_bytes = prefix.as_bytes().len() + STAMP_BYTES + suffix.len();
        self.check(check_pair(key_bytes, &value))?;
        self.count_bytes(key_bytes + value.len(), 0)?;
        self.writes.stamped.push(Stamped { append: appended.0, prefix, suffix: suffix.to_vec(), value });
        Ok(())
    }

    fn tell(&mut self, topic: &str, appended: Appended) -> Result<(), StoreError> {
        if appended.0 >= self.writes.appends.len() {
            let error = StoreError::Unavailable("what is told belongs to another transaction".to_owned());
            return Err(self.latch(error.into()));
        }
        self.writes.tells.push((topic.to_owned(), appended.0));
        Ok(())
    }

    fn wake(&mut self, topic: &str) {
        if !self.writes.wakes.iter().any(|known| known == topic) {
            self.writes.wakes.push(topic.to_owned());
        }
    }
}

/// Whether no key can lie in `range`.
pub(crate) fn is_empty(range: &Range) -> bool {
    range.end.as_ref().is_some_and(|end| *end <= range.start)
}

/// A range of `view` as it looks under `changes`. The range must not be empty.
pub(crate) fn merged_range(
    view: &mut dyn View,
    changes: &Changes,
    range: &Range,
    order: Order,
    limit: usize,
) -> Result<Vec<Pair>, Failure> {
    let end = range.end.as_ref();
    let upper = end.map_or(Bound::Unbounded, Bound::Excluded);
    let hidden = changes.range::<Key, _>((Bound::Included(&range.start), upper)).count();
    // Every change hides at most one pair of the base, so this many are enough to fill the limit.
    let base = view.range(range.start.as_bytes(), end.map(Key::as_bytes), order, limit.saturating_add(hidden))?;
    if hidden == 0 {
        return Ok(base);
    }
    let mut own = changes.range::<Key, _>((Bound::Included(&range.start), upper));
    let mut next_own = || match order {
        Order::Ascending => own.next(),
        Order::Descending => own.next_back(),
    };
    let mut pairs = Vec::with_capacity(limit.min(base.len() + hidden));
    let mut base = base.into_iter().peekable();
    let mut change = next_own();
    while pairs.len() < limit {
        let own_first = match (base.peek(), change) {
            (None, None) => break,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some((key, _)), Some((changed, _))) if key == changed => {
                base.next();
                true
            }
            (Some((key, _)), Some((changed, _))) => (changed < key) == (order == Order::Ascending),
        };
        if !own_first {
            pairs.extend(base.next());
            continue;
        }
        if let Some((key, Some(value))) = change {
            pairs.push((key.clone(), value.clone()));
        }
        change = next_own();
    }
    Ok(pairs)
}

/// A read outside of a transaction: a view with the bounds.
pub(crate) struct Snapshot<'a>(pub(crate) &'a mut dyn View);

fn outside(failure: Failure) -> StoreError {
    match failure {
        Failure::Conflict => StoreError::Contended { attempts: 1 },
        Failure::Error(error) => error,
    }
}

impl Read for Snapshot<'_> {
    fn get(&mut self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        check_key(key.as_bytes().len())?;
        self.0.get(key.as_bytes()).map_err(outside)
    }

    fn get_many(&mut self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError> {
        for key in keys {
            check_key(key.as_bytes().len())?;
        }
        let bytes: Vec<&[u8]> = keys.iter().map(Key::as_bytes).collect();
        self.0.get_many(&bytes).map_err(outside)
    }

    fn range(&mut self, range: &Range, order: Order, limit: usize) -> Result<Vec<Pair>, StoreError> {
        let limit = limit.min(RANGE_PAIRS_MAX);
        if limit == 0 || is_empty(range) {
            return Ok(Vec::new());
        }
        self.0.range(range.start.as_bytes(), range.end.as_ref().map(Key::as_bytes), order, limit).map_err(outside)
    }
}

/// A view as it looks under changes that are not written yet.
pub(crate) struct Overlaid<'a> {
    pub(crate) view: &'a mut dyn View,
    pub(crate) changes: &'a Changes,
}

impl View for Overlaid<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.view.get(key),
        }
    }

    fn range(&mut self, start: &[u8], end: Option<&[u8]>, order: Order, limit: usize) -> Result<Vec<Pair>, Failure> {
        let range = Range { start: Key::from_bytes(start), end: end.map(Key::from_bytes) };
        merged_range(self.view, self.changes, &range, order, limit)
    }
}
