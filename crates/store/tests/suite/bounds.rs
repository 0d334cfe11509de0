//! The bounds, at their maximum and one above.

use bytes::Bytes;
use gust_store::{
    KEY_BYTES_MAX, Key, Order, RANGE_PAIRS_MAX, Range, Store, StoreError, TRANSACTION_BYTES_MAX, Table, VALUE_BYTES_MAX,
};

const TABLE: Table = Table(0x1100);

pub async fn run(store: &Store) {
    keys_and_values(store).await;
    logs_count_the_stamp(store).await;
    transactions(store).await;
    ranges(store).await;
    an_ignored_error_still_fails(store).await;
}

fn key_of(bytes: usize) -> Key {
    TABLE.key().bytes(&vec![b'k'; bytes - 2])
}

async fn put(store: &Store, key: Key, bytes: usize) -> Result<(), StoreError> {
    let value = Bytes::from(vec![b'v'; bytes]);
    store.transact(move |tx| tx.put(key.clone(), value.clone())).await.map(|_| ())
}

async fn keys_and_values(store: &Store) {
    put(store, key_of(KEY_BYTES_MAX), 1).await.unwrap();
    let error = put(store, key_of(KEY_BYTES_MAX + 1), 1).await.unwrap_err();
    assert!(matches!(error, StoreError::KeyTooLong { bytes } if bytes == KEY_BYTES_MAX + 1), "{error}");
    assert!(matches!(put(store, Key::from_bytes([]), 1).await, Err(StoreError::KeyEmpty)));
    put(store, key_of(10), VALUE_BYTES_MAX).await.unwrap();
    let error = put(store, key_of(11), VALUE_BYTES_MAX + 1).await.unwrap_err();
    assert!(matches!(error, StoreError::ValueTooLarge { bytes } if bytes == VALUE_BYTES_MAX + 1), "{error}");
    let read = store.read(|read| read.get_many(&[key_of(KEY_BYTES_MAX), key_of(10), key_of(11)])).await.unwrap();
    let sizes: Vec<Option<usize>> = read.iter().map(|value| value.as_ref().map(Bytes::len)).collect();
    assert_eq!(sizes, [Some(1), Some(VALUE_BYTES_MAX), None]);
    let too_long = store.read(|read| read.get(&key_of(KEY_BYTES_MAX + 1))).await;
    assert!(matches!(too_long, Err(StoreError::KeyTooLong { .. })));
    let too_long = store.transact(|tx| tx.delete(key_of(KEY_BYTES_MAX + 1))).await;
    assert!(matches!(too_long, Err(StoreError::KeyTooLong { .. })));
}

async fn logs_count_the_stamp(store: &Store) {
    let appended = store.transact(|tx| {
        let stamp = tx.append(&key_of(KEY_BYTES_MAX - 8), Bytes::from_static(b"v"))?;
        tx.put_stamped(stamp, key_of(KEY_BYTES_MAX - 9), b"s", Bytes::from_static(b"v"))
    });
    assert_eq!(appended.await.unwrap().stamps.len(), 1);
    let too_long = store.transact(|tx| tx.append(&key_of(KEY_BYTES_MAX - 7), Bytes::new()).map(|_| ())).await;
    assert!(matches!(too_long, Err(StoreError::KeyTooLong { .. })));
    let too_long = store.transact(|tx| {
        let stamp = tx.append(&key_of(20), Bytes::new())?;
        tx.put_stamped(stamp, key_of(KEY_BYTES_MAX - 9), b"ss", Bytes::new())
    });
    assert!(matches!(too_long.await, Err(StoreError::KeyTooLong { .. })));
}

/// A transaction that writes exactly `bytes`, in keys of 10 bytes.
async fn write(store: &Store, bytes: usize) -> Result<(), StoreError> {
    let written = store.transact(move |tx| {
        let mut left = bytes;
        let mut number = 0u64;
        while left > 0 {
            let value_bytes = (left - 10).min(VALUE_BYTES_MAX);
            // Each key is written twice, which counts once.
            tx.put(TABLE.key().number(number), Bytes::from_static(b"first"))?;
            tx.put(TABLE.key().number(number), Bytes::from(vec![0; value_bytes]))?;
            left -= value_bytes + 10;
            number += 1;
        }
        Ok::<_, StoreError>(())
    });
    written.await.map(|_| ())
}

async fn transactions(store: &Store) {
    write(store, TRANSACTION_BYTES_MAX).await.unwrap();
    assert!(matches!(write(store, TRANSACTION_BYTES_MAX + 1).await, Err(StoreError::TransactionTooLarge(_))));
}

async fn ranges(store: &Store) {
    let table = Table(0x1101);
    let pairs = u64::try_from(RANGE_PAIRS_MAX + 1).unwrap();
    let filled =
        store.transact(move |tx| (0..pairs).try_for_each(|number| tx.put(table.key().number(number), Bytes::new())));
    filled.await.unwrap();
    let found = store.read(move |read| read.range(&Range::prefix(&table.key()), Order::Ascending, usize::MAX)).await;
    assert_eq!(found.unwrap().len(), RANGE_PAIRS_MAX);
    let found = store.transact(move |tx| tx.range(&Range::prefix(&table.key()), Order::Descending, usize::MAX)).await;
    assert_eq!(found.unwrap().value.len(), RANGE_PAIRS_MAX);
}

async fn an_ignored_error_still_fails(store: &Store) {
    let table = Table(0x1102);
    let ignored = store.transact(move |tx| {
        tx.put(table.key().text("a"), Bytes::new())?;
        let _ = tx.put(table.key().text("b"), Bytes::from(vec![0; VALUE_BYTES_MAX + 1]));
        Ok::<_, StoreError>(())
    });
    assert!(matches!(ignored.await, Err(StoreError::ValueTooLarge { .. })));
    let found = store.read(move |read| read.range(&Range::prefix(&table.key()), Order::Ascending, 1)).await;
    assert_eq!(found.unwrap(), []);
}
