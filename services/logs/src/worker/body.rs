//! Where a segment's bytes lie: small ones in the store, others in the blob store.

use crate::Shared;
use crate::error::LogsError;
use crate::keys;
use crate::limits::INLINE_BYTES_MAX;
use crate::model::Event;
use crate::segment::{self, Prepared};
use bytes::Bytes;
use gust_blob::BlobError;
use gust_kit::CommonError;
use gust_store::{StoreError, Tx};
use std::sync::Arc;

/// Begins the value of a body that follows.
const INLINE: u8 = 0;
/// The value of a body that is a blob.
const IN_BLOB: u8 = 1;

/// Writes the bodies that are blobs. They are garbage until the transaction that refers to them.
pub(crate) async fn put_blobs(shared: &Shared, segments: &[Prepared]) -> Result<(), LogsError> {
    for segment in segments.iter().filter(|segment| !is_inline(segment)) {
        shared.blobs.put_named(&keys::blob(segment.id), segment.body.clone()).await?;
    }
    Ok(())
}

/// Whether a body lies in the store.
pub(crate) fn is_inline(segment: &Prepared) -> bool {
    segment.body.len() <= INLINE_BYTES_MAX
}

/// Commits a segment: its index row and its body.
pub(crate) fn put_segment(tx: &mut dyn Tx, group_id: &str, segment: &Prepared) -> Result<(), StoreError> {
    use gust_store::Record;
    segment.row.save(tx, keys::segment(group_id, segment.window, segment.id))?;
    let value = if is_inline(segment) {
        let mut value = Vec::with_capacity(segment.body.len() + 1);
        value.push(INLINE);
        value.extend_from_slice(&segment.body);
        value.into()
    } else {
        Bytes::from_static(&[IN_BLOB])
    };
    tx.put(keys::body(segment.id), value)
}

/// Deletes a segment's rows; says whether a blob has to follow once that is committed.
pub(crate) fn delete_segment(tx: &mut dyn Tx, group_id: &str, window: u64, id: u64) -> Result<bool, StoreError> {
    let body = tx.get(&keys::body(id))?;
    tx.delete(keys::segment(group_id, window, id))?;
    tx.delete(keys::body(id))?;
    Ok(body.is_some_and(|value| value.first() == Some(&IN_BLOB)))
}

/// Deletes blobs that no row refers to any more.
pub(crate) async fn delete_blobs(shared: &Shared, ids: Vec<u64>) -> Result<(), LogsError> {
    for id in ids {
        shared.blobs.delete(keys::blob(id)).await?;
    }
    Ok(())
}

/// The events of a segment; `None` if it is gone (merged into another, or expired).
pub(crate) async fn load(shared: &Shared, id: u64) -> Result<Option<Vec<Arc<Event>>>, LogsError> {
    let value = shared.platform.store.read(move |read| read.get(&keys::body(id))).await?;
    let bytes = match value {
        None => return Ok(None),
        Some(value) if value.first() == Some(&INLINE) => value.slice(1..),
        Some(_) => match shared.blobs.get(keys::blob(id)).await {
            Ok(bytes) => bytes,
            Err(BlobError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        },
    };
    let decoded = tokio::task::spawn_blocking(move || segment::decode(&bytes)).await;
    match decoded {
        Ok(Ok(events)) => Ok(Some(events)),
        Ok(Err(error)) => Err(CommonError::Internal(format!("segment {id:016x}: {error}")).into()),
        Err(error) => Err(CommonError::Internal(error.to_string()).into()),
    }
}
