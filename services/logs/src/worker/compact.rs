//! Merges small segments, so that a quiet function's week is a few segments and not thousands.
//!
//! Segments fall into classes by size. Enough of one class in a window become one of a larger class, so that an
//! event is rewritten a few times at most. A closed window is merged as far as it goes.

use super::body;
use crate::Shared;
use crate::error::LogsError;
use crate::keys;
use crate::limits::{COMPACT_SEGMENTS_MAX, COMPACT_SEGMENTS_MIN, SEGMENT_BYTES_MAX, WINDOW_SEGMENTS_MAX};
use crate::model::{Event, SegmentRow, UsageRecord};
use crate::reader::{all, deleted_streams, is_deleted};
use crate::segment::{self, Prepared};
use gust_kit::CommonError;
use gust_store::{Range, Record, StoreError};
use std::sync::Arc;

/// Where one class ends and the next begins, before compression, in bytes. What is larger is left alone.
const CLASS_BYTES: [u64; 3] = [64 * 1_024, 512 * 1_024, 2 * 1_048_576];
/// Most merges of one call; more are left to the next round.
const MERGES_MAX: usize = 1_000;

/// Merges what can be merged in a window. With `closed` two segments of a class are enough.
pub(crate) async fn window(shared: &Shared, group_id: &str, window: u64, closed: bool) -> Result<(), LogsError> {
    let least = if closed { 2 } else { COMPACT_SEGMENTS_MIN };
    for _ in 0..MERGES_MAX {
        let segments = segments(shared, group_id, window).await?;
        let Some(chosen) = choose(&segments, least, closed) else { return Ok(()) };
        if !merge(shared, group_id, window, chosen).await? {
            return Ok(());
        }
    }
    Ok(())
}

async fn segments(shared: &Shared, group_id: &str, window: u64) -> Result<Vec<(u64, SegmentRow)>, LogsError> {
    let prefix = keys::window(group_id, window);
    let pairs =
        shared.platform.store.read(move |read| all(read, &prefix, Range::prefix(&prefix), WINDOW_SEGMENTS_MAX)).await?;
    let mut segments = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        if let Some((_, id)) = keys::segment_parts(&key) {
            segments.push((id, SegmentRow::decode(&value)?));
        }
    }
    Ok(segments)
}

fn class(row: &SegmentRow) -> Option<usize> {
    CLASS_BYTES.iter().position(|end| row.raw_bytes < *end)
}

/// The oldest segments of a class that has enough of them, as many as fit into one. In a closed window classes
/// do not matter.
fn choose(segments: &[(u64, SegmentRow)], least: usize, closed: bool) -> Option<Vec<u64>> {
    let classes: &[usize] = if closed { &[0] } else { &[0, 1, 2] };
    classes.iter().find_map(|wanted| {
        let of_class = |row: &SegmentRow| class(row).is_some_and(|class| closed || class == *wanted);
        let members: Vec<_> = segments.iter().filter(|(_, row)| of_class(row)).collect();
        if members.len() < least {
            return None;
        }
        let mut bytes = 0;
        let fitting = members.iter().take(COMPACT_SEGMENTS_MAX).take_while(|(_, row)| {
            bytes += row.billed_bytes;
            bytes <= SEGMENT_BYTES_MAX as u64
        });
        let chosen: Vec<u64> = fitting.map(|(id, _)| *id).collect();
        (chosen.len() >= 2).then_some(chosen)
    })
}

/// Puts one segment in the place of several; `false` if they were taken away meanwhile.
async fn merge(shared: &Shared, group_id: &str, window: u64, ids: Vec<u64>) -> Result<bool, LogsError> {
    let deleted = deleted_streams(shared, group_id).await?;
    let mut events: Vec<Arc<Event>> = Vec::new();
    for id in &ids {
        let Some(found) = body::load(shared, *id).await? else { return Ok(false) };
        events.extend(found);
    }
    let before: u64 = events.iter().map(|event| event.billed_bytes() as u64).sum();
    // A commit that failed half-way and was repeated leaves events twice; readers show them once.
    events.sort_by_key(|event| event.position());
    events.dedup_by_key(|event| event.position());
    events.retain(|event| !is_deleted(&deleted, event));
    let after: u64 = events.iter().map(|event| event.billed_bytes() as u64).sum();
    let id = shared.sequence.next();
    let prepared =
        tokio::task::spawn_blocking(
            move || if events.is_empty() { Ok(Vec::new()) } else { segment::prepare(events, || id) },
        );
    let prepared = prepared.await.map_err(|error| CommonError::Internal(error.to_string()))?;
    let prepared: Vec<Prepared> = prepared.map_err(|error| CommonError::Internal(error.to_string()))?;
    body::put_blobs(shared, &prepared).await?;
    let (group, new_id) = (group_id.to_owned(), prepared.first().map(|segment| segment.id));
    let committed = shared.platform.store.transact(move |tx| {
        let rows: Vec<_> = ids.iter().map(|id| keys::segment(&group, window, *id)).collect();
        if tx.get_many(&rows)?.iter().any(Option::is_none) {
            return Ok(None);
        }
        let mut blobs = Vec::new();
        for id in &ids {
            if body::delete_segment(tx, &group, window, *id)? {
                blobs.push(*id);
            }
        }
        for segment in &prepared {
            body::put_segment(tx, &group, segment)?;
        }
        if after < before {
            let mut usage = UsageRecord::load(tx, &keys::usage(&group))?.unwrap_or_default();
            usage.billed_bytes = usage.billed_bytes.saturating_sub(before - after);
            usage.save(tx, keys::usage(&group))?;
        }
        Ok::<_, StoreError>(Some(blobs))
    });
    match committed.await?.value {
        Some(blobs) => {
            body::delete_blobs(shared, blobs).await?;
            Ok(true)
        }
        None => {
            body::delete_blobs(shared, new_id.into_iter().collect()).await?;
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kib: u64) -> SegmentRow {
        let raw_bytes = kib * 1_024;
        SegmentRow {
            min_ms: 0,
            max_ms: 0,
            events: 1,
            billed_bytes: raw_bytes,
            raw_bytes,
            stored_bytes: 1,
            streams: None,
        }
    }

    #[test]
    fn enough_of_a_class_are_chosen_and_no_more_than_fit() {
        let small: Vec<_> = (0..15).map(|id| (id, row(1))).collect();
        assert_eq!(choose(&small, 16, false), None);
        let small: Vec<_> = (0..16).map(|id| (id, row(1))).collect();
        assert_eq!(choose(&small, 16, false).unwrap().len(), 16);
        let middle: Vec<_> = (0..20).map(|id| (id, row(1_024))).collect();
        assert_eq!(choose(&middle, 16, false).unwrap(), [0, 1, 2, 3]);
        let large: Vec<_> = (0..20).map(|id| (id, row(3_000))).collect();
        assert_eq!(choose(&large, 2, true), None);
        assert_eq!(choose(&[(1, row(1)), (2, row(100))], 2, true).unwrap(), [1, 2]);
        assert_eq!(choose(&[(1, row(1))], 2, true), None);
    }
}
