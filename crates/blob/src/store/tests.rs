//! Tests of the content store on real folders.

use super::*;
use std::fs;

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn keys(found: &[BlobInfo]) -> Vec<&str> {
    found.iter().map(|info| info.key.as_str()).collect()
}

#[tokio::test]
async fn content_is_found_by_its_hash_and_pieces_make_the_same_blob() {
    let blobs = Blobs::temporary().unwrap();
    let id = blobs.put("hello").await.unwrap();
    assert_eq!(id.digits(), HELLO);
    assert_eq!(blobs.put("hello").await.unwrap(), id, "again");
    let writer = blobs.writer().await.unwrap().write("hel").await.unwrap().write("lo").await.unwrap();
    assert_eq!(writer.size_bytes(), 5);
    assert_eq!(writer.finish().await.unwrap(), id);
    let other = blobs.put("other").await.unwrap();
    let mut both = [id.as_ref(), other.as_ref()];
    both.sort_unstable();
    assert_eq!(keys(&blobs.list("sha256/", None, 10).await.unwrap()), both);
    assert_eq!(keys(&blobs.list("sha256/", Some(both[0]), 10).await.unwrap()), both[1..]);
    assert_eq!(keys(&blobs.list(id.as_ref(), None, 10).await.unwrap()), [id.as_ref()]);
    assert_eq!(blobs.get(&id).await.unwrap(), "hello");
    assert_eq!(blobs.size(&id).await.unwrap(), 5);
    assert!(blobs.delete(&id).await.unwrap());
    assert!(!blobs.delete(&id).await.unwrap());
    assert!(!blobs.exists(&id).await.unwrap());
    assert!(matches!(blobs.get(&id).await, Err(BlobError::NotFound { .. })));
}

#[tokio::test]
async fn ranges_lie_within_the_blob() {
    let blobs = Blobs::temporary().unwrap();
    blobs.put_named("logs/a", "0123456789").await.unwrap();
    assert_eq!(blobs.get_range("logs/a", 3, 4).await.unwrap(), "3456");
    assert_eq!(blobs.get_range("logs/a", 10, 0).await.unwrap(), "");
    for (offset, bytes) in [(0, 11), (10, 1), (11, 0), (u64::MAX, 2)] {
        let result = blobs.get_range("logs/a", offset, bytes).await;
        assert!(matches!(result, Err(BlobError::InvalidRange { size: 10, .. })), "{offset}+{bytes}: {result:?}");
    }
}

#[tokio::test]
async fn named_blobs_are_replaced_listed_in_order_and_leave_no_folders() {
    let blobs = Blobs::temporary().unwrap();
    for key in ["logs/b/2", "logs/b/10", "logs/b", "logs/a-b/1", "logs/a/1", "other"] {
        blobs.put_named(key, "old").await.unwrap();
        blobs.put_named(key, key.to_owned()).await.unwrap();
    }
    let all = blobs.list("", None, 100).await.unwrap();
    assert_eq!(keys(&all), ["logs/a-b/1", "logs/a/1", "logs/b", "logs/b/10", "logs/b/2", "other"]);
    assert_eq!(all[0].size_bytes, 10);
    assert!(all[0].written_at_ms > 1_700_000_000_000, "{}", all[0].written_at_ms);
    assert_eq!(keys(&blobs.list("logs/b", None, 100).await.unwrap()), ["logs/b", "logs/b/10", "logs/b/2"]);
    assert_eq!(keys(&blobs.list("logs/b/", Some("logs/b/10"), 100).await.unwrap()), ["logs/b/2"]);
    assert_eq!(keys(&blobs.list("logs/", Some("logs/a-b/1"), 2).await.unwrap()), ["logs/a/1", "logs/b"]);
    assert!(blobs.list("nothing", None, 100).await.unwrap().is_empty());
    assert!(matches!(blobs.put_named("logs/../x", "").await, Err(BlobError::InvalidKey { .. })));
    for info in all {
        assert!(blobs.delete(&info.key).await.unwrap());
    }
    assert!(!blobs.inner.root.path.join("named").exists());
    blobs.put_named("logs/a/1", "new").await.unwrap();
    assert_eq!(blobs.get("logs/a/1").await.unwrap(), "new");
}

#[tokio::test]
async fn drafts_are_swept_and_a_dropped_writer_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let options = BlobsOptions { free_bytes_reserve: 0 };
    let drafts = folder.path().join("drafts");
    fs::create_dir_all(&drafts).unwrap();
    fs::write(drafts.join("left"), "by a crash").unwrap();
    let blobs = Blobs::open(folder.path(), options).unwrap();
    assert_eq!(fs::read_dir(&drafts).unwrap().count(), 0);
    drop(blobs.writer().await.unwrap().write("unfinished").await.unwrap());
    assert!(blobs.writer().await.unwrap().finish_named("../x").await.is_err());
    assert_eq!(fs::read_dir(&drafts).unwrap().count(), 0);
    blobs.put_named("kept", "1").await.unwrap();
    assert!(matches!(Blobs::open(folder.path(), options), Err(BlobError::FolderInUse { .. })));
    drop(blobs);
    let again = Blobs::open(folder.path(), options).unwrap();
    assert_eq!(again.get("kept").await.unwrap(), "1");
}

#[tokio::test]
async fn below_the_reserve_writes_are_refused_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path(), BlobsOptions { free_bytes_reserve: 0 }).unwrap();
    blobs.put_named("kept", "1").await.unwrap();
    drop(blobs);
    let full = Blobs::open(folder.path(), BlobsOptions { free_bytes_reserve: u64::MAX }).unwrap();
    assert!(matches!(full.put("new").await, Err(BlobError::DiskFull { .. })));
    assert!(matches!(full.put_named("new", "2").await, Err(BlobError::DiskFull { .. })));
    let writer = full.writer().await.unwrap();
    assert!(matches!(writer.write("3").await, Err(BlobError::DiskFull { .. })));
    assert_eq!(full.get("kept").await.unwrap(), "1");
    assert!(full.delete("kept").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_puts_and_deletes_in_one_folder_do_not_disturb_each_other() {
    let blobs = Blobs::temporary().unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let blobs = blobs.clone();
            tokio::spawn(async move {
                for round in 0..40 {
                    let key = format!("logs/shared/{}/{task}", task % 3);
                    blobs.put_named(&key, round.to_string()).await.unwrap();
                    assert_eq!(blobs.get(&key).await.unwrap(), round.to_string());
                    assert!(blobs.delete(&key).await.unwrap());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(blobs.list("", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_temporary_store_vanishes_with_its_last_handle() {
    let blobs = Blobs::temporary().unwrap();
    let root = blobs.inner.root.path.clone();
    blobs.put("x").await.unwrap();
    drop(blobs);
    assert!(!root.exists());
}

#[tokio::test]
async fn links_outlive_removals_which_wait_while_they_are_held() {
    let parent = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&parent.path().join("blobs"), BlobsOptions { free_bytes_reserve: 0 }).unwrap();
    blobs.put_named("a/b", "named").await.unwrap();
    let id = blobs.put("content").await.unwrap();
    let held = blobs.hold_removals().await;
    let removal = tokio::spawn({
        let blobs = blobs.clone();
        async move { blobs.delete("a/b").await.unwrap() }
    });
    let links = parent.path().join("links");
    std::fs::create_dir(&links).unwrap();
    blobs.link_all(&links).unwrap();
    assert!(!removal.is_finished());
    drop(held);
    assert!(removal.await.unwrap());
    assert_eq!(std::fs::read_to_string(links.join("named/a/b~")).unwrap(), "named");
    let content = links.join("sha256").join(&id.digits()[..2]).join(format!("{}~", id.digits()));
    assert_eq!(std::fs::read_to_string(content).unwrap(), "content");
}
