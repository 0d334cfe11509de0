//! Several stores on one database, and a database that crashes under them.

use crate::basics::{key, text};
use crate::cluster::Cluster;
use crate::{options, soon};
use gust_store::{Order, Range, Store, StoreError};
use std::collections::BTreeSet;

pub async fn run(cluster: Cluster) {
    let config = cluster.config();
    let one = Store::connect_postgres_with(&config, &options()).await.unwrap();
    let two = Store::connect_postgres_with(&config, &options()).await.unwrap();
    a_wake_reaches_the_other_node(&one, &two).await;
    a_crash_loses_and_doubles_nothing(&one, &two, cluster).await;
    one.close().await.unwrap();
    two.close().await.unwrap();
}

/// Six times within 30 s: by polling alone, every 10 s, it would take longer.
async fn a_wake_reaches_the_other_node(one: &Store, two: &Store) {
    let mut subscription = two.subscribe("nodes/a");
    let rounds = async {
        for round in 0..6 {
            let value = text(&round.to_string());
            let written = one.transact(move |tx| {
                tx.wake("nodes/a");
                tx.put(key(0x4000, "a"), value.clone())
            });
            written.await.unwrap();
            while two.read(|read| read.get(&key(0x4000, "a"))).await.unwrap() != Some(text(&round.to_string())) {
                subscription.woken().await;
            }
            subscription.woken().await;
        }
    };
    soon("six wake-ups on the other node", rounds).await;
}

/// Commits whose answer a crash cut off are resolved or reported; none is lost, none is applied twice.
async fn a_crash_loses_and_doubles_nothing(one: &Store, two: &Store, cluster: Cluster) {
    let (acked, mut hear_acked) = tokio::sync::mpsc::channel(1_024);
    let writers: Vec<_> = (0..8u64)
        .map(|writer| {
            let store = if writer % 2 == 0 { one.clone() } else { two.clone() };
            let acked = acked.clone();
            tokio::spawn(async move {
                for number in 0..u64::MAX {
                    let name = format!("{writer}.{number}");
                    let value = text(&name);
                    let log = key(0x4001, &format!("log {}", writer % 3));
                    match store.transact(move |tx| tx.append(&log, value.clone()).map(|_| ())).await {
                        Ok(_) if acked.send(name).await.is_ok() => {}
                        Ok(_) => return,
                        // The server is down or has just gone down: not acknowledged.
                        Err(StoreError::Unavailable(_)) if acked.is_closed() => return,
                        Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    drop(acked);
    let mut names = Vec::new();
    let mut cluster = Some(cluster);
    while names.len() < 400 {
        names.push(soon("an acknowledgement", hear_acked.recv()).await.unwrap());
        if names.len() % 150 == 100 {
            let running = cluster.take().unwrap();
            cluster = Some(
                tokio::task::spawn_blocking(move || {
                    running.crash_and_restart();
                    running
                })
                .await
                .unwrap(),
            );
        }
    }
    hear_acked.close();
    while let Some(name) = hear_acked.recv().await {
        names.push(name);
    }
    for writer in writers {
        soon("the writers' end", writer).await.unwrap();
    }
    let mut logged = BTreeSet::new();
    for log in 0..3 {
        let prefix = key(0x4001, &format!("log {log}"));
        let found = one.read(move |read| read.range(&Range::prefix(&prefix), Order::Ascending, 10_000)).await.unwrap();
        for (_, value) in found {
            let name = String::from_utf8(value.to_vec()).unwrap();
            assert!(logged.insert(name.clone()), "{name} was applied twice");
        }
    }
    for name in names {
        assert!(logged.contains(&name), "{name} was acknowledged and is lost");
    }
}
