//! The engine of one machine: fjall (a log-structured merge tree with a journal) under group commit.
//!
//! fjall is asked for snapshots and atomic batches only. Order, conflicts and stamps are ours, since its
//! own transactions sync one by one.

use crate::committer::GroupCommitEngine;
use crate::engine::{Failure, View};
use crate::local::Base;
use crate::sequencer::Group;
use crate::space::SpaceReserve;
use crate::wake::Hub;
use crate::{Key, Order, Pair, StoreError, StoreOptions, check_folder_format};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Size at which a table in memory is written out. Small, since the journal must be read at each start.
const MEMTABLE_BYTES_MAX: u64 = 16 * 1_048_576;
/// Size of all journals; the least that fjall takes.
const JOURNALS_BYTES_MAX: u64 = 64 * 1_048_576;
/// Threads that write out tables and merge them.
const WORKER_THREADS: usize = 2;

/// Opens the folder `dir` and starts its committer.
pub(crate) fn open(dir: &Path, options: &StoreOptions, hub: Arc<Hub>) -> Result<GroupCommitEngine, StoreError> {
    let base = DiskBase::open(dir, options)?;
    GroupCommitEngine::start(Box::new(base), options, hub)
}

struct DiskBase {
    database: Database,
    data: Keyspace,
    /// The next stamp of each log, as 8 bytes, big-endian.
    counters: Keyspace,
    space: SpaceReserve,
    /// Slept after every sync: [`StoreOptions::sync_delay`].
    sync_delay: Duration,
    /// Keeps a second gust out; the kernel lets go of it with the process. Dropped last.
    _lock: File,
}

impl DiskBase {
    fn open(dir: &Path, options: &StoreOptions) -> Result<DiskBase, StoreError> {
        let failed =
            |error: &dyn std::fmt::Display| StoreError::Unavailable(format!("cannot open {}: {error}", dir.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| failed(&error))?;
        let lock = lock(dir)?;
        check_folder_format(dir)?;
        let database = Database::builder(dir.join("data"))
            .cache_size(options.cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .manual_journal_persist(true)
            .worker_threads(WORKER_THREADS)
            .open()
            .map_err(|error| failed(&error))?;
        let settings = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX);
        let data = database.keyspace("data", settings).map_err(|error| failed(&error))?;
        let counters = database.keyspace("counters", settings).map_err(|error| failed(&error))?;
        let space = SpaceReserve::new(dir, options.free_bytes_reserve);
        let sync_delay = options.sync_delay;
        Ok(DiskBase { database, data, counters, space, sync_delay, _lock: lock })
    }
}

/// Takes the folder for this process.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::FolderInUse { folder: dir.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(StoreError::Unavailable(format!("{}: {error}", path.display()))),
    }
}

fn stamp(bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes = <[u8; 8]>::try_from(bytes);
    let bytes = bytes.map_err(|_| StoreError::RecordDamaged("the counter of a log".to_owned()))?;
    Ok(u64::from_be_bytes(bytes))
}

/// A new store on disk that is filled with what another one held, before anything else writes to it.
pub struct Restoration {
    base: DiskBase,
    group: Group,
    bytes: usize,
}

/// What is written at a time, in bytes.
const RESTORED_BYTES_MAX: usize = 4 * 1_048_576;

impl Restoration {
    /// A restoration into the folder `dir`, which must hold no store. Blocks.
    ///
    /// Errors: the store cannot be made.
    pub fn begin(dir: &Path) -> Result<Restoration, StoreError> {
        let base = DiskBase::open(dir, &StoreOptions::default())?;
        Ok(Restoration { base, group: Group::default(), bytes: 0 })
    }

    /// Sets a pair, as [`crate::Read::range`] gave it.
    ///
    /// Errors: a bound is exceeded, or the disk is full.
    pub fn pair(&mut self, key: Key, value: Bytes) -> Result<(), StoreError> {
        if key.as_bytes().len() > crate::KEY_BYTES_MAX {
            return Err(StoreError::RecordDamaged("a key".to_owned()));
        }
        self.bytes += key.as_bytes().len() + value.len();
        self.group.changes.insert(key, Some(value));
        if self.bytes >= RESTORED_BYTES_MAX { self.write() } else { Ok(()) }
    }

    /// Sets the next stamp of a log, as [`crate::Store::counters`] gave it.
    pub fn counter(&mut self, log: Key, next: u64) {
        self.group.counters.insert(log, next);
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.base.check_space(self.bytes)?;
        let group = std::mem::take(&mut self.group);
        self.bytes = 0;
        self.base.write(&group, 0).map_err(StoreError::Unavailable)
    }

    /// Writes the rest; everything is on disk on return.
    ///
    /// Errors: the disk is full.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.write()
    }
}

fn unreadable(error: &fjall::Error) -> StoreError {
    StoreError::Unavailable(format!("cannot read: {error}"))
}

impl Base for DiskBase {
    fn view(&self, _at: u64) -> Box<dyn View + '_> {
        // A later state than `at` may be read; it is then checked against more commits than needed.
        Box::new(DiskView { snapshot: self.database.snapshot(), data: &self.data })
    }

    fn counter(&self, log: &Key) -> Result<Option<u64>, StoreError> {
        let value = self.counters.get(log.as_bytes()).map_err(|error| unreadable(&error))?;
        value.map(|value| stamp(&value)).transpose()
    }

    fn counters(&self) -> Result<Vec<(Key, u64)>, StoreError> {
        let counter = |guard: fjall::Guard| {
            let (log, next) = guard.into_inner().map_err(|error| unreadable(&error))?;
            Ok((Key::from_bytes(&*log), stamp(&next)?))
        };
        self.counters.iter().map(counter).collect()
    }

    fn check_space(&self, bytes: usize) -> Result<(), StoreError> {
        self.space.check(bytes)
    }

    fn write(&self, group: &Group, _oldest: u64) -> Result<(), String> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in &group.changes {
            match value {
                Some(value) => batch.insert(&self.data, key.as_bytes(), &value[..]),
                None => batch.remove(&self.data, key.as_bytes()),
            }
        }
        for (log, next) in &group.counters {
            batch.insert(&self.counters, log.as_bytes(), next.to_be_bytes());
        }
        batch.commit().map_err(|error| format!("cannot write to disk: {error}"))?;
        if !self.sync_delay.is_zero() {
            std::thread::sleep(self.sync_delay);
        }
        Ok(())
    }
}

struct DiskView<'a> {
    snapshot: fjall::Snapshot,
    data: &'a Keyspace,
}

impl View for DiskView<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        let value = self.snapshot.get(self.data, key).map_err(|error| unreadable(&error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn range(&mut self, start: &[u8], end: Option<&[u8]>, order: Order, limit: usize) -> Result<Vec<Pair>, Failure> {
        let upper = end.map_or(Bound::Unbounded, Bound::Excluded);
        let found = self.snapshot.range::<&[u8], _>(self.data, (Bound::Included(start), upper));
        let pair = |guard: fjall::Guard| {
            let (key, value) = guard.into_inner().map_err(|error| unreadable(&error))?;
            Ok((Key::from_bytes(&*key), Bytes::copy_from_slice(&value)))
        };
        match order {
            Order::Ascending => found.take(limit).map(pair).collect(),
            Order::Descending => found.rev().take(limit).map(pair).collect(),
        }
    }
}
