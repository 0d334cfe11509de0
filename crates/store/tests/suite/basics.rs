//! Reads, writes, ranges, snapshots, wake-ups.

use crate::{Result, soon};
use bytes::Bytes;
use gust_store::{Key, Order, Range, Read, Store, StoreError, Table};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub async fn run(store: &Store) {
    a_transaction_reads_its_own_writes(store).await;
    ranges_merge_base_and_own_writes(store).await;
    an_error_or_a_panic_abandons_everything(store).await;
    a_read_sees_one_point_in_time(store).await;
    wakes_come_after_the_commit_only(store).await;
}

pub fn key(table: u16, name: &str) -> Key {
    Table(table).key().text(name)
}

pub fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub async fn get(store: &Store, key: Key) -> Option<Bytes> {
    store.read(move |read| read.get(&key)).await.unwrap()
}

async fn a_transaction_reads_its_own_writes(store: &Store) {
    let key = |name| key(0x1000, name);
    store.transact(move |tx| tx.put(key("gone"), text("1"))).await.unwrap();
    let seen = store.transact(move |tx| {
        assert_eq!(tx.get(&key("a"))?, None);
        tx.put(key("a"), text("1"))?;
        tx.put(key("a"), text("2"))?;
        tx.delete(key("gone"))?;
        tx.delete(key("never"))?;
        tx.put(key("empty"), Bytes::new())?;
        tx.get_many(&[key("a"), key("gone"), key("other"), key("empty"), key("a")])
    });
    let expected = vec![Some(text("2")), None, None, Some(Bytes::new()), Some(text("2"))];
    assert_eq!(seen.await.unwrap().value, expected);
    let seen =
        store.read(move |read| read.get_many(&[key("a"), key("gone"), key("other"), key("empty"), key("a")])).await;
    assert_eq!(seen.unwrap(), expected);
}

async fn ranges_merge_base_and_own_writes(store: &Store) {
    let table = Table(0x1001);
    let key = move |number| table.key().number(number);
    let base = store.transact(move |tx| {
        tx.put(Table(0x1000).key().number(u64::MAX), text("neighbour"))?;
        (0..20).try_for_each(|number| tx.put(key(number * 2), text("base")))?;
        tx.put(Table(0x1002).key(), text("neighbour"))
    });
    base.await.unwrap();
    let checked = store.transact(move |tx| {
        let all = Range::prefix(&table.key());
        let mut model: Vec<u64> = (0..20).map(|number| number * 2).collect();
        check_ranges(tx, &all, &model)?;
        for gone in [0, 2, 4, 38] {
            tx.delete(key(gone))?;
        }
        for new in [1, 3, 39, 50] {
            tx.put(key(new), text("own"))?;
        }
        tx.put(key(6), text("own"))?;
        model.retain(|number| ![0, 2, 4, 38].contains(number));
        model.extend([1, 3, 39, 50]);
        model.sort_unstable();
        check_ranges(tx, &all, &model)?;
        let after = tx.range(&Range::prefix_after(&table.key(), &key(36)), Order::Ascending, 10)?;
        assert_eq!(after, [(key(39), text("own")), (key(50), text("own"))]);
        let part = Range { start: key(6), end: Some(key(10)) };
        assert_eq!(tx.range(&part, Order::Descending, 10)?, [(key(8), text("base")), (key(6), text("own"))]);
        let inverted = Range { start: key(10), end: Some(key(6)) };
        assert_eq!(tx.range(&inverted, Order::Ascending, 10)?, []);
        let unbounded = Range { start: Key::from_bytes([0xff; 9]), end: None };
        assert_eq!(tx.range(&unbounded, Order::Descending, 1)?, []);
        Ok::<_, StoreError>(model)
    });
    let model = checked.await.unwrap().value;
    let seen = store.read(move |read| check_ranges(read, &Range::prefix(&table.key()), &model));
    seen.await.unwrap();
}

fn check_ranges<T: Read + ?Sized>(read: &mut T, range: &Range, model: &[u64]) -> Result<()> {
    for limit in [0, 1, 2, 7, model.len(), model.len() + 1] {
        for order in [Order::Ascending, Order::Descending] {
            let found = read.range(range, order, limit)?;
            let numbers: Vec<u64> = found.iter().map(|(key, _)| key.parts().number().unwrap()).collect();
            let expected: Vec<u64> = match order {
                Order::Ascending => model.iter().copied().take(limit).collect(),
                Order::Descending => model.iter().rev().copied().take(limit).collect(),
            };
            assert_eq!(numbers, expected, "{order:?} {limit}");
        }
    }
    Ok(())
}

#[derive(Debug)]
enum Refusal {
    Mine,
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal::Store(error)
    }
}

async fn an_error_or_a_panic_abandons_everything(store: &Store) {
    let key = |name| key(0x1003, name);
    let refused = store.transact(move |tx| {
        tx.put(key("a"), text("1"))?;
        tx.append(&key("log"), text("1"))?;
        Err::<(), _>(Refusal::Mine)
    });
    assert!(matches!(refused.await, Err(Refusal::Mine)));
    let panicked = store.transact(move |tx| {
        tx.put(key("a"), text("1"))?;
        if tx.get(&key("absent"))?.is_none() {
            panic!("on purpose");
        }
        Ok::<(), Refusal>(())
    });
    match panicked.await {
        Err(Refusal::Store(StoreError::Unavailable(cause))) => assert!(cause.contains("on purpose"), "{cause}"),
        other => panic!("{other:?}"),
    }
    let panicked = store.read(|_| -> Result<()> { panic!("on purpose") }).await;
    assert!(matches!(panicked, Err(StoreError::Unavailable(_))));
    assert_eq!(get(store, key("a")).await, None);
    let log = store.read(move |read| read.range(&Range::prefix(&key("log")), Order::Ascending, 1)).await.unwrap();
    assert_eq!(log, []);
}

async fn a_read_sees_one_point_in_time(store: &Store) {
    let key = |name| key(0x1004, name);
    store.transact(move |tx| tx.put(key("a"), text("old"))).await.unwrap();
    let (begun, hear_begun) = std::sync::mpsc::channel();
    let (go_on, hear_go_on) = std::sync::mpsc::channel::<()>();
    let reading = store.read(move |read| {
        let first = read.get(&key("a"))?;
        begun.send(()).unwrap();
        hear_go_on.recv().unwrap();
        let second = read.get(&key("a"))?;
        let range = read.range(&Range::prefix(&Table(0x1004).key()), Order::Ascending, 10)?;
        Ok::<_, StoreError>((first, second, range.len()))
    });
    let writing = async {
        tokio::task::spawn_blocking(move || hear_begun.recv().unwrap()).await.unwrap();
        let write = store.transact(move |tx| {
            tx.put(key("a"), text("new"))?;
            tx.put(key("b"), text("new"))
        });
        write.await.unwrap();
        go_on.send(()).unwrap();
    };
    let (read, ()) = tokio::join!(reading, writing);
    assert_eq!(read.unwrap(), (Some(text("old")), Some(text("old")), 1));
    assert_eq!(get(store, key("a")).await, Some(text("new")), "a later read sees what was acknowledged");
}

async fn wakes_come_after_the_commit_only(store: &Store) {
    let key = |name| key(0x1005, name);
    let mut subscription = store.subscribe("basics/a");
    let refused = store.transact(move |tx| {
        tx.wake("basics/a");
        tx.put(key("a"), text("1"))?;
        Err::<(), _>(Refusal::Mine)
    });
    assert!(refused.await.is_err());
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let written = store.transact(move |tx| {
        counted.fetch_add(1, Ordering::Relaxed);
        tx.wake("basics/a");
        tx.put(key("b"), text("1"))
    });
    written.await.unwrap();
    assert!(runs.load(Ordering::Relaxed) >= 1);
    soon("the wake-up", subscription.woken()).await;
    assert_eq!(get(store, key("b")).await, Some(text("1")));
    let only_wake = store.transact(|tx| {
        tx.wake("basics/a");
        Ok::<_, StoreError>(())
    });
    only_wake.await.unwrap();
    soon("the wake-up of a transaction without writes", subscription.woken()).await;
}
