//! Deletes what nobody can see any more: groups that were deleted, windows past retention, blobs without a row.

use super::body;
use crate::error::LogsError;
use crate::keys;
use crate::limits::{SWEEP_ROWS_MAX, WINDOW_MS};
use crate::model::{SegmentRow, UsageRecord};
use crate::reader::all;
use crate::{Shared, catalog};
use gust_store::{Key, Order, Range, Record, StoreError};

/// Deletes all that belonged to a deleted group.
pub(crate) async fn group(shared: &Shared, group_id: &str) -> Result<(), LogsError> {
    segments(shared, group_id, Range::prefix(&keys::segments(group_id))).await?;
    for prefix in [keys::streams(group_id), keys::streams_by_time(group_id), keys::tombstones(group_id)] {
        while delete_some(shared, Range::prefix(&prefix)).await? {}
    }
    let group_id = group_id.to_owned();
    let committed = shared.platform.store.transact(move |tx| {
        tx.delete(keys::usage(&group_id))?;
        tx.delete(keys::doomed(&group_id))
    });
    committed.await?;
    Ok(())
}

/// Deletes whole windows of a group whose events are all older than `expiry_ms`.
pub(crate) async fn expired(shared: &Shared, group_id: &str, expiry_ms: i64) -> Result<(), LogsError> {
    if expiry_ms <= 0 {
        return Ok(());
    }
    let first_kept = expiry_ms.unsigned_abs() / WINDOW_MS.unsigned_abs();
    let range = Range { start: keys::segments(group_id), end: Some(keys::window(group_id, first_kept)) };
    segments(shared, group_id, range).await
}

/// Deletes the segments of a range of index rows.
async fn segments(shared: &Shared, group_id: &str, range: Range) -> Result<(), LogsError> {
    loop {
        let (range, group_id) = (range.clone(), group_id.to_owned());
        let committed = shared.platform.store.transact(move |tx| {
            let rows = tx.range(&range, Order::Ascending, SWEEP_ROWS_MAX)?;
            let mut blobs = Vec::new();
            let mut billed_bytes = 0;
            for (key, value) in &rows {
                billed_bytes += SegmentRow::decode(value)?.billed_bytes;
                let Some((window, id)) = keys::segment_parts(key) else {
                    return Err(StoreError::RecordDamaged("a segment's key".to_owned()));
                };
                if body::delete_segment(tx, &group_id, window, id)? {
                    blobs.push(id);
                }
            }
            if billed_bytes > 0 {
                let mut usage = UsageRecord::load(tx, &keys::usage(&group_id))?.unwrap_or_default();
                usage.billed_bytes = usage.billed_bytes.saturating_sub(billed_bytes);
                usage.save(tx, keys::usage(&group_id))?;
            }
            Ok((blobs, rows.len() == SWEEP_ROWS_MAX))
        });
        let (blobs, more) = committed.await?.value;
        body::delete_blobs(shared, blobs).await?;
        if !more {
            return Ok(());
        }
    }
}

/// Forgets deleted groups' names of earlier starts, whose lines cannot be under way any more.
pub(crate) async fn graves(shared: &Shared) -> Result<(), LogsError> {
    let prefix = keys::all_graves();
    let read = shared.platform.store.read(move |read| all(read, &prefix, Range::prefix(&prefix), usize::MAX));
    let mut old = Vec::new();
    for (key, value) in read.await? {
        if shared.sequence.is_earlier(catalog::tombstone_sequence(&value)?) {
            old.push((key, value));
        }
    }
    for part in old.chunks(SWEEP_ROWS_MAX) {
        let part = part.to_vec();
        let committed = shared.platform.store.transact(move |tx| {
            for (key, value) in &part {
                if tx.get(key)?.as_ref() == Some(value) {
                    tx.delete(key.clone())?;
                }
            }
            Ok::<_, StoreError>(())
        });
        committed.await?;
    }
    Ok(())
}

/// Deletes some rows; says whether there may be more.
async fn delete_some(shared: &Shared, range: Range) -> Result<bool, LogsError> {
    let committed = shared.platform.store.transact(move |tx| {
        let rows = tx.range(&range, Order::Ascending, SWEEP_ROWS_MAX)?;
        for (key, _) in &rows {
            tx.delete(key.clone())?;
        }
        Ok::<_, StoreError>(rows.len() == SWEEP_ROWS_MAX)
    });
    Ok(committed.await?.value)
}

/// Deletes blobs of earlier starts that no row refers to: a crash came between blob and transaction, or between
/// transaction and deletion.
pub(crate) async fn orphans(shared: &Shared) -> Result<(), LogsError> {
    let mut after: Option<String> = None;
    loop {
        let found = shared.blobs.list(keys::BLOBS, after.as_deref(), SWEEP_ROWS_MAX).await?;
        let ids: Vec<u64> = found.iter().filter_map(|blob| keys::blob_segment(&blob.key)).collect();
        let old: Vec<u64> = ids.into_iter().filter(|id| shared.sequence.is_earlier(*id)).collect();
        let rows: Vec<Key> = old.iter().map(|id| keys::body(*id)).collect();
        let bodies = shared.platform.store.read(move |read| read.get_many(&rows)).await?;
        let orphans = old.into_iter().zip(bodies).filter(|(_, row)| row.is_none()).map(|(id, _)| id);
        body::delete_blobs(shared, orphans.collect()).await?;
        match found.last() {
            Some(last) if found.len() == SWEEP_ROWS_MAX => after = Some(last.key.clone()),
            _ => return Ok(()),
        }
    }
}
