//! What a transaction and a snapshot can do.

use crate::{Key, StoreError};
use bytes::Bytes;

/// A key and its value.
pub type Pair = (Key, Bytes);

/// Direction of a range read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Greatest key first.
    Descending,
}

/// Keys from `start` (inclusive) to `end` (exclusive).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The first key that belongs to it.
    pub start: Key,
    /// The first key that does not; `None` for no bound.
    pub end: Option<Key>,
}

impl Range {
    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &Key) -> Range {
        Range { start: prefix.clone(), end: successor(prefix.as_bytes()) }
    }

    /// All keys that begin with `prefix` and come after `after`.
    pub fn prefix_after(prefix: &Key, after: &Key) -> Range {
        let mut start = after.as_bytes().to_vec();
        start.push(0);
        Range { start: Key::from_bytes(start), end: successor(prefix.as_bytes()) }
    }
}

/// The smallest key that is greater than every key with this prefix; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Key> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut bytes = prefix[..=last].to_vec();
    bytes[last] += 1;
    Some(Key::from_bytes(bytes))
}

/// Reads at one point in time. Calls block: they run on the store's own threads.
pub trait Read {
    /// The value under `key`.
    fn get(&mut self, key: &Key) -> Result<Option<Bytes>, StoreError>;

    /// The values under `keys`, in their order.
    fn get_many(&mut self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// At most `limit` pairs of `range` (and never more than [`crate::RANGE_PAIRS_MAX`]) in `order`.
    fn range(&mut self, range: &Range, order: Order, limit: usize) -> Result<Vec<Pair>, StoreError>;
}

/// A write transaction: serializable, and without any effect unless it commits.
pub trait Tx: Read {
    /// Sets a value.
    fn put(&mut self, key: Key, value: Bytes) -> Result<(), StoreError>;

    /// Removes a value, if there is one.
    fn delete(&mut self, key: Key) -> Result<(), StoreError>;

    /// Appends `value` to the log `log`: it is stored under `log` + its stamp (8 bytes, big-endian).
    ///
    /// The commit hands out the stamp, in commit order per log and without gaps a reader could miss:
    /// once a stamp is visible, no smaller one of the same log will appear. [`crate::Committed::stamps`]
    /// returns them in the order of the calls. A log's first stamp is 1; none is given twice, also after
    /// values were deleted. The log's key counts 8 bytes more towards the bound.
    fn append(&mut self, log: &Key, value: Bytes) -> Result<Appended, StoreError>;

    /// Sets a value under `prefix` + the stamp of `appended` + `suffix`.
    fn put_stamped(&mut self, appended: Appended, prefix: Key, suffix: &[u8], value: Bytes) -> Result<(), StoreError>;

    /// Hands what is `appended` to whoever tails `topic` ([`crate::Store::tail`]) once the transaction has committed.
    fn tell(&mut self, topic: &str, appended: Appended) -> Result<(), StoreError>;

    /// Wakes all that wait for `topic` ([`crate::Store::subscribe`]) once the transaction has committed.
    fn wake(&mut self, topic: &str);
}

/// Refers to the stamp that an append of this transaction will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended(pub(crate) usize);
