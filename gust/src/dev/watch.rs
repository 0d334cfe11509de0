//! Wakes when something in the watched folders changes.
//!
//! inotify only says *that* something happened; what it was is found by looking at the tree, which cannot be wrong after
//! lost events, renames or links. That is also why this is inotify itself and no library for watching: all that such a
//! library adds is to conclude what happened.

use crate::dev::tree::is_left_out;
use crate::failure::{Context, Failure};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout_at};

/// A save is over when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(15);
/// What goes on for longer than this is looked at in between.
const BUSY_MAX: Duration = Duration::from_millis(150);
/// Room for events: more that happen at a time are read in another turn.
const BUFFER_BYTES: usize = 16 * 1_024;

/// Follows a set of folders.
pub struct Watcher {
    descriptor: Arc<OwnedFd>,
    watched: HashMap<PathBuf, i32>,
    events: mpsc::Receiver<Result<(), Errno>>,
}

impl Watcher {
    /// A watcher of nothing.
    pub fn new() -> Result<Watcher, Failure> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC).context("cannot watch folders (inotify)")?;
        let descriptor = Arc::new(descriptor);
        // One is enough to wake; what it was is found by looking.
        let (sender, events) = mpsc::channel(1);
        let read = descriptor.clone();
        std::thread::spawn(move || read_events(&read, &sender));
        Ok(Watcher { descriptor, watched: HashMap::new(), events })
    }

    /// Watches exactly `folders` from now on. Returns whether one of them was not watched before: then something may
    /// have happened in it that was not seen.
    ///
    /// Errors: the machine's limit of watches is reached.
    pub fn follow(&mut self, folders: &BTreeSet<PathBuf>) -> Result<bool, Failure> {
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let descriptor = &*self.descriptor;
        self.watched.retain(|folder, watch| {
            let is_kept = folders.contains(folder);
            if !is_kept {
                // It fails if the folder is gone, and the watch with it.
                let _ = inotify::remove_watch(descriptor, *watch);
            }
            is_kept
        });
        let mut is_new = false;
        for folder in folders {
            // Every time: a folder that was removed and made again is another one under the same name.
            match inotify::add_watch(descriptor, folder, flags) {
                Ok(watch) => is_new |= self.watched.insert(folder.clone(), watch) != Some(watch),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {}
                Err(Errno::NOSPC) => {
                    let text = format!("this machine allows no more than {} watched folders", self.watched.len());
                    return Err(Failure::new(text).hint(
                        "raise it: sysctl fs.inotify.max_user_watches=524288, or leave folders out in .gustignore",
                    ));
                }
                Err(cause) => return Err(Failure::new(format!("cannot watch {}: {cause}", folder.display()))),
            }
        }
        Ok(is_new)
    }

    /// Waits until something has changed and saving is over; returns when it began.
    pub async fn changed(&mut self) -> Result<Instant, Failure> {
        self.event().await?;
        let began = Instant::now();
        loop {
            let quiet = (Instant::now() + QUIET).min(began + BUSY_MAX);
            match timeout_at(quiet, self.event()).await {
                Ok(event) if Instant::now() < began + BUSY_MAX => event?,
                _ => return Ok(began),
            }
        }
    }

    async fn event(&mut self) -> Result<(), Failure> {
        match self.events.recv().await {
            Some(Ok(())) => Ok(()),
            Some(Err(cause)) => Err(Failure::new(format!("cannot watch folders: {cause}"))),
            None => Err(Failure::new("cannot watch folders: its thread has ended")),
        }
    }
}

/// Wakes the watcher for every event that matters, until that is gone. A thread of its own, because there is no safe way
/// to have the reactor watch a descriptor of this kind.
fn read_events(descriptor: &OwnedFd, watcher: &mpsc::Sender<Result<(), Errno>>) {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = inotify::Reader::new(descriptor, &mut buffer);
    loop {
        let outcome = match reader.next() {
            Ok(event) => {
                let name = event.file_name().and_then(|name| name.to_str().ok());
                let is_lost = event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                if !is_lost && name.is_some_and(is_left_out) {
                    continue;
                }
                Ok(())
            }
            Err(Errno::INTR) => continue,
            Err(cause) => Err(cause),
        };
        match watcher.try_send(outcome) {
            // It will look anyhow.
            Ok(()) | Err(TrySendError::Full(Ok(()))) => {}
            Err(TrySendError::Full(Err(_)) | TrySendError::Closed(_)) => return,
        }
        if outcome.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_save_wakes_once_and_temporary_files_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut watcher = Watcher::new().unwrap();
        assert!(watcher.follow(&BTreeSet::from([path.to_owned()])).unwrap());
        assert!(!watcher.follow(&BTreeSet::from([path.to_owned()])).unwrap());
        fs::write(path.join(".app.py.swp"), "x").unwrap();
        assert!(timeout(Duration::from_millis(100), watcher.changed()).await.is_err(), "a swap file woke it");
        fs::write(path.join("new"), "1").unwrap();
        fs::rename(path.join("new"), path.join("app.py")).unwrap();
        timeout(Duration::from_secs(5), watcher.changed()).await.unwrap().unwrap();
        assert!(timeout(Duration::from_millis(100), watcher.changed()).await.is_err(), "one save woke it twice");
    }

    #[tokio::test]
    async fn writing_without_a_pause_is_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.follow(&BTreeSet::from([folder.path().to_owned()])).unwrap();
        let file = folder.path().join("log");
        let writer = async {
            for number in 0_u32.. {
                fs::write(&file, number.to_string()).unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let watched = timeout(Duration::from_secs(10), watcher.changed());
        tokio::select! {
            () = writer => unreachable!("it writes for ever"),
            woken = watched => drop(woken.unwrap().unwrap()),
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_made_again_is_watched_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("f");
        fs::create_dir(&folder).unwrap();
        let folders = BTreeSet::from([folder.clone(), parent.path().to_owned()]);
        let mut watcher = Watcher::new().unwrap();
        watcher.follow(&folders).unwrap();
        fs::remove_dir(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        watcher.changed().await.unwrap();
        assert!(watcher.follow(&folders).unwrap(), "it is another folder");
        fs::write(folder.join("a"), "").unwrap();
        timeout(Duration::from_secs(5), watcher.changed()).await.unwrap().unwrap();
    }
}
