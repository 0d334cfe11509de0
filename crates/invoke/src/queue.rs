//! Asynchronous events in the store: the record that accepts one is the record that is worked off.
//!
//! A shard has a log of fresh events, in the order of their acceptance, and an index of deferred ones, in
//! the order of their due times. Accepting appends one record; settling deletes it, or moves it to the
//! index. What is in memory is only a window; after a crash it is loaded again, so that every event is run
//! at least once. Each settlement checks the lease of the shard and that the record is still there.
//!
//! A function's events go to two shards of its own choice, so that a busy one leaves room for the others.

use crate::limits::{LEASE_TERM, QUEUE_SHARDS};
use crate::machine::{Attempts, Settlement};
use bytes::{BufMut, Bytes, BytesMut};
use gust_kit::ports::AsyncEvent;
use gust_store::{
    Acquisition, Key, Lease, Order, Range, Read, Store, StoreError, Table, Tx, VALUE_BYTES_MAX, check_claim,
};
use gust_types::SharedClock;
use serde::{Deserialize, Serialize};

/// By shard and stamp: fresh events.
const EVENTS: Table = Table(0x0180);
/// By shard and stamp: payloads that do not fit into their event's record.
const PAYLOADS: Table = Table(0x0181);
/// By shard, due time and stamp: deferred events.
const DEFERRED: Table = Table(0x0182);

const VERSION: u8 = 1;
const PAYLOAD_APART: u8 = 1;
/// Version, flags, length of the head.
const PREFIX_BYTES: usize = 6;

#[derive(Serialize, Deserialize)]
struct Head {
    event: AsyncEvent,
    #[serde(default)]
    attempts: Attempts,
}

/// The wake-up topic of a shard.
pub(crate) fn topic(shard: u64) -> String {
    format!("invoke/{shard}")
}

/// Writes `event` into `tx`: one record, and a second one only where a payload of nearly 1 MiB does not fit
/// into one value together with its head.
pub(crate) fn enqueue(tx: &mut dyn Tx, event: &AsyncEvent) -> Result<(), StoreError> {
    let shard = shard_of(event);
    let (record, apart) = encode(event, Attempts::default())?;
    let appended = tx.append(&EVENTS.key().number(shard), record)?;
    if let Some(payload) = apart {
        tx.put_stamped(appended, PAYLOADS.key().number(shard), &[], payload)?;
    }
    tx.wake(&topic(shard));
    Ok(())
}

/// One of the two shards of the event's function.
fn shard_of(event: &AsyncEvent) -> u64 {
    let function = hash(&[&event.account, &event.region, &event.function]);
    let (first, second) = (function % QUEUE_SHARDS, (function >> 32) % QUEUE_SHARDS);
    if hash(&[&event.request_id]) & 1 == 0 { first } else { second }
}

/// FNV-1a, then mixed: the same on every machine and in every version, because it places durable records.
fn hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// The record, and the payload if it does not fit into it.
fn encode(event: &AsyncEvent, attempts: Attempts) -> Result<(Bytes, Option<Bytes>), StoreError> {
    let head = Head { event: event.clone(), attempts };
    let head = serde_json::to_vec(&head).map_err(|error| StoreError::RecordDamaged(error.to_string()))?;
    let is_apart = PREFIX_BYTES + head.len() + event.payload.len() > VALUE_BYTES_MAX;
    let head_bytes = u32::try_from(head.len()).map_err(|_| StoreError::ValueTooLarge { bytes: head.len() })?;
    let mut record = BytesMut::with_capacity(PREFIX_BYTES + head.len() + event.payload.len());
    record.put_u8(VERSION);
    record.put_u8(if is_apart { PAYLOAD_APART } else { 0 });
    record.put_u32_le(head_bytes);
    record.put_slice(&head);
    if !is_apart {
        record.put_slice(&event.payload);
    }
    Ok((record.freeze(), is_apart.then(|| event.payload.clone())))
}

/// The event, what it has been through, and whether its payload is apart.
fn decode(record: &Bytes) -> Result<(AsyncEvent, Attempts, bool), StoreError> {
    let damaged = || StoreError::RecordDamaged("an asynchronous event".to_owned());
    let (prefix, _) = record.split_first_chunk::<PREFIX_BYTES>().ok_or_else(damaged)?;
    if prefix[0] > VERSION {
        return Err(StoreError::RecordTooNew { found: prefix[0], known: VERSION });
    }
    let head_bytes = u32::from_le_bytes([prefix[2], prefix[3], prefix[4], prefix[5]]) as usize;
    let end = PREFIX_BYTES.checked_add(head_bytes).filter(|end| *end <= record.len()).ok_or_else(damaged)?;
    let head: Head = serde_json::from_slice(&record[PREFIX_BYTES..end]).map_err(|_| damaged())?;
    let mut event = head.event;
    event.payload = record.slice(end..);
    Ok((event, head.attempts, prefix[1] & PAYLOAD_APART != 0))
}

/// Where an event's record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Fresh,
    /// Due at this time, as an unsigned number.
    Deferred(u64),
}

/// An event in memory.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// Unique in the shard, in the order of acceptance.
    pub(crate) stamp: u64,
    pub(crate) place: Place,
    pub(crate) attempts: Attempts,
    pub(crate) event: AsyncEvent,
}

/// How far a shard has been loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The last fresh stamp.
    pub(crate) fresh: Option<u64>,
    /// The last deferred due time and stamp.
    pub(crate) deferred: Option<(u64, u64)>,
}

/// What one read of a shard brought.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) events: Vec<Loaded>,
    pub(crate) cursor: Cursor,
    /// Whether there may be more to load now.
    pub(crate) has_more: bool,
    /// When the next deferred event is due, in milliseconds since the epoch.
    pub(crate) next_due_ms: Option<i64>,
}

/// One shard, owned by this node.
#[derive(Clone)]
pub(crate) struct Shard {
    pub(crate) number: u64,
    store: Store,
    lease: Lease,
}

fn due_number(due_at_ms: i64) -> u64 {
    u64::try_from(due_at_ms).unwrap_or(0)
}

impl Shard {
    /// Takes the shard over; whoever had it before can no longer settle anything.
    ///
    /// Errors: another node has it, or the store failed.
    pub(crate) async fn acquire(
        store: &Store,
        clock: &SharedClock,
        node: &str,
        number: u64,
    ) -> Result<Shard, StoreError> {
        let name = topic(number);
        match Lease::acquire(store, &name, node, LEASE_TERM, clock).await? {
            Acquisition::Granted(lease) => Ok(Shard { number, store: store.clone(), lease }),
            Acquisition::HeldBy { owner, .. } => {
                Err(StoreError::ClaimLost { claim: format!("{name} (held by {owner})") })
            }
        }
    }

    /// Loads at most `limit` fresh events after the cursor, and as many deferred ones that are due.
    pub(crate) async fn load(&self, cursor: Cursor, now_ms: i64, limit: usize) -> Result<Load, StoreError> {
        let shard = self.number;
        self.store.read(move |read| load(read, shard, cursor, now_ms, limit)).await
    }

    /// Writes down what becomes of an event: one transaction.
    ///
    /// Errors: [`StoreError::ClaimLost`] if the shard has another owner, or the event was settled already.
    pub(crate) async fn settle(&self, loaded: &Loaded, settlement: Settlement) -> Result<(), StoreError> {
        if settlement == Settlement::Leave {
            return Ok(());
        }
        let (lease, shard) = (self.lease.clone(), self.number);
        let (stamp, place, event) = (loaded.stamp, loaded.place, loaded.event.clone());
        let settled = self.store.transact(move |tx| {
            check_claim(tx, &lease)?;
            let key = key_of(shard, place, stamp);
            let Some(record) = tx.get(&key)? else {
                return Err(StoreError::ClaimLost { claim: format!("event {}", event.request_id) });
            };
            tx.delete(key)?;
            let payload_key = PAYLOADS.key().number(shard).number(stamp);
            let is_apart = record.get(1).is_some_and(|flags| flags & PAYLOAD_APART != 0);
            if let Settlement::RetryAt { due_at_ms, attempts } = settlement {
                let (record, apart) = encode(&event, attempts)?;
                tx.put(key_of(shard, Place::Deferred(due_number(due_at_ms)), stamp), record)?;
                match apart {
                    // It is there already, unless the attempts made the head outgrow the record just now.
                    Some(payload) if !is_apart => tx.put(payload_key, payload)?,
                    None if is_apart => tx.delete(payload_key)?,
                    Some(_) | None => {}
                }
            } else if is_apart {
                tx.delete(payload_key)?;
            }
            Ok::<_, StoreError>(())
        });
        settled.await.map(|_| ())
    }

    /// Gives the shard back, so that another node may have it at once.
    pub(crate) async fn release(self) -> Result<(), StoreError> {
        self.lease.release(&self.store).await
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

fn key_of(shard: u64, place: Place, stamp: u64) -> Key {
    match place {
        Place::Fresh => EVENTS.key().number(shard).number(stamp),
        Place::Deferred(due) => DEFERRED.key().number(shard).number(due).number(stamp),
    }
}

fn load(read: &mut dyn Read, shard: u64, mut cursor: Cursor, now_ms: i64, limit: usize) -> Result<Load, StoreError> {
    let damaged = || StoreError::RecordDamaged("the key of an asynchronous event".to_owned());
    let mut events = Vec::new();
    let fresh = EVENTS.key().number(shard);
    let range = match cursor.fresh {
        Some(stamp) => Range::prefix_after(&fresh, &fresh.clone().number(stamp)),
        None => Range::prefix(&fresh),
    };
    let found = read.range(&range, Order::Ascending, limit)?;
    let mut has_more = found.len() == limit;
    for (key, record) in found {
        let mut parts = key.parts();
        let stamp = parts.number().and_then(|_| parts.number()).ok_or_else(damaged)?;
        events.push(loaded(read, shard, Place::Fresh, stamp, &record)?);
        cursor.fresh = Some(stamp);
    }
    let deferred = DEFERRED.key().number(shard);
    let range = match cursor.deferred {
        Some((due, stamp)) => Range::prefix_after(&deferred, &deferred.clone().number(due).number(stamp)),
        None => Range::prefix(&deferred),
    };
    let (mut next_due_ms, mut due_count) = (None, 0);
    for (key, record) in read.range(&range, Order::Ascending, limit + 1)? {
        let mut parts = key.parts();
        let numbers = parts.number().and_then(|_| Some((parts.number()?, parts.number()?)));
        let (due, stamp) = numbers.ok_or_else(damaged)?;
        if due > due_number(now_ms) {
            next_due_ms = Some(i64::try_from(due).unwrap_or(i64::MAX));
            break;
        }
        if due_count == limit {
            has_more = true;
            break;
        }
        events.push(loaded(read, shard, Place::Deferred(due), stamp, &record)?);
        cursor.deferred = Some((due, stamp));
        due_count += 1;
    }
    Ok(Load { events, cursor, has_more, next_due_ms })
}

fn loaded(read: &mut dyn Read, shard: u64, place: Place, stamp: u64, record: &Bytes) -> Result<Loaded, StoreError> {
    let (mut event, attempts, is_apart) = decode(record)?;
    if is_apart {
        let payload = read.get(&PAYLOADS.key().number(shard).number(stamp))?;
        event.payload = payload.ok_or_else(|| StoreError::RecordDamaged("an event without its payload".to_owned()))?;
    }
    Ok(Loaded { stamp, place, attempts, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::DiscardReason;
    use crate::testing::event;
    use gust_types::ManualClock;
    use std::sync::Arc;

    async fn accept(store: &Store, event: &AsyncEvent) -> u64 {
        let written = event.clone();
        store.transact(move |tx| enqueue(tx, &written)).await.unwrap();
        shard_of(event)
    }

    async fn shard(store: &Store, number: u64) -> Shard {
        let clock: SharedClock = Arc::new(ManualClock::at(0));
        Shard::acquire(store, &clock, "node", number).await.unwrap()
    }

    async fn everything(store: &Store) -> usize {
        let count = store.read(|read| {
            let mut count = 0;
            for table in [EVENTS, PAYLOADS, DEFERRED] {
                count += read.range(&Range::prefix(&table.key()), Order::Ascending, 1_000)?.len();
            }
            Ok::<_, StoreError>(count)
        });
        count.await.unwrap()
    }

    #[tokio::test]
    async fn an_event_is_one_record_whatever_its_size_until_it_no_longer_fits() {
        for (size, records) in [(0, 1), (1_000_000, 1), (VALUE_BYTES_MAX - 10, 2), (VALUE_BYTES_MAX, 2)] {
            let store = Store::memory();
            let mut event = event("f", "r");
            event.payload = vec![b'1'; size].into();
            let number = accept(&store, &event).await;
            assert_eq!(everything(&store).await, records, "{size}");
            let shard = shard(&store, number).await;
            let load = shard.load(Cursor::default(), 0, 10).await.unwrap();
            assert_eq!(load.events[0].event, event);
            let retry = Settlement::RetryAt { due_at_ms: 5, attempts: Attempts { failures: 1, postponed: 0 } };
            shard.settle(&load.events[0], retry).await.unwrap();
            assert_eq!(everything(&store).await, records, "{size}");
            let load = shard.load(Cursor::default(), 5, 10).await.unwrap();
            assert_eq!((&load.events[0].event, load.events[0].attempts.failures), (&event, 1));
            shard.settle(&load.events[0], Settlement::Discard(DiscardReason::RetriesExhausted)).await.unwrap();
            assert_eq!(everything(&store).await, 0);
        }
    }

    #[tokio::test]
    async fn loading_goes_on_after_the_cursor_and_tells_the_next_due_time() {
        let store = Store::memory();
        let mut number = 0;
        for _ in 0..5 {
            number = accept(&store, &event("f", "same")).await;
        }
        let shard = shard(&store, number).await;
        let first = shard.load(Cursor::default(), 0, 3).await.unwrap();
        assert!(first.events.len() == 3 && first.has_more);
        let rest = shard.load(first.cursor, 0, 3).await.unwrap();
        assert!(rest.events.len() == 2 && !rest.has_more);
        for (loaded, due_at_ms) in first.events.iter().zip([30, 10, 20]) {
            let attempts = loaded.attempts;
            shard.settle(loaded, Settlement::RetryAt { due_at_ms, attempts }).await.unwrap();
        }
        let due = shard.load(rest.cursor, 20, 3).await.unwrap();
        let places: Vec<Place> = due.events.iter().map(|loaded| loaded.place).collect();
        assert_eq!(places, [Place::Deferred(10), Place::Deferred(20)]);
        assert_eq!(due.next_due_ms, Some(30));
        let restarted = shard.load(Cursor::default(), 20, 10).await.unwrap();
        assert_eq!(restarted.events.len(), 4, "what is not settled is loaded again");
    }

    #[tokio::test]
    async fn nobody_settles_twice_or_without_the_lease() {
        let store = Store::memory();
        let number = accept(&store, &event("f", "r")).await;
        let old = shard(&store, number).await;
        let loaded = old.load(Cursor::default(), 0, 1).await.unwrap().events.remove(0);
        let new = shard(&store, number).await;
        let lost = old.settle(&loaded, Settlement::Done).await;
        assert!(matches!(lost, Err(StoreError::ClaimLost { .. })), "{lost:?}");
        new.settle(&loaded, Settlement::Done).await.unwrap();
        let twice = new.settle(&loaded, Settlement::Done).await;
        assert!(matches!(twice, Err(StoreError::ClaimLost { .. })), "{twice:?}");
    }

    #[test]
    fn what_a_newer_gust_wrote_is_refused() {
        let (record, _) = encode(&event("f", "r"), Attempts::default()).unwrap();
        let mut newer = record.to_vec();
        newer[0] = VERSION + 1;
        assert!(matches!(decode(&newer.into()), Err(StoreError::RecordTooNew { .. })));
        assert!(matches!(decode(&record.slice(..20)), Err(StoreError::RecordDamaged(_))));
    }
}
