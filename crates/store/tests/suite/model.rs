//! Random sequences of transactions against a plain map.

use crate::basics::text;
use gust_store::{Key, Order, Range, Store, StoreError, Table, Tx};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Range { start: u8, end: Option<u8>, limit: usize, descending: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0u8..24;
    prop_oneof![
        3 => (key.clone(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => key.clone().prop_map(Step::Delete),
        3 => (key, proptest::option::of(0u8..26), 0usize..30, any::<bool>())
            .prop_map(|(start, end, limit, descending)| Step::Range { start, end, limit, descending }),
    ]
}

fn item(number: u8) -> Key {
    Table(0xfff0).key().bytes(&[number])
}

/// One byte, so that the model's order is the store's. The table is the last one in use.
fn run_step(tx: &mut dyn Tx, model: &mut BTreeMap<u8, u8>, step: &Step) -> Result<(), StoreError> {
    match step {
        Step::Put(key, value) => {
            model.insert(*key, *value);
            tx.put(item(*key), text(&value.to_string()))
        }
        Step::Delete(key) => {
            model.remove(key);
            tx.delete(item(*key))
        }
        Step::Range { start, end, limit, descending } => {
            let range = Range { start: item(*start), end: end.map(item) };
            let order = if *descending { Order::Descending } else { Order::Ascending };
            let found: Vec<(Key, bytes::Bytes)> = tx.range(&range, order, *limit)?;
            let inside = model.iter().filter(|(key, _)| **key >= *start && end.is_none_or(|end| **key < end));
            let pair = |(key, value): (&u8, &u8)| (item(*key), text(&value.to_string()));
            let expected: Vec<_> = match order {
                Order::Ascending => inside.map(pair).take(*limit).collect(),
                Order::Descending => inside.rev().map(pair).take(*limit).collect(),
            };
            assert_eq!(found, expected, "{step:?}");
            Ok(())
        }
    }
}

/// Runs transactions of steps one after the other; every third is abandoned.
async fn run(store: &Store, transactions: Vec<Vec<Step>>) {
    let clear = store.transact(|tx| (0..26).try_for_each(|number| tx.delete(item(number))));
    clear.await.unwrap();
    let mut model = BTreeMap::new();
    for (index, steps) in transactions.into_iter().enumerate() {
        let before = model.clone();
        let committed = store.transact(move |tx| {
            let mut model = before.clone();
            for step in &steps {
                run_step(tx, &mut model, step)?;
            }
            if index % 3 == 2 { Err(StoreError::Unavailable("abandoned".to_owned())) } else { Ok(model) }
        });
        match committed.await {
            Ok(committed) => model = committed.value,
            Err(StoreError::Unavailable(cause)) if cause == "abandoned" => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// `cases` random sequences on one store.
pub fn check(store: &Store, runtime: &tokio::runtime::Handle, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let transactions = proptest::collection::vec(proptest::collection::vec(step(), 0..12), 0..8);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&transactions, |transactions| {
        runtime.block_on(run(store, transactions));
        Ok(())
    });
    result.unwrap();
}
