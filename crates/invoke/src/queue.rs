//! Asynchronous events in the store: the record that accepts one is the record that is worked off.
//!
//! Every function has a lane of its own: a log of fresh events in the order of their acceptance, and an index of
//! deferred ones in the order of their due times. Accepting appends one record; settling deletes it, or moves it to the
//! index, and writes what follows from it (a destination's event) in the same transaction. What is in memory is only a
//! window; after a crash it is loaded again, so that every event is run at least once. A lane belongs to a shard, whose
//! lease each settlement checks.

use crate::lanes::{Cursor, LaneId, LaneLoad};
use crate::limits::{LANES_READ_MAX, LEASE_TERM, MIGRATED_BYTES_MAX, MIGRATED_EVENTS_MAX, QUEUE_SHARDS};
use crate::machine::{Attempts, Settlement};
use bytes::{BufMut, Bytes, BytesMut};
use gust_kit::ports::{AsyncEvent, Staged};
use gust_store::{
    Acquisition, Key, Lease, Order, Range, Read, Store, StoreError, Table, Told, Tx, VALUE_BYTES_MAX, check_claim,
};
use gust_types::SharedClock;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// By shard and stamp: fresh events, as gust 0.1 before lanes wrote them. Moved when a shard is taken over.
const OLD_EVENTS: Table = Table(0x0180);
/// By shard and stamp: payloads of such events that did not fit into their records.
const OLD_PAYLOADS: Table = Table(0x0181);
/// By shard, due time and stamp: deferred events of that time.
const OLD_DEFERRED: Table = Table(0x0182);
/// By shard, lane and stamp: fresh events.
const EVENTS: Table = Table(0x0183);
/// By shard, lane and stamp: payloads that do not fit into their event's record.
const PAYLOADS: Table = Table(0x0184);
/// By shard, lane, due time and stamp: deferred events.
const DEFERRED: Table = Table(0x0185);

/// Set in the stamps of deferred events that came from before lanes, whose logs gave other stamps.
const OLD_STAMP: u64 = 1 << 63;

const VERSION: u8 = 1;
const PAYLOAD_APART: u8 = 1;
/// Version, flags, length of the head.
const PREFIX_BYTES: usize = 6;

#[derive(Serialize)]
struct HeadRef<'a> {
    event: &'a AsyncEvent,
    attempts: Attempts,
}

#[derive(Deserialize)]
struct Head {
    event: AsyncEvent,
    #[serde(default)]
    attempts: Attempts,
}

/// Where accepted events are told ([`gust_store::Tx::tell`]).
pub(crate) const TOPIC: &str = "invoke/events";

/// The lease of a shard.
fn lease_name(shard: u64) -> String {
    format!("invoke/{shard}")
}

/// Writes `event` into `tx`: one record, and a second one only where a payload of nearly 1 MiB does not fit
/// into one value together with its head.
pub(crate) fn enqueue(tx: &mut dyn Tx, event: &AsyncEvent) -> Result<(), StoreError> {
    enqueue_after(tx, event, Attempts::default())
}

fn enqueue_after(tx: &mut dyn Tx, event: &AsyncEvent, attempts: Attempts) -> Result<(), StoreError> {
    let lane = lane_of(event);
    let (record, apart) = encode(event, attempts)?;
    let appended = tx.append(&fresh_of(lane), record)?;
    if let Some(payload) = apart {
        tx.put_stamped(appended, in_shard(PAYLOADS, lane), &[], payload)?;
    }
    tx.tell(TOPIC, appended)
}

/// The lane of the event's function. Two functions may share one, which costs them nothing but each other's pauses.
pub(crate) fn lane_of(event: &AsyncEvent) -> LaneId {
    hash(&[&event.account, &event.region, &event.function])
}

/// The shard of a lane.
pub(crate) fn shard_of(lane: LaneId) -> u64 {
    lane % QUEUE_SHARDS
}

fn in_shard(table: Table, lane: LaneId) -> Key {
    table.key().number(shard_of(lane)).number(lane)
}

fn fresh_of(lane: LaneId) -> Key {
    in_shard(EVENTS, lane)
}

/// What was told of a lane: its number, the stamp, and the event if its value came along and is complete.
pub(crate) fn heard(told: Told) -> Result<(LaneId, u64, Option<Loaded>), StoreError> {
    let mut parts = told.log.parts();
    let lane = parts.number().and_then(|_| parts.number()).ok_or_else(damaged)?;
    let Some(value) = told.value else { return Ok((lane, told.stamp, None)) };
    let (event, attempts, is_apart) = decode(&value)?;
    let loaded = Loaded { lane, stamp: told.stamp, place: Place::Fresh, attempts, event };
    Ok((lane, told.stamp, (!is_apart).then_some(loaded)))
}

fn damaged() -> StoreError {
    StoreError::RecordDamaged("the key of an asynchronous event".to_owned())
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
    let head = serde_json::to_vec(&HeadRef { event, attempts })
        .map_err(|error| StoreError::RecordDamaged(error.to_string()))?;
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
    pub(crate) lane: LaneId,
    /// Unique in the lane, in the order of acceptance.
    pub(crate) stamp: u64,
    pub(crate) place: Place,
    pub(crate) attempts: Attempts,
    pub(crate) event: AsyncEvent,
}

impl Loaded {
    fn key(&self) -> Key {
        key_of(self.lane, self.place, self.stamp)
    }

    fn payload_key(&self) -> Key {
        in_shard(PAYLOADS, self.lane).number(self.stamp)
    }
}

/// What becomes of an event, to be written down.
#[derive(Clone)]
pub(crate) struct Verdict {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) settlement: Settlement,
    /// What is sent in consequence.
    pub(crate) staged: Vec<Staged>,
}

impl Verdict {
    /// How many bytes it writes, about.
    pub(crate) fn bytes(&self) -> usize {
        let record = match self.settlement {
            Settlement::RetryAt { .. } => self.loaded.event.payload.len(),
            _ => 0,
        };
        record + RECORD_BYTES + self.staged.iter().map(|staged| staged.bytes).sum::<usize>()
    }
}

/// A record without its payload, about, in bytes.
const RECORD_BYTES: usize = 512;

/// One shard, owned by this node.
#[derive(Clone)]
pub(crate) struct Shard {
    pub(crate) number: u64,
    store: Store,
    lease: Lease,
}

pub(crate) fn due_number(due_at_ms: i64) -> u64 {
    u64::try_from(due_at_ms).unwrap_or(0)
}

fn due_ms(due: u64) -> i64 {
    i64::try_from(due).unwrap_or(i64::MAX)
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
        let name = lease_name(number);
        let lease = match Lease::acquire(store, &name, node, LEASE_TERM, clock).await? {
            Acquisition::Granted(lease) => lease,
            Acquisition::HeldBy { owner, .. } => {
                return Err(StoreError::ClaimLost { claim: format!("{name} (held by {owner})") });
            }
        };
        let shard = Shard { number, store: store.clone(), lease };
        while shard.migrate().await? > 0 {}
        Ok(shard)
    }

    /// Moves some events from before lanes into theirs; says how many.
    async fn migrate(&self) -> Result<usize, StoreError> {
        let (lease, shard) = (self.lease.clone(), self.number);
        let moved = self.store.transact(move |tx| {
            check_claim(tx, &lease)?;
            migrate(tx, shard)
        });
        moved.await.map(|committed| committed.value)
    }

    /// Lanes with fresh events after the lane `after`, at most [`LANES_READ_MAX`].
    pub(crate) async fn fresh_lanes(&self, after: Option<LaneId>) -> Result<Vec<LaneId>, StoreError> {
        let shard = self.number;
        self.store
            .read(move |read| Ok(lanes(read, EVENTS, 1, shard, after)?.into_iter().map(|it| it.0).collect()))
            .await
    }

    /// Lanes with deferred events after the lane `after`, and when the first of each is due.
    pub(crate) async fn deferred_lanes(&self, after: Option<LaneId>) -> Result<Vec<(LaneId, i64)>, StoreError> {
        let shard = self.number;
        let first = |(lane, due): (LaneId, u64)| (lane, due_ms(due));
        self.store.read(move |read| Ok(lanes(read, DEFERRED, 2, shard, after)?.into_iter().map(first).collect())).await
    }

    /// Loads at most `limit` events of a lane after the cursor, those that are due before fresh ones.
    pub(crate) async fn load(
        &self,
        lane: LaneId,
        cursor: Cursor,
        now_ms: i64,
        limit: usize,
    ) -> Result<LaneLoad, StoreError> {
        self.store.read(move |read| load(read, lane, cursor, now_ms, limit)).await
    }

    /// Writes down what becomes of events, and what follows from it: one transaction. Returns how many of them had been
    /// settled already; nothing follows from those again.
    ///
    /// Errors: [`StoreError::ClaimLost`] if the shard has another owner.
    pub(crate) async fn settle(&self, verdicts: Arc<[Verdict]>) -> Result<usize, StoreError> {
        let lease = self.lease.clone();
        let settled = self.store.transact(move |tx| {
            check_claim(tx, &lease)?;
            let mut gone = 0;
            for verdict in &*verdicts {
                gone += usize::from(!settle(tx, verdict)?);
            }
            Ok::<_, StoreError>(gone)
        });
        settled.await.map(|committed| committed.value)
    }

    /// Gives the shard back, so that another node may have it at once.
    pub(crate) async fn release(self) -> Result<(), StoreError> {
        self.lease.release(&self.store).await
    }
}

/// Whether the event was still there to be settled.
fn settle(tx: &mut dyn Tx, verdict: &Verdict) -> Result<bool, StoreError> {
    let Verdict { loaded, settlement, staged } = verdict;
    let key = loaded.key();
    let Some(record) = tx.get(&key)? else { return Ok(false) };
    tx.delete(key)?;
    let is_apart = record.get(1).is_some_and(|flags| flags & PAYLOAD_APART != 0);
    if let Settlement::RetryAt { due_at_ms, attempts } = *settlement {
        let (record, apart) = encode(&loaded.event, attempts)?;
        tx.put(key_of(loaded.lane, Place::Deferred(due_number(due_at_ms)), loaded.stamp), record)?;
        match apart {
            // It is there already, unless the attempts made the head outgrow the record just now.
            Some(payload) if !is_apart => tx.put(loaded.payload_key(), payload)?,
            None if is_apart => tx.delete(loaded.payload_key())?,
            Some(_) | None => {}
        }
    } else if is_apart {
        tx.delete(loaded.payload_key())?;
    }
    staged.iter().try_for_each(|staged| (staged.write)(tx))?;
    Ok(true)
}

fn key_of(lane: LaneId, place: Place, stamp: u64) -> Key {
    match place {
        Place::Fresh => fresh_of(lane).number(stamp),
        Place::Deferred(due) => in_shard(DEFERRED, lane).number(due).number(stamp),
    }
}

/// Lanes of `table` after `after`, each with the first number after it; `numbers` follow the lane in the table's keys.
fn lanes(
    read: &mut dyn Read,
    table: Table,
    numbers: usize,
    shard: u64,
    mut after: Option<LaneId>,
) -> Result<Vec<(LaneId, u64)>, StoreError> {
    let all = table.key().number(shard);
    let mut found = Vec::new();
    while found.len() < LANES_READ_MAX {
        let range = match after {
            Some(lane) => {
                let last = (0..numbers).fold(all.clone().number(lane), |key, _| key.number(u64::MAX));
                Range::prefix_after(&all, &last)
            }
            None => Range::prefix(&all),
        };
        let Some((key, _)) = read.range(&range, Order::Ascending, 1)?.pop() else { break };
        let mut parts = key.parts();
        let numbers = parts.number().and_then(|_| Some((parts.number()?, parts.number()?)));
        let (lane, first) = numbers.ok_or_else(damaged)?;
        found.push((lane, first));
        after = Some(lane);
    }
    Ok(found)
}

fn load(
    read: &mut dyn Read,
    lane: LaneId,
    mut cursor: Cursor,
    now_ms: i64,
    limit: usize,
) -> Result<LaneLoad, StoreError> {
    let mut events = Vec::new();
    let deferred = in_shard(DEFERRED, lane);
    let range = match cursor.deferred {
        Some((due, stamp)) => Range::prefix_after(&deferred, &deferred.clone().number(due).number(stamp)),
        None => Range::prefix(&deferred),
    };
    let mut next_due_ms = None;
    for (key, record) in read.range(&range, Order::Ascending, limit + 1)? {
        let mut parts = key.parts();
        let numbers =
            parts.number().and_then(|_| parts.number()).and_then(|_| Some((parts.number()?, parts.number()?)));
        let (due, stamp) = numbers.ok_or_else(damaged)?;
        if due > due_number(now_ms) || events.len() == limit {
            next_due_ms = Some(due_ms(due));
            break;
        }
        events.push(loaded(read, lane, Place::Deferred(due), stamp, &record)?);
        cursor.deferred = Some((due, stamp));
    }
    let fresh = fresh_of(lane);
    let range = Range::prefix_after(&fresh, &fresh.clone().number(cursor.fresh));
    let room = limit - events.len();
    let found = read.range(&range, Order::Ascending, room)?;
    // Without room nothing was looked for.
    let has_fresh = found.len() == room;
    for (key, record) in found {
        let mut parts = key.parts();
        let stamp = parts.number().and_then(|_| parts.number()).and_then(|_| parts.number()).ok_or_else(damaged)?;
        events.push(loaded(read, lane, Place::Fresh, stamp, &record)?);
        cursor.fresh = stamp;
    }
    Ok(LaneLoad { events, cursor, has_fresh, next_due_ms })
}

fn loaded(read: &mut dyn Read, lane: LaneId, place: Place, stamp: u64, record: &Bytes) -> Result<Loaded, StoreError> {
    let (mut event, attempts, is_apart) = decode(record)?;
    if is_apart {
        let payload = read.get(&in_shard(PAYLOADS, lane).number(stamp))?;
        event.payload = payload.ok_or_else(|| StoreError::RecordDamaged("an event without its payload".to_owned()))?;
    }
    Ok(Loaded { lane, stamp, place, attempts, event })
}

/// Moves some events of `shard` from before lanes; says how many. Lanes need not be of that shard.
fn migrate(tx: &mut dyn Tx, shard: u64) -> Result<usize, StoreError> {
    let (mut count, mut bytes) = (0, 0);
    for (table, is_deferred) in [(OLD_EVENTS, false), (OLD_DEFERRED, true)] {
        for (key, record) in
            tx.range(&Range::prefix(&table.key().number(shard)), Order::Ascending, MIGRATED_EVENTS_MAX)?
        {
            if bytes >= MIGRATED_BYTES_MAX || count >= MIGRATED_EVENTS_MAX {
                return Ok(count);
            }
            let mut parts = key.parts();
            parts.number().ok_or_else(damaged)?;
            let due = if is_deferred { Some(parts.number().ok_or_else(damaged)?) } else { None };
            let stamp = parts.number().ok_or_else(damaged)?;
            let (mut event, attempts, is_apart) = decode(&record)?;
            if is_apart {
                let payload_key = OLD_PAYLOADS.key().number(shard).number(stamp);
                event.payload = tx.get(&payload_key)?.ok_or_else(damaged)?;
                tx.delete(payload_key)?;
            }
            (count, bytes) = (count + 1, bytes + record.len() + event.payload.len());
            tx.delete(key)?;
            match due {
                Some(due) => defer(tx, &event, attempts, due, OLD_STAMP | shard << 56 | stamp)?,
                None => enqueue_after(tx, &event, attempts)?,
            }
        }
    }
    Ok(count)
}

fn defer(tx: &mut dyn Tx, event: &AsyncEvent, attempts: Attempts, due: u64, stamp: u64) -> Result<(), StoreError> {
    let lane = lane_of(event);
    let (record, apart) = encode(event, attempts)?;
    tx.put(key_of(lane, Place::Deferred(due), stamp), record)?;
    match apart {
        Some(payload) => tx.put(in_shard(PAYLOADS, lane).number(stamp), payload),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
