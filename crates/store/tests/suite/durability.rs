//! What must hold across processes: kill -9, reopening, a second gust, a full disk.

use crate::basics::{get, key, text};
use crate::options;
use gust_store::{Key, Order, Range, Store, StoreError, StoreOptions, Table};
use gust_types::{Ids, SystemIds};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "GUST_STORE_CRASH_FOLDER";
const ROUND: &str = "GUST_STORE_CRASH_ROUND";
const ROUNDS: u64 = 4;
const WRITERS: u64 = 16;

fn left(round: u64, writer: u64, number: u64) -> Key {
    Table(0x3000).key().number(round).number(writer).number(number)
}

fn right(round: u64, writer: u64, number: u64) -> Key {
    Table(0x3001).key().number(writer).number(number).number(round)
}

fn log() -> Key {
    Table(0x3002).key()
}

/// Writes until it is killed, and prints a line for each acknowledged transaction.
#[test]
#[ignore = "this is the process that kill_9_loses_nothing_acknowledged kills"]
fn crash_child() {
    let folder = std::env::var_os(FOLDER).expect("the parent says where");
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open_fjall(Path::new(&folder), options()).unwrap();
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| tokio::spawn(write_for_ever(store.clone(), round, writer))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

async fn write_for_ever(store: Store, round: u64, writer: u64) {
    for number in 0.. {
        let name = format!("{round} {writer} {number}");
        let value = text(&name);
        let committed = store.transact(move |tx| {
            tx.put(left(round, writer, number), value.clone())?;
            tx.put(right(round, writer, number), value.clone())?;
            tx.append(&log(), value.clone()).map(|_| ())
        });
        let stamp = committed.await.unwrap().stamps[0];
        // One call, so that a kill cannot tear a line that is complete.
        std::io::stdout().write_all(format!("acked {name} {stamp}\n").as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn kill_9_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acked = Vec::new();
    for round in 0..ROUNDS {
        let mut random = [0u8; 2];
        SystemIds.fill(&mut random);
        let kill_after = 20 + usize::from(u16::from_le_bytes(random)) % 800;
        let before = acked.len();
        acked.extend(run_and_kill(folder.path(), round, kill_after));
        assert!(acked.len() >= before + kill_after, "the child wrote only {} of {kill_after}", acked.len() - before);
        let store = Store::open_fjall(folder.path(), options()).unwrap();
        check_acked(&store, &acked).await;
        check_whole(&store).await;
        store.close().await.unwrap();
    }
}

/// Lets a child write until `kill_after` acknowledgements were seen, kills it, and returns all that came.
fn run_and_kill(folder: &Path, round: u64, kill_after: usize) -> Vec<(String, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "durability::crash_child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acked = Vec::new();
    let parse = |line: String| {
        let (name, stamp) = line.strip_prefix("acked ")?.rsplit_once(' ')?;
        Some((name.to_owned(), stamp.parse().ok()?))
    };
    while acked.len() < kill_after {
        match lines.next() {
            Some(line) => acked.extend(parse(line)),
            None => break,
        }
    }
    child.kill().unwrap();
    let rest: Vec<String> = lines.collect();
    child.wait().unwrap();
    // The last line may be torn; then it was no acknowledgement that anybody could rely on.
    acked.extend(rest.into_iter().filter_map(parse).take_while(|(name, _)| name.split(' ').count() == 3));
    acked
}

async fn check_acked(store: &Store, acked: &[(String, u64)]) {
    for (name, stamp) in acked {
        let numbers: Vec<u64> = name.split(' ').map(|number| number.parse().unwrap()).collect();
        let [round, writer, number] = numbers[..] else { panic!("{name}") };
        let keys = vec![left(round, writer, number), right(round, writer, number), log().number(*stamp)];
        let found = store.read(move |read| read.get_many(&keys)).await.unwrap();
        assert!(
            found.iter().all(|value| value.as_ref().is_some_and(|value| *value == name)),
            "{name} was acknowledged: {found:?}"
        );
    }
}

/// A transaction is there as a whole or not at all, and the log has no gap.
async fn check_whole(store: &Store) {
    let count = |prefix: Key| async move {
        let (mut count, mut last) = (0, prefix.clone());
        loop {
            let range = Range::prefix_after(&prefix, &last);
            let found = store.read(move |read| read.range(&range, Order::Ascending, 1_000)).await.unwrap();
            let Some((key, _)) = found.last() else { return (count, last) };
            count += found.len() as u64;
            last = key.clone();
        }
    };
    let (lefts, _) = count(Table(0x3000).key()).await;
    let (rights, _) = count(Table(0x3001).key()).await;
    let (logged, last) = count(log()).await;
    assert_eq!((lefts, rights), (logged, logged));
    assert_eq!(last, log().number(logged));
}

#[tokio::test]
async fn a_reopened_store_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let log = key(0x3100, "log");
    for expected in 1..=3u64 {
        let store = Store::open_fjall(folder.path(), options()).unwrap();
        let second = Store::open_fjall(folder.path(), options());
        assert!(matches!(second.err(), Some(StoreError::FolderInUse { .. })));
        let log = log.clone();
        let appended = store.transact(move |tx| tx.append(&log, text("x")).map(|_| ())).await.unwrap();
        assert_eq!(appended.stamps, [expected]);
        store.close().await.unwrap();
        let closed = store.transact(|tx| tx.put(key(0x3100, "late"), text("x"))).await;
        assert!(matches!(closed, Err(StoreError::Unavailable(_))));
        let closed = store.read(|read| read.get(&key(0x3100, "late"))).await;
        assert!(matches!(closed, Err(StoreError::Unavailable(_))));
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_folder_of_a_newer_gust_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("format"), "gust 7\n").unwrap();
    let refused = Store::open_fjall(folder.path(), options()).err();
    assert!(matches!(refused, Some(StoreError::FormatTooNew { found: 7, known: 1 })), "{refused:?}");
    assert!(!folder.path().join("data").exists());
}

#[tokio::test]
async fn below_the_reserve_writes_are_refused_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_fjall(folder.path(), options()).unwrap();
    store.transact(|tx| tx.put(key(0x3101, "a"), text("1"))).await.unwrap();
    store.close().await.unwrap();
    let full = StoreOptions { free_bytes_reserve: u64::MAX, ..options() };
    let store = Store::open_fjall(folder.path(), full).unwrap();
    let refused = store.transact(|tx| tx.put(key(0x3101, "b"), text("2"))).await;
    assert!(matches!(refused, Err(StoreError::DiskFull { .. })), "{refused:?}");
    assert_eq!(get(&store, key(0x3101, "a")).await, Some(text("1")));
    let read_only = store.transact(|tx| tx.get(&key(0x3101, "b"))).await.unwrap();
    assert_eq!(read_only.value, None);
    store.close().await.unwrap();
}
