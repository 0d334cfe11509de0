//! Random histories of concurrent transactions, checked against a model.
//!
//! Each transaction that writes also appends to one log, whose stamps are then the serial order. Replayed
//! in that order on a map, every transaction must have read exactly what the map holds at its turn. One
//! that only reads must have seen the map as it was at some moment of its life.

use crate::basics::text;
use gust_store::{Key, Order, Range, Store, StoreError, Table, Tx};
use gust_types::{Ids, SeededIds};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const KEYS: u64 = 6;

/// How much is run.
#[derive(Clone, Copy)]
pub struct Size {
    pub histories: u64,
    pub workers: u64,
    pub transactions: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Get(u64),
    Range { start: u64, end: u64, limit: usize, order: Order },
    Put(u64, String),
    Delete(u64),
}

#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Value(Option<String>),
    Pairs(Vec<(u64, String)>),
}

/// What one transaction did and saw.
#[derive(Debug)]
struct Record {
    steps: Arc<Vec<Step>>,
    seen: Vec<Seen>,
    /// Its place in the serial order; `None` if it wrote nothing.
    stamp: Option<u64>,
    /// The greatest stamp acknowledged before it began, and before it ended.
    life: (u64, u64),
}

pub async fn run(store: &Store, size: Size) {
    for seed in 0..size.histories {
        let records = record(store, seed, size).await;
        check(seed, records);
    }
}

async fn record(store: &Store, seed: u64, size: Size) -> Vec<Record> {
    let newest = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..size.workers)
        .map(|worker| {
            let (store, newest) = (store.clone(), newest.clone());
            tokio::spawn(async move {
                let random = SeededIds::new(seed * 1_000 + worker);
                let mut records = Vec::new();
                for transaction in 0..size.transactions {
                    let steps = Arc::new(steps(&random, &format!("{worker}.{transaction}")));
                    let begun = newest.load(Ordering::SeqCst);
                    let (seen, stamp) = transact(&store, seed, steps.clone()).await;
                    if let Some(stamp) = stamp {
                        newest.fetch_max(stamp, Ordering::SeqCst);
                    }
                    records.push(Record { steps, seen, stamp, life: (begun, newest.load(Ordering::SeqCst)) });
                }
                records
            })
        })
        .collect();
    let mut records = Vec::new();
    for worker in workers {
        records.extend(worker.await.unwrap());
    }
    records
}

fn steps(random: &dyn Ids, name: &str) -> Vec<Step> {
    let below = |bound: u64| {
        let mut bytes = [0u8; 8];
        random.fill(&mut bytes);
        u64::from_le_bytes(bytes) % bound
    };
    let only_reads = below(5) == 0;
    let step = |index: u64| match below(if only_reads { 4 } else { 8 }) {
        0 | 1 => Step::Get(below(KEYS)),
        2 | 3 => {
            let order = if below(2) == 0 { Order::Ascending } else { Order::Descending };
            let limit = usize::try_from(below(4) + 1).unwrap();
            Step::Range { start: below(KEYS), end: below(KEYS + 1), limit, order }
        }
        4 => Step::Delete(below(KEYS)),
        _ => Step::Put(below(KEYS), format!("{name}.{index}")),
    };
    (0..=below(5)).map(step).collect()
}

fn item(seed: u64, number: u64) -> Key {
    Table(0x2000).key().number(seed).number(number)
}

fn number(key: &Key) -> u64 {
    let mut parts = key.parts();
    parts.number().unwrap();
    parts.number().unwrap()
}

fn apply(tx: &mut dyn Tx, seed: u64, step: &Step) -> Result<Option<Seen>, StoreError> {
    let string = |value: bytes::Bytes| String::from_utf8(value.to_vec()).unwrap();
    Ok(match step {
        Step::Get(key) => Some(Seen::Value(tx.get(&item(seed, *key))?.map(string))),
        Step::Range { start, end, limit, order } => {
            let range = Range { start: item(seed, *start), end: Some(item(seed, *end)) };
            let pairs = tx.range(&range, *order, *limit)?;
            Some(Seen::Pairs(pairs.into_iter().map(|(key, value)| (number(&key), string(value))).collect()))
        }
        Step::Put(key, value) => tx.put(item(seed, *key), text(value)).map(|()| None)?,
        Step::Delete(key) => tx.delete(item(seed, *key)).map(|()| None)?,
    })
}

async fn transact(store: &Store, seed: u64, steps: Arc<Vec<Step>>) -> (Vec<Seen>, Option<u64>) {
    let log = Table(0x2001).key().number(seed);
    let writes = steps.iter().any(|step| matches!(step, Step::Put(..) | Step::Delete(_)));
    let committed = store.transact(move |tx| {
        let mut seen = Vec::new();
        for step in steps.iter() {
            seen.extend(apply(tx, seed, step)?);
            // Lets others in between.
            std::thread::yield_now();
        }
        if writes {
            tx.append(&log, text("x"))?;
        }
        Ok::<_, StoreError>(seen)
    });
    let committed = committed.await.unwrap();
    (committed.value, committed.stamps.first().copied())
}

type Model = BTreeMap<u64, String>;

/// What `steps` see on `model`, which they change.
fn replay(model: &mut Model, steps: &[Step]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for step in steps {
        match step {
            Step::Get(key) => seen.push(Seen::Value(model.get(key).cloned())),
            Step::Range { start, end, .. } if start >= end => seen.push(Seen::Pairs(Vec::new())),
            Step::Range { start, end, limit, order } => {
                let pairs = model.range(start..end).map(|(key, value)| (*key, value.clone()));
                seen.push(Seen::Pairs(match order {
                    Order::Ascending => pairs.take(*limit).collect(),
                    Order::Descending => pairs.rev().take(*limit).collect(),
                }));
            }
            Step::Put(key, value) => drop(model.insert(*key, value.clone())),
            Step::Delete(key) => drop(model.remove(key)),
        }
    }
    seen
}

fn check(seed: u64, records: Vec<Record>) {
    let (mut writers, readers): (Vec<Record>, Vec<Record>) =
        records.into_iter().partition(|record| record.stamp.is_some());
    writers.sort_by_key(|record| record.stamp);
    let mut states = vec![Model::new()];
    for (index, record) in writers.iter().enumerate() {
        assert_eq!(record.stamp, Some(index as u64 + 1), "seed {seed}: stamps are given once, without gaps");
        assert!(record.stamp > Some(record.life.0), "seed {seed}: what was acknowledged before comes before");
        let mut state = states[index].clone();
        assert_eq!(replay(&mut state, &record.steps), record.seen, "seed {seed}: {record:?} at {:?}", states[index]);
        states.push(state);
    }
    for record in readers {
        // One more may have committed than was acknowledged when it ended.
        let from = usize::try_from(record.life.0).unwrap();
        let fits = states[from..].iter().any(|state| replay(&mut state.clone(), &record.steps) == record.seen);
        assert!(fits, "seed {seed}: {record:?} saw no state since {from}");
    }
}
