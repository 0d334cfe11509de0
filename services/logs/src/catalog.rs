//! Reads and writes of group and stream records, as operations and the writer share them.

use crate::error::LogsError;
use crate::keys;
use crate::model::{GroupName, GroupRecord, StreamEvents, StreamRecord};
use bytes::Bytes;
use gust_store::{Read, Record, Store, StoreError, Tx};

/// The group `name`.
///
/// Errors: [`LogsError::GroupNotFound`].
pub(crate) fn load_group<T: Read + ?Sized>(tx: &mut T, name: &GroupName) -> Result<GroupRecord, LogsError> {
    GroupRecord::load(tx, &keys::group(name))?.ok_or(LogsError::GroupNotFound)
}

/// The group `name`, read on its own.
pub(crate) async fn find_group(store: &Store, name: &GroupName) -> Result<GroupRecord, LogsError> {
    let name = name.clone();
    store.read(move |read| load_group(read, &name)).await
}

/// Changes the group `name` in a transaction.
pub(crate) async fn update_group(
    store: &Store,
    name: &GroupName,
    change: impl Fn(&mut GroupRecord) -> Result<(), LogsError> + Send + Sync + 'static,
) -> Result<(), LogsError> {
    let name = name.clone();
    let committed = store.transact(move |tx| {
        let mut group = load_group(tx, &name)?;
        change(&mut group)?;
        group.save(tx, keys::group(&name))?;
        Ok::<_, LogsError>(())
    });
    committed.await.map(|_| ())
}

/// Makes the stream `name`, which must not be there.
pub(crate) fn create_stream(tx: &mut dyn Tx, group_id: &str, name: &str, created_at_ms: i64) -> Result<(), StoreError> {
    let record = StreamRecord { name: name.to_owned(), created_at_ms, events: None };
    record.save(tx, keys::stream(group_id, name))?;
    tx.put(keys::stream_by_time(group_id, 0, name), Bytes::new())
}

/// Notes that a stream has got events.
pub(crate) fn extend_stream(
    tx: &mut dyn Tx,
    group_id: &str,
    mut record: StreamRecord,
    events: StreamEvents,
) -> Result<(), StoreError> {
    let before_ms = record.events.map_or(0, |events| events.last_ms);
    let joined = record.events.map_or(events, |old| old.join(events));
    if joined.last_ms != before_ms {
        tx.delete(keys::stream_by_time(group_id, before_ms, &record.name))?;
        tx.put(keys::stream_by_time(group_id, joined.last_ms, &record.name), Bytes::new())?;
    }
    record.events = Some(joined);
    record.save(tx, keys::stream(group_id, &record.name))
}

/// Removes the stream `name`; events up to `sequence` become invisible.
pub(crate) fn delete_stream(tx: &mut dyn Tx, group_id: &str, name: &str, sequence: u64) -> Result<(), LogsError> {
    let key = keys::stream(group_id, name);
    let record = StreamRecord::load(tx, &key)?.ok_or(LogsError::StreamNotFound)?;
    let last_ms = record.events.map_or(0, |events| events.last_ms);
    tx.delete(key)?;
    tx.delete(keys::stream_by_time(group_id, last_ms, name))?;
    tx.put(keys::tombstone(group_id, name), sequence.to_be_bytes().to_vec().into())?;
    Ok(())
}

/// Up to which sequence a tombstone deletes.
pub(crate) fn tombstone_sequence(value: &[u8]) -> Result<u64, StoreError> {
    let bytes = <[u8; 8]>::try_from(value).map_err(|_| StoreError::RecordDamaged("a deleted log stream".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}
