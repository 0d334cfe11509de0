//! Commits what waits: every 200 ms, at 1 MiB, or at once where a PutLogEvents waits for it.

use super::body;
use super::maintenance::Task;
use crate::Shared;
use crate::buffer::{Batch, Due, Taken};
use crate::catalog;
use crate::error::LogsError;
use crate::keys;
use crate::limits::{COMMIT_BYTES_MAX, COMMIT_STREAMS_MAX, COMPACT_SEGMENTS_MIN};
use crate::model::{GroupName, GroupRecord, StreamEvents, StreamRecord, UsageRecord};
use crate::segment::{self, Prepared};
use gust_kit::CommonError;
use gust_store::{Record, StoreError, Tx};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Windows whose new segments are counted; beyond it counting begins anew.
const COUNTED_WINDOWS_MAX: usize = 10_000;

/// Runs until the buffer is closed and empty.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut counts = HashMap::new();
    loop {
        match shared.buffer.due() {
            Due::Now => {}
            Due::Done => return,
            Due::Idle => {
                shared.buffer.changed().await;
                continue;
            }
            Due::At(instant) => {
                tokio::select! {
                    () = tokio::time::sleep_until(instant) => {}
                    () = shared.buffer.changed() => {}
                }
                continue;
            }
        }
        let taken = shared.buffer.take_due(&shared.sequence);
        flush(&shared, taken, &mut counts).await;
    }
}

/// Commits what was taken and tells who waits.
async fn flush(shared: &Arc<Shared>, taken: Vec<Taken>, counts: &mut HashMap<(String, u64), usize>) {
    let outcome = commit(shared, &taken).await;
    if outcome.is_ok() || taken.len() == 1 {
        for one in taken {
            settle(shared, one, &outcome);
        }
        count_segments(shared, outcome.unwrap_or_default(), counts);
        return;
    }
    // What one group cannot write must not stand in the way of the others.
    for one in taken {
        let outcome = commit(shared, std::slice::from_ref(&one)).await;
        settle(shared, one, &outcome);
        count_segments(shared, outcome.unwrap_or_default(), counts);
    }
}

/// Whether the same can succeed later.
fn is_passing(error: &LogsError) -> bool {
    let LogsError::Common(CommonError::Store(error)) = error else { return true };
    !matches!(
        error,
        StoreError::KeyTooLong { .. }
            | StoreError::KeyEmpty
            | StoreError::ValueTooLarge { .. }
            | StoreError::TransactionTooLarge(_)
            | StoreError::RecordTooNew { .. }
            | StoreError::RecordDamaged(_)
    )
}

/// Tells who waits. Functions' lines that could not be written wait again, if that can help.
fn settle(shared: &Shared, taken: Taken, outcome: &Result<Vec<(String, u64)>, LogsError>) {
    let Taken { group, batch, waiters } = taken;
    let kept = match outcome {
        Err(error) if is_passing(error) => shared.buffer.restore(&group),
        _ => {
            shared.buffer.finish(&group);
            outcome.is_ok() || batch.sink.is_empty()
        }
    };
    if let Err(error) = outcome {
        let (group, lines) = (&*group.name, batch.sink.len());
        match kept {
            true => {
                tracing::warn!(group, lines, cause = %error, "log events could not be written; lines wait for another try")
            }
            false => tracing::error!(group, lines, cause = %error, "log lines are lost: they could not be written"),
        }
    }
    for waiter in waiters {
        // A caller that has gone away needs no answer.
        let _ = waiter.send(outcome.as_ref().map(|_| ()).map_err(LogsError::clone));
    }
}

/// Asks for a compaction where many segments have come together.
fn count_segments(shared: &Shared, windows: Vec<(String, u64)>, counts: &mut HashMap<(String, u64), usize>) {
    if counts.len() > COUNTED_WINDOWS_MAX {
        counts.clear();
    }
    for (group_id, window) in windows {
        let count = counts.entry((group_id.clone(), window)).or_default();
        *count += 1;
        if *count >= COMPACT_SEGMENTS_MIN && shared.tasks.try_send(Task::Compact { group_id, window }).is_ok() {
            *count = 0;
        }
    }
}

/// Part of a transaction: some streams of a group, and its segments with the last part.
struct Unit {
    group: GroupName,
    /// The id of the group if it has to be made for a function's first line.
    new_id: Option<String>,
    streams: Vec<StreamDelta>,
    segments: Vec<Prepared>,
}

/// What a batch changes about a stream.
struct StreamDelta {
    name: Arc<str>,
    events: StreamEvents,
    /// The greatest sequence among its events.
    sequence: u64,
    /// Whether it is made if it is not there.
    create: bool,
}

/// Returns the group id and window of each new segment.
async fn commit(shared: &Arc<Shared>, taken: &[Taken]) -> Result<Vec<(String, u64)>, LogsError> {
    let mut units = Vec::new();
    for Taken { group, batch, .. } in taken {
        let (work, events) = (shared.clone(), batch.clone());
        let segments = tokio::task::spawn_blocking(move || {
            segment::prepare(events.events().cloned().collect(), || work.sequence.next())
        });
        let segments = segments.await.map_err(|error| internal(&error))?.map_err(|error| internal(&error))?;
        body::put_blobs(shared, &segments).await?;
        units.extend(units_of(shared, group, batch, segments));
    }
    let now_ms = shared.platform.now_ms();
    let mut windows = Vec::new();
    for units in transactions(units) {
        let units = Arc::new(units);
        let applied = units.clone();
        let committed = shared.platform.store.transact(move |tx| {
            applied.iter().map(|unit| apply(tx, unit, now_ms)).collect::<Result<Vec<Option<String>>, StoreError>>()
        });
        for (unit, group_id) in units.iter().zip(committed.await?.value) {
            if let Some(group_id) = group_id {
                windows.extend(unit.segments.iter().map(|segment| (group_id.clone(), segment.window)));
            }
        }
    }
    Ok(windows)
}

fn internal(error: &impl ToString) -> LogsError {
    CommonError::Internal(error.to_string()).into()
}

fn units_of(shared: &Shared, group: &GroupName, batch: &Batch, segments: Vec<Prepared>) -> Vec<Unit> {
    let new_id = (!batch.sink.is_empty()).then(|| gust_types::Ids::hex(&*shared.platform.ids, 32));
    let mut streams: BTreeMap<Arc<str>, StreamDelta> = BTreeMap::new();
    for (event, create) in
        batch.sink.iter().map(|event| (event, true)).chain(batch.puts.iter().map(|event| (event, false)))
    {
        let events = StreamEvents {
            first_ms: event.timestamp_ms,
            last_ms: event.timestamp_ms,
            last_ingested_ms: event.ingested_at_ms,
        };
        let name = event.stream.clone();
        let delta = streams.entry(name.clone()).or_insert(StreamDelta { name, events, sequence: 0, create });
        delta.events = delta.events.join(events);
        delta.sequence = delta.sequence.max(event.sequence);
        delta.create |= create;
    }
    let mut units = Vec::new();
    let mut streams: Vec<StreamDelta> = streams.into_values().collect();
    while streams.len() > COMMIT_STREAMS_MAX {
        let rest = streams.split_off(COMMIT_STREAMS_MAX);
        units.push(Unit { group: group.clone(), new_id: new_id.clone(), streams, segments: Vec::new() });
        streams = rest;
    }
    units.push(Unit { group: group.clone(), new_id, streams, segments });
    units
}

/// Packs units into transactions that stay within the store's bounds. A unit's inline segments are bounded by
/// what a group's batch can hold.
fn transactions(units: Vec<Unit>) -> Vec<Vec<Unit>> {
    let mut transactions = Vec::new();
    let mut current: Vec<Unit> = Vec::new();
    let (mut streams, mut bytes) = (0, 0);
    for unit in units {
        let inline = unit.segments.iter().filter(|segment| body::is_inline(segment));
        let unit_bytes: usize = inline.map(|segment| segment.body.len()).sum();
        let full = streams + unit.streams.len() > COMMIT_STREAMS_MAX || bytes + unit_bytes > COMMIT_BYTES_MAX;
        if full && !current.is_empty() {
            transactions.push(std::mem::take(&mut current));
            (streams, bytes) = (0, 0);
        }
        streams += unit.streams.len();
        bytes += unit_bytes;
        current.push(unit);
    }
    if !current.is_empty() {
        transactions.push(current);
    }
    transactions
}

/// Writes a unit; returns the group's id, or `None` if the group is gone and nothing of a function makes it anew.
fn apply(tx: &mut dyn Tx, unit: &Unit, now_ms: i64) -> Result<Option<String>, StoreError> {
    let key = keys::group(&unit.group);
    let group = match (GroupRecord::load(tx, &key)?, &unit.new_id) {
        (Some(group), _) => group,
        (None, Some(id)) => {
            let grave = tx.get(&keys::grave(&unit.group))?;
            let first_sequence = grave.as_deref().map(catalog::tombstone_sequence).transpose()?.unwrap_or(0);
            if unit.streams.iter().all(|delta| delta.sequence < first_sequence) {
                return Ok(None);
            }
            let group = GroupRecord::new(id.clone(), now_ms, first_sequence);
            group.save(tx, key)?;
            tx.delete(keys::grave(&unit.group))?;
            group
        }
        (None, None) => return Ok(None),
    };
    let group_id = group.id;
    for delta in unit.streams.iter().filter(|delta| delta.sequence >= group.first_sequence) {
        apply_stream(tx, &group_id, delta, now_ms)?;
    }
    let mut usage = UsageRecord::load(tx, &keys::usage(&group_id))?.unwrap_or_default();
    for segment in &unit.segments {
        body::put_segment(tx, &group_id, segment)?;
        usage.billed_bytes += segment.row.billed_bytes;
    }
    usage.save(tx, keys::usage(&group_id))?;
    tx.wake(&unit.group.topic());
    Ok(Some(group_id))
}

fn apply_stream(tx: &mut dyn Tx, group_id: &str, delta: &StreamDelta, now_ms: i64) -> Result<(), StoreError> {
    let record = match StreamRecord::load(tx, &keys::stream(group_id, &delta.name))? {
        Some(record) => record,
        None if !delta.create => return Ok(()),
        None => {
            let tombstone = tx.get(&keys::tombstone(group_id, &delta.name))?;
            let deleted_up_to = tombstone.as_deref().map(catalog::tombstone_sequence).transpose()?;
            if deleted_up_to.is_some_and(|deleted| delta.sequence <= deleted) {
                return Ok(());
            }
            catalog::create_stream(tx, group_id, &delta.name, now_ms)?;
            StreamRecord { name: delta.name.to_string(), created_at_ms: now_ms, events: None }
        }
    };
    catalog::extend_stream(tx, group_id, record, delta.events)
}
