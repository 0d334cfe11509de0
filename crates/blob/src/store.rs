//! The face of the content store: asynchronous over blocking file calls.

use crate::draft::Draft;
use crate::files::{self, Root, Search};
use crate::key::{check_named, path};
use crate::{BlobError, BlobId, space};
use bytes::Bytes;
use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock, Semaphore};

/// How many file operations run at the same time.
const OPERATIONS_MAX: usize = 16;
/// Greatest number of keys that one [`Blobs::list`] returns.
pub const LIST_KEYS_MAX: usize = 10_000;

/// Settings of a content store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobsOptions {
    /// Writes are refused while the file system has fewer free bytes than this. Reads go on.
    pub free_bytes_reserve: u64,
}

impl Default for BlobsOptions {
    fn default() -> BlobsOptions {
        BlobsOptions { free_bytes_reserve: 256 * 1_048_576 }
    }
}

/// A blob as [`Blobs::list`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When it was written, in milliseconds since the epoch, by the file system's clock.
    pub written_at_ms: i64,
}

/// A handle to the content store; clones share it.
#[derive(Clone)]
pub struct Blobs {
    inner: Arc<Inner>,
}

struct Inner {
    root: Root,
    options: BlobsOptions,
    places: Arc<Semaphore>,
    /// Read by those who remove, written by who must not lose anything.
    removals: Arc<RwLock<()>>,
    /// Keeps a second gust out. The kernel lets go of it with the process.
    _lock: File,
    /// Removes the folder of a temporary store.
    _temporary: Option<TempDir>,
}

impl Blobs {
    /// Opens (or creates) the store in the folder `dir` and sweeps drafts that a crash has left. Blocks.
    ///
    /// Errors: [`BlobError::FolderInUse`], [`BlobError::Failed`].
    pub fn open(dir: &Path, options: BlobsOptions) -> Result<Blobs, BlobError> {
        Blobs::open_in(dir, options, None)
    }

    /// A store that vanishes with its last handle, for tests and `--ephemeral`. Blocks.
    ///
    /// Errors: [`BlobError::Failed`].
    pub fn temporary() -> Result<Blobs, BlobError> {
        let folder = tempfile::Builder::new().prefix("gust-blobs-").tempdir();
        let folder = folder.map_err(|error| BlobError::io("a temporary folder", &error))?;
        let root = folder.path().to_owned();
        Blobs::open_in(&root, BlobsOptions { free_bytes_reserve: 0 }, Some(folder))
    }

    fn open_in(dir: &Path, options: BlobsOptions, temporary: Option<TempDir>) -> Result<Blobs, BlobError> {
        let shown = dir.display().to_string();
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| BlobError::io(&shown, &error))?;
        let lock = File::create(dir.join("lock")).map_err(|error| BlobError::io(&shown, &error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => BlobError::FolderInUse { folder: shown.clone() },
            TryLockError::Error(error) => BlobError::io(&shown, &error),
        })?;
        let root = Root::prepare(dir).map_err(|error| BlobError::io(&shown, &error))?;
        let places = Arc::new(Semaphore::new(OPERATIONS_MAX));
        let removals = Arc::default();
        let inner = Inner { root, options, places, removals, _lock: lock, _temporary: temporary };
        Ok(Blobs { inner: Arc::new(inner) })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, BlobError> + Send + 'static,
    ) -> Result<T, BlobError> {
        let failed = |cause: String| BlobError::Failed { key: "the blob store".to_owned(), cause };
        let place = self.inner.places.clone().acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let inner = self.inner.clone();
        let handle = tokio::task::spawn_blocking(move || {
            let result = work(&inner);
            drop(place);
            result
        });
        handle.await.unwrap_or_else(|error| Err(failed(error.to_string())))
    }

    /// Stores `bytes` under the id of their content; durable on return.
    ///
    /// Storing them again only makes the blob young again, so that one who collects garbage by age does not
    /// take it away before a transaction refers to it.
    ///
    /// Errors: [`BlobError::DiskFull`], [`BlobError::Failed`].
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<BlobId, BlobError> {
        let bytes = bytes.into();
        self.run(move |inner| inner.draft_of(&bytes)?.publish_content(&inner.root)).await
    }

    /// Stores `bytes` under `key`, in place of what is there; durable on return.
    ///
    /// A key has 1 to 16 parts, separated by `/`, of up to 250 of the characters `A-Z a-z 0-9 . _ = + @ , : -`;
    /// at most [`crate::BLOB_KEY_BYTES_MAX`] in all. Errors: [`BlobError::InvalidKey`],
    /// [`BlobError::DiskFull`], [`BlobError::Failed`].
    pub async fn put_named(&self, key: &str, bytes: impl Into<Bytes>) -> Result<(), BlobError> {
        check_named(key)?;
        let (key, bytes) = (key.to_owned(), bytes.into());
        self.run(move |inner| inner.draft_of(&bytes)?.publish(&inner.root, &key)).await
    }

    /// Begins a blob that comes in pieces.
    ///
    /// Errors: [`BlobError::DiskFull`], [`BlobError::Failed`].
    pub async fn writer(&self) -> Result<BlobWriter, BlobError> {
        let draft = self.run(|inner| Draft::create(&inner.root)).await?;
        Ok(BlobWriter { blobs: self.clone(), draft, size_bytes: 0 })
    }

    /// The whole blob `key` (a [`BlobId`] or a name).
    ///
    /// Errors: [`BlobError::NotFound`], [`BlobError::InvalidKey`], [`BlobError::Failed`].
    pub async fn get(&self, key: impl AsRef<str>) -> Result<Bytes, BlobError> {
        let key = key.as_ref().to_owned();
        self.run(move |inner| {
            let read = std::fs::read(path(&inner.root.path, &key)?);
            read.map(Bytes::from).map_err(|error| BlobError::io(&key, &error))
        })
        .await
    }

    /// `bytes` bytes of the blob `key` from `offset`.
    ///
    /// Errors: as [`Blobs::get`], and [`BlobError::InvalidRange`] if it has not that many.
    pub async fn get_range(&self, key: impl AsRef<str>, offset: u64, bytes: u64) -> Result<Bytes, BlobError> {
        let key = key.as_ref().to_owned();
        self.run(move |inner| {
            let file = inner.file(&key)?;
            let size = file.metadata().map_err(|error| BlobError::io(&key, &error))?.len();
            if offset.checked_add(bytes).is_none_or(|end| end > size) {
                return Err(BlobError::InvalidRange { key, offset, bytes, size });
            }
            let length = usize::try_from(bytes).map_err(|_| BlobError::InvalidRange {
                key: key.clone(),
                offset,
                bytes,
                size,
            })?;
            let mut buffer = vec![0; length];
            file.read_exact_at(&mut buffer, offset).map_err(|error| BlobError::io(&key, &error))?;
            Ok(buffer.into())
        })
        .await
    }

    /// The blob `key` as an open file, to be read where it lies (an archive). It stays readable when deleted.
    ///
    /// Errors: as [`Blobs::get`].
    pub async fn open_file(&self, key: impl AsRef<str>) -> Result<File, BlobError> {
        let key = key.as_ref().to_owned();
        self.run(move |inner| inner.file(&key)).await
    }

    /// The size of the blob `key` in bytes.
    ///
    /// Errors: as [`Blobs::get`].
    pub async fn size(&self, key: impl AsRef<str>) -> Result<u64, BlobError> {
        let key = key.as_ref().to_owned();
        self.run(move |inner| {
            let metadata = std::fs::metadata(path(&inner.root.path, &key)?);
            metadata.map(|metadata| metadata.len()).map_err(|error| BlobError::io(&key, &error))
        })
        .await
    }

    /// Whether there is a blob `key`.
    ///
    /// Errors: [`BlobError::InvalidKey`], [`BlobError::Failed`].
    pub async fn exists(&self, key: impl AsRef<str>) -> Result<bool, BlobError> {
        match self.size(key).await {
            Ok(_) => Ok(true),
            Err(BlobError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the blob `key`; says whether there was one. After a power cut it may be there again.
    ///
    /// Errors: [`BlobError::InvalidKey`], [`BlobError::Failed`].
    pub async fn delete(&self, key: impl AsRef<str>) -> Result<bool, BlobError> {
        let key = key.as_ref().to_owned();
        let _allowed = self.inner.removals.read().await;
        self.run(move |inner| {
            inner.root.remove(&path(&inner.root.path, &key)?).map_err(|error| BlobError::io(&key, &error))
        })
        .await
    }

    /// Until the result is dropped no blob is removed: whoever wants to waits. Waits itself for removals that go on.
    pub async fn hold_removals(&self) -> RemovalsHeld {
        RemovalsHeld { _held: self.inner.removals.clone().write_owned().await }
    }

    /// Links every blob below `folder`, which is empty and on the same file system, at the path that it has here. What
    /// lies there can be read whatever becomes of the blobs, and takes no room while they are there. Blocks.
    ///
    /// Blobs that are written meanwhile may be missing. Errors: the first link that cannot be made.
    pub fn link_all(&self, folder: &Path) -> std::io::Result<()> {
        for part in ["named", "sha256"] {
            files::link_tree(&self.inner.root.path.join(part), &folder.join(part))?;
        }
        Ok(())
    }

    /// Blobs whose keys begin with `prefix` and come after `after`, in the order of their keys: at most
    /// `limit`, and never more than [`LIST_KEYS_MAX`]. Named ones, or with a prefix that begins with
    /// `sha256/` those that are known by their content.
    ///
    /// Errors: [`BlobError::Failed`].
    pub async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<BlobInfo>, BlobError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        let limit = limit.min(LIST_KEYS_MAX);
        self.run(move |inner| {
            let search = Search { prefix: &prefix, after: after.as_deref(), limit };
            files::search(&inner.root.path, &search).map_err(|error| BlobError::io(&prefix, &error))
        })
        .await
    }
}

impl Inner {
    fn draft_of(&self, bytes: &[u8]) -> Result<Draft, BlobError> {
        space::check(&self.root.path, self.options.free_bytes_reserve, bytes.len() as u64)?;
        let mut draft = Draft::create(&self.root)?;
        draft.write(&self.root, self.options.free_bytes_reserve, bytes)?;
        Ok(draft)
    }

    fn file(&self, key: &str) -> Result<File, BlobError> {
        File::open(path(&self.root.path, key)?).map_err(|error| BlobError::io(key, &error))
    }
}

/// Keeps blobs from being removed; see [`Blobs::hold_removals`].
pub struct RemovalsHeld {
    _held: OwnedRwLockWriteGuard<()>,
}

/// A blob that comes in pieces; dropped before it is finished, it leaves nothing.
pub struct BlobWriter {
    blobs: Blobs,
    draft: Draft,
    size_bytes: u64,
}

impl BlobWriter {
    /// Appends a piece. The caller bounds the whole: it is given back to be asked for its size.
    ///
    /// Errors: [`BlobError::DiskFull`], [`BlobError::Failed`]; the blob is gone then.
    pub async fn write(self, bytes: impl Into<Bytes>) -> Result<BlobWriter, BlobError> {
        let BlobWriter { blobs, mut draft, size_bytes } = self;
        let bytes = bytes.into();
        let size_bytes = size_bytes + bytes.len() as u64;
        let draft = blobs
            .run(move |inner| draft.write(&inner.root, inner.options.free_bytes_reserve, &bytes).map(|()| draft))
            .await?;
        Ok(BlobWriter { blobs, draft, size_bytes })
    }

    /// How much was written, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Makes it a blob under the id of its content; durable on return.
    ///
    /// Errors: [`BlobError::Failed`].
    pub async fn finish(self) -> Result<BlobId, BlobError> {
        let BlobWriter { blobs, draft, .. } = self;
        blobs.run(move |inner| draft.publish_content(&inner.root)).await
    }

    /// Makes it the blob `key`, in place of what is there; durable on return.
    ///
    /// Errors: as [`Blobs::put_named`].
    pub async fn finish_named(self, key: &str) -> Result<(), BlobError> {
        check_named(key)?;
        let (BlobWriter { blobs, draft, .. }, key) = (self, key.to_owned());
        blobs.run(move |inner| draft.publish(&inner.root, &key)).await
    }
}

#[cfg(test)]
mod tests;
