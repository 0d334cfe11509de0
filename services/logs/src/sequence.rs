//! Numbers that rise with ingestion and never come twice in one store.

use crate::keys;
use gust_store::{Store, StoreError};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many bits of a number count within one start: a thousand billion.
const COUNTER_BITS: u32 = 40;

/// The numbers of this start: its count of starts, then a counter.
#[derive(Debug)]
pub(crate) struct Sequence {
    next: AtomicU64,
    first: u64,
}

impl Sequence {
    /// Counts one more start, durably.
    pub async fn start(store: &Store) -> Result<Sequence, StoreError> {
        let committed = store.transact(|tx| {
            let found = tx.get(&keys::epoch())?;
            let bytes = found.as_deref().map(<[u8; 8]>::try_from).transpose();
            let last = bytes.map_err(|_| StoreError::RecordDamaged("the count of log starts".to_owned()))?;
            let epoch = last.map_or(0, u64::from_be_bytes) + 1;
            tx.put(keys::epoch(), epoch.to_be_bytes().to_vec().into())?;
            Ok::<_, StoreError>(epoch)
        });
        let first = committed.await?.value << COUNTER_BITS;
        Ok(Sequence { next: AtomicU64::new(first + 1), first })
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether `number` comes from an earlier start.
    pub fn is_earlier(&self, number: u64) -> bool {
        number < self.first
    }
}
