//! Row 10: asynchronous invocations accepted durably per second, against the store's own group commit.

use super::{Context, spread};
use crate::load;
use crate::report::{Better, Goal, Row};
use crate::target::{Function, Target};
use bytes::Bytes;
use gust_store::{Store, StoreError, StoreOptions, Table};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 256;
const EVENT: &[u8] = br#"{"hello":"world","number":42}"#;
/// About what gust writes for one event: the head of the record and the event.
const RECORD_BYTES: usize = 420;
/// A table that no part of gust uses.
const TABLE: Table = Table(0xfffe);

/// Commits of one record each per second, by as many writers as there are connections.
fn commits_per_second(duration: Duration) -> io::Result<f64> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rate = runtime.block_on(async {
        let store = Store::open_fjall(folder.path(), StoreOptions::default()).map_err(io::Error::other)?;
        let (done, stop_at) = (Arc::new(AtomicU64::new(0)), Instant::now() + duration);
        let begun = Instant::now();
        let writers: Vec<_> =
            (0..CONNECTIONS).map(|_| tokio::spawn(write(store.clone(), done.clone(), stop_at))).collect();
        for writer in writers {
            writer.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        }
        let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
        store.close().await.map_err(io::Error::other)?;
        Ok::<_, io::Error>(rate)
    })?;
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(rate)
}

async fn write(store: Store, done: Arc<AtomicU64>, stop_at: Instant) -> Result<(), StoreError> {
    let record = Bytes::from(vec![b'x'; RECORD_BYTES]);
    while Instant::now() < stop_at {
        let record = record.clone();
        let log = TABLE.key().text("events");
        store.transact(move |tx| tx.append(&log, record.clone()).map(drop)).await.map(drop)?;
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Measures the row.
pub fn rows(context: &Context) -> io::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let flags = context.flags()?;
    let target = Target::start(&context.gust, folder.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>())?;
    target.create(&Function {
        name: "accept",
        runtime: &context.python_runtime,
        handler: "app.handler",
        files: &[("app.py", b"def handler(event, context):\n    return None\n", 0o644)],
    })?;
    let request = target.invocation("accept", "Event", EVENT);
    let (mut values, mut floors, mut p99_ms) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        floors.push(commits_per_second(context.load)?);
        let samples = load::run(target.address, &request, 202, CONNECTIONS, context.load);
        if samples.errors > 0 {
            return Err(io::Error::other(format!("{} events were not accepted", samples.errors)));
        }
        values.push(samples.rate());
        p99_ms.push(samples.quantile_us(0.99) / 1e3);
    }
    context.keep("accept-per-second", &values)?;
    context.keep("accept-commit-per-second", &floors)?;
    let ((value, ..), (floor, ..), (p99, ..)) = (spread(&values), spread(&floors), spread(&p99_ms));
    let (goals, reached) =
        Goal { must: 0.25, moon: 0.6, better: Better::Higher, unit: "x commit" }.judge(value / floor);
    Ok(vec![Row {
        number: "10",
        what: "asynchronous invokes accepted durably per second, 256 connections, while they run".to_owned(),
        value: format!("{value:.0}/s"),
        floor: format!("{floor:.0}/s"),
        ratio: Some(value / floor),
        goals,
        reached,
        detail: format!("p99 {p99:.0} ms"),
    }])
}
