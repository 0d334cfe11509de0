//! Export and import of a data folder: round trips, damage, and what is refused.

use super::*;
use gust_blob::{Blobs, BlobsOptions};
use gust_store::{Key, Order, Range, Store, StoreError, StoreOptions, Table};
use std::fs;
use std::path::{Path, PathBuf};

/// A store with pairs of all sizes, a log, and blobs.
async fn sources(folder: &Path) -> Sources {
    let store = Store::memory();
    for number in 0_u64..300 {
        let put = move |tx: &mut dyn gust_store::Tx| -> Result<(), StoreError> {
            let size = if number % 50 == 0 { 900_000 } else { 100 };
            let byte = u8::try_from(number % 251).unwrap();
            tx.put(Table(7).key().number(number), vec![byte; size].into())?;
            tx.append(&Table(8).key().text("log"), "event".into()).map(|_| ())
        };
        store.transact(put).await.unwrap();
    }
    let blobs = Blobs::open(&folder.join("blobs"), BlobsOptions { free_bytes_reserve: 0 }).unwrap();
    blobs.put_named("lambda/code/a", "package").await.unwrap();
    blobs.put_named("lambda/code/a/b", "").await.unwrap();
    blobs.put("content").await.unwrap();
    Sources { store, blobs }
}

async fn archive(folder: &Path) -> (Sources, PathBuf) {
    let sources = sources(folder).await;
    let scratch = folder.join("scratch");
    fs::create_dir(&scratch).unwrap();
    let bytes = write(sources.clone(), &scratch, Vec::new()).await.unwrap();
    let file = folder.join("archive");
    fs::write(&file, bytes).unwrap();
    (sources, file)
}

async fn all(store: &Store) -> Vec<(Key, bytes::Bytes)> {
    let read = |snapshot: &mut dyn gust_store::Read| {
        let everything = Range { start: Key::from_bytes(Vec::new()), end: None };
        snapshot.range(&everything, Order::Ascending, 10_000)
    };
    store.read(read).await.unwrap()
}

#[tokio::test]
async fn everything_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (sources, file) = archive(folder.path()).await;
    let target = folder.path().join("target");
    fs::create_dir(&target).unwrap();
    assert_eq!(check(&file).unwrap(), unpack(&file, &target).unwrap());
    let store = Store::open_fjall(&target.join("store"), StoreOptions::default()).unwrap();
    assert_eq!(all(&store).await, all(&sources.store).await);
    assert_eq!(store.counters().await.unwrap(), sources.store.counters().await.unwrap());
    let append = |tx: &mut dyn gust_store::Tx| tx.append(&Table(8).key().text("log"), "next".into());
    assert_eq!(store.transact(append).await.unwrap().stamps, [301], "no stamp is given twice");
    store.close().await.unwrap();
    let blobs = Blobs::open(&target.join("blobs"), BlobsOptions { free_bytes_reserve: 0 }).unwrap();
    assert_eq!(blobs.get("lambda/code/a").await.unwrap(), "package");
    assert_eq!(blobs.get("lambda/code/a/b").await.unwrap(), "");
    assert_eq!(blobs.list("sha256/", None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_damaged_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, file) = archive(folder.path()).await;
    let whole = fs::read(&file).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        check(&file).unwrap_err().message
    };
    for at in (0..whole.len()).step_by(whole.len() / 40 + 1) {
        let mut bent = whole.clone();
        bent[at] ^= 0x20;
        let message = refused(&bent);
        assert!(message.contains("damaged"), "{at}: {message}");
        assert!(refused(&whole[..at]).contains("damaged"), "cut at {at}");
    }
    assert!(refused(b"something else").contains("no archive"));
    fs::write(&file, &whole).unwrap();
    assert!(check(&file).is_ok());
}

/// An archive of these entries, well-formed as a tar.
fn made_of(entries: &[(&str, &[u8])], folder: &Path) -> PathBuf {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        // Past the library's own check of names.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    let file = folder.join("made");
    fs::write(&file, tar.into_inner().unwrap().finish().unwrap()).unwrap();
    file
}

fn manifest(version: u32, data_format: u32) -> Vec<u8> {
    let note = Manifest { kind: KIND.to_owned(), version, data_format, gust_version: "x".to_owned(), created_at_ms: 0 };
    serde_json::to_vec(&note).unwrap()
}

#[test]
fn a_newer_one_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for note in [manifest(ARCHIVE_VERSION + 1, 1), manifest(ARCHIVE_VERSION, 99)] {
        let failure = check(&made_of(&[(MANIFEST, &note)], folder.path())).unwrap_err();
        assert!(failure.message.contains("a newer gust wrote it"), "{failure}");
    }
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let note = manifest(ARCHIVE_VERSION, 1);
    for name in ["blobs/../../evil", "/etc/evil", "blobs//evil", "other/evil", "blobs/", "store/evil"] {
        let failure = check(&made_of(&[(MANIFEST, &note), (name, b"x")], folder.path())).unwrap_err();
        assert!(failure.message.contains("damaged"), "{name}: {failure}");
    }
    assert!(!folder.path().parent().unwrap().join("evil").exists());
}
