//! Appends: stamps in commit order, without gaps that a reader could miss.

use crate::basics::{get, key, text};
use gust_store::{Key, Order, Range, Store, StoreError, Table};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub async fn run(store: &Store) {
    stamps_grow_and_fill_keys(store).await;
    a_follower_misses_nothing(store).await;
    stamps_are_not_given_twice_after_deletion(store).await;
}

async fn stamps_grow_and_fill_keys(store: &Store) {
    let (a, b) = (key(0x1300, "a"), key(0x1300, "b"));
    let (log_a, log_b) = (a.clone(), b.clone());
    let first = store.transact(move |tx| {
        tx.append(&log_a, text("a1"))?;
        tx.append(&log_b, text("b1"))?;
        let stamp = tx.append(&log_a, text("a2"))?;
        tx.put_stamped(stamp, Table(0x1301).key().text("by stamp"), b"/suffix", text("index"))
    });
    let first = first.await.unwrap().stamps;
    assert_eq!(first, [1, 1, 2]);
    let index = Table(0x1301).key().text("by stamp").number(2).bytes(b"/suffix");
    assert_eq!(get(store, index).await, Some(text("index")));
    let log_a = a.clone();
    let second = store.transact(move |tx| tx.append(&log_a, text("a3")).map(|_| ())).await.unwrap();
    assert_eq!(second.stamps, [3]);
    let log_a = a.clone();
    let found = store.read(move |read| read.range(&Range::prefix(&log_a), Order::Ascending, 10)).await.unwrap();
    let expected = [(1, "a1"), (2, "a2"), (3, "a3")].map(|(stamp, value)| (a.clone().number(stamp), text(value)));
    assert_eq!(found, expected);
}

/// Several append at once while a reader follows: what it saw last is never overtaken by a smaller stamp.
async fn a_follower_misses_nothing(store: &Store) {
    let log = key(0x1302, "log");
    let done = Arc::new(AtomicBool::new(false));
    let follower = {
        let (store, log, done) = (store.clone(), log.clone(), done.clone());
        tokio::spawn(async move { follow(&store, log, &done).await })
    };
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (store, log) = (store.clone(), log.clone());
            tokio::spawn(async move {
                let mut stamps = Vec::new();
                for _ in 0..15 {
                    let log = log.clone();
                    let appended = store.transact(move |tx| {
                        tx.wake("log followed");
                        tx.append(&log, text("x")).map(|_| ())
                    });
                    stamps.extend(appended.await.unwrap().stamps);
                }
                stamps
            })
        })
        .collect();
    let mut given = Vec::new();
    for writer in writers {
        let stamps = writer.await.unwrap();
        assert!(stamps.is_sorted(), "a later commit has a later stamp");
        given.extend(stamps);
    }
    done.store(true, Ordering::SeqCst);
    store.wake("log followed");
    given.sort_unstable();
    let seen = crate::soon("the follower's end", follower).await.unwrap();
    assert_eq!(seen, given);
    assert_eq!(given, (1..=60).collect::<Vec<u64>>());
}

async fn follow(store: &Store, log: Key, done: &AtomicBool) -> Vec<u64> {
    let mut woken = store.subscribe("log followed");
    let mut seen = Vec::new();
    let mut last = log.clone();
    loop {
        let finished = done.load(Ordering::SeqCst);
        let range = Range::prefix_after(&log, &last);
        let found = store.read(move |read| read.range(&range, Order::Ascending, 7)).await.unwrap();
        for (key, _) in &found {
            let stamp = key.as_bytes()[log.as_bytes().len()..].try_into().unwrap();
            seen.push(u64::from_be_bytes(stamp));
        }
        match found.last() {
            Some((key, _)) => last = key.clone(),
            None if finished => return seen,
            None => woken.woken().await,
        }
    }
}

async fn stamps_are_not_given_twice_after_deletion(store: &Store) {
    let log = key(0x1303, "trimmed");
    let append = || {
        let log = log.clone();
        store.transact(move |tx| tx.append(&log, text("x")).map(|_| ()))
    };
    assert_eq!(append().await.unwrap().stamps, [1]);
    assert_eq!(append().await.unwrap().stamps, [2]);
    let trimmed = log.clone();
    let deleted = store.transact(move |tx| {
        for (key, _) in tx.range(&Range::prefix(&trimmed), Order::Ascending, 10)? {
            tx.delete(key)?;
        }
        Ok::<_, StoreError>(())
    });
    deleted.await.unwrap();
    assert_eq!(append().await.unwrap().stamps, [3]);
}
