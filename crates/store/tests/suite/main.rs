//! One suite for all engines: memory, fjall in a temporary folder, a real PostgreSQL.

mod basics;
mod bounds;
mod cluster;
mod conflicts;
mod durability;
mod histories;
mod logs;
mod model;
mod nodes;

use gust_store::{Store, StoreError, StoreOptions};
use histories::Size;
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;

/// No reserve: the tests write little, and the machine's disk is not what they test.
fn options() -> StoreOptions {
    StoreOptions { free_bytes_reserve: 0, ..StoreOptions::default() }
}

/// Every case, on one store. Each keeps to tables of its own.
async fn run_all(store: &Store, histories: Size, sequences: u32) {
    basics::run(store).await;
    bounds::run(store).await;
    conflicts::run(store).await;
    logs::run(store).await;
    histories::run(store, histories).await;
    let (store, handle) = (store.clone(), Handle::current());
    tokio::task::spawn_blocking(move || model::check(&store, &handle, sequences)).await.unwrap();
}

/// Fails the test if `future` takes longer than 30 s: what waits for a wake-up must not hang.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(30), future).await;
    waited.unwrap_or_else(|_| panic!("{what} did not happen"))
}

type Result<T> = std::result::Result<T, StoreError>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    run_all(&Store::memory(), Size { histories: 60, workers: 8, transactions: 30 }, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fjall() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_fjall(folder.path(), options()).unwrap();
    run_all(&store, Size { histories: 12, workers: 8, transactions: 20 }, 20).await;
    store.close().await.unwrap();
}

/// The cluster starts once: this is the one test that needs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    let cluster = tokio::task::spawn_blocking(cluster::Cluster::start).await.unwrap();
    let store = Store::connect_postgres_with(&cluster.config(), &options()).await.unwrap();
    run_all(&store, Size { histories: 4, workers: 6, transactions: 15 }, 10).await;
    store.close().await.unwrap();
    nodes::run(cluster).await;
}
