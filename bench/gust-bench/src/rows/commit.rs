//! The floor "commit": the store's own group commit with a record of the size that gust writes for an event.

use bytes::Bytes;
use gust_store::{Store, StoreError, StoreOptions, Table};
use std::io;
use std::time::{Duration, Instant};

/// About what gust writes for one event: the head of the record and the event.
const RECORD_BYTES: usize = 420;
/// A table that no part of gust uses.
const TABLE: Table = Table(0xfffe);

/// Commits by `writers` at once for `duration`. Returns commits per second, and each one's time in milliseconds.
pub fn run(writers: usize, sync_delay: Duration, duration: Duration) -> io::Result<(f64, Vec<f64>)> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let options = StoreOptions { sync_delay, ..StoreOptions::default() };
        let store = Store::open_fjall(folder.path(), options).map_err(io::Error::other)?;
        let begun = Instant::now();
        let stop_at = begun + duration;
        let tasks: Vec<_> = (0..writers).map(|_| tokio::spawn(write(store.clone(), stop_at))).collect();
        let mut times_ms = Vec::new();
        for task in tasks {
            times_ms.extend(task.await.map_err(io::Error::other)?.map_err(io::Error::other)?);
        }
        let rate = times_ms.len() as f64 / begun.elapsed().as_secs_f64();
        store.close().await.map_err(io::Error::other)?;
        Ok::<_, io::Error>((rate, times_ms))
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    outcome
}

async fn write(store: Store, stop_at: Instant) -> Result<Vec<f64>, StoreError> {
    let record = Bytes::from(vec![b'x'; RECORD_BYTES]);
    let mut times_ms = Vec::new();
    while Instant::now() < stop_at {
        let (record, begun) = (record.clone(), Instant::now());
        let log = TABLE.key().text("events");
        store.transact(move |tx| tx.append(&log, record.clone()).map(drop)).await.map(drop)?;
        times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times_ms)
}
