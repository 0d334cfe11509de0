//! Concurrent transactions: the anomalies that a serializable store must not show.

use crate::basics::{get, key, text};
use gust_store::{Order, Range, Store, StoreError, Table};
use std::sync::{Arc, Barrier};

pub async fn run(store: &Store) {
    write_skew(store).await;
    phantoms(store).await;
    phantom_beyond_a_limit(store).await;
    a_hot_counter_loses_no_update(store).await;
    an_error_of_the_closure_is_no_conflict(store).await;
}

/// Lets two transactions read before either writes, in their first runs; repetitions run freely.
#[derive(Clone)]
struct Meeting(Arc<Barrier>, Arc<std::sync::atomic::AtomicU32>);

impl Meeting {
    fn of_two() -> Meeting {
        Meeting(Arc::new(Barrier::new(2)), Arc::default())
    }

    fn once(&self) {
        use std::sync::atomic::Ordering;
        if self.1.fetch_add(1, Ordering::SeqCst) < 2 {
            self.0.wait();
        }
    }
}

/// Two doctors on call; each may leave if the other stays. Under snapshot isolation both would leave.
async fn write_skew(store: &Store) {
    let key = |name: &str| key(0x1200, name);
    for _ in 0..8 {
        let reset = store.transact(move |tx| {
            tx.put(key("anna"), text("on"))?;
            tx.put(key("bert"), text("on"))
        });
        reset.await.unwrap();
        let meeting = Meeting::of_two();
        let leave = |who: &'static str| {
            let meeting = meeting.clone();
            store.transact(move |tx| {
                let found = tx.get_many(&[key("anna"), key("bert")])?;
                meeting.once();
                if found.iter().flatten().filter(|state| **state == "on").count() == 2 {
                    tx.put(key(who), text("off"))?;
                }
                Ok::<_, StoreError>(())
            })
        };
        let (anna, bert) = tokio::join!(leave("anna"), leave("bert"));
        anna.unwrap();
        bert.unwrap();
        let on = [get(store, key("anna")).await, get(store, key("bert")).await];
        assert_eq!(on.iter().flatten().filter(|state| **state == "on").count(), 1);
    }
}

/// Each takes a free room if a range shows none taken; both must not find it empty.
async fn phantoms(store: &Store) {
    for round in 0..8u64 {
        let prefix = Table(0x1201).key().number(round);
        let meeting = Meeting::of_two();
        let book = |who: &'static str| {
            let (prefix, meeting) = (prefix.clone(), meeting.clone());
            store.transact(move |tx| {
                let taken = tx.range(&Range::prefix(&prefix), Order::Ascending, 10)?;
                meeting.once();
                if taken.is_empty() {
                    tx.put(prefix.clone().text(who), text("booked"))?;
                }
                Ok::<_, StoreError>(taken.is_empty())
            })
        };
        let (one, two) = tokio::join!(book("one"), book("two"));
        assert_ne!(one.unwrap().value, two.unwrap().value, "exactly one may book");
    }
}

/// A read that was ended by its limit depends on nothing beyond its last pair, but on all before it.
async fn phantom_beyond_a_limit(store: &Store) {
    let prefix = Table(0x1202).key();
    let item = |number: u64| Table(0x1202).key().number(number);
    store.transact(move |tx| tx.put(item(5), text("first"))).await.unwrap();
    let meeting = Meeting::of_two();
    let takes_first = {
        let (prefix, meeting) = (prefix.clone(), meeting.clone());
        store.transact(move |tx| {
            let first = tx.range(&Range::prefix(&prefix), Order::Ascending, 1)?;
            meeting.once();
            let taken = first[0].0.clone();
            tx.delete(taken.clone())?;
            Ok::<_, StoreError>(taken)
        })
    };
    let inserts_earlier = {
        let (prefix, meeting) = (prefix.clone(), meeting.clone());
        store.transact(move |tx| {
            let earlier = tx.range(&Range { start: prefix.clone(), end: Some(item(5)) }, Order::Descending, 1)?;
            meeting.once();
            assert_eq!(earlier, []);
            tx.put(item(3), text("earlier"))
        })
    };
    let (taken, inserted) = tokio::join!(takes_first, inserts_earlier);
    inserted.unwrap();
    let taken = taken.unwrap().value;
    let left = store.read(move |read| read.range(&Range::prefix(&prefix), Order::Ascending, 10)).await.unwrap();
    let left: Vec<_> = left.into_iter().map(|(key, _)| key).collect();
    // Taken before the insert: 5 is gone and 3 stays. After it: 3 is gone and 5 stays. Both are serial.
    assert!((taken == item(5) && left == [item(3)]) || (taken == item(3) && left == [item(5)]), "{taken:?} {left:?}");
}

async fn a_hot_counter_loses_no_update(store: &Store) {
    let counter = key(0x1203, "counter");
    let adders: Vec<_> = (0..16)
        .map(|_| {
            let (store, counter) = (store.clone(), counter.clone());
            tokio::spawn(async move {
                for _ in 0..10 {
                    let counter = counter.clone();
                    let added = store.transact(move |tx| {
                        let number: u64 =
                            tx.get(&counter)?.map_or(0, |value| String::from_utf8_lossy(&value).parse().unwrap());
                        tx.put(counter.clone(), (number + 1).to_string().into())
                    });
                    added.await.unwrap();
                }
            })
        })
        .collect();
    for adder in adders {
        adder.await.unwrap();
    }
    assert_eq!(get(store, counter).await.unwrap(), "160");
}

async fn an_error_of_the_closure_is_no_conflict(store: &Store) {
    #[derive(Debug, PartialEq)]
    struct NotThere;
    impl From<StoreError> for NotThere {
        fn from(error: StoreError) -> NotThere {
            panic!("{error}")
        }
    }
    let asked = store.transact(|tx| tx.get(&key(0x1204, "absent"))?.ok_or(NotThere)).await;
    assert_eq!(asked.unwrap_err(), NotThere);
}
