//! A blob that is being written: a file that nobody can find yet.

use crate::BlobError;
use crate::files::Root;
use crate::key::{BlobId, path};
use crate::space;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of drafts; what a crash left in it is swept when the store is opened.
pub(crate) const DRAFTS: &str = "drafts";

/// Removed on drop unless it was published.
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
    digest: Sha256,
    is_published: bool,
}

impl Draft {
    pub(crate) fn create(root: &Root) -> Result<Draft, BlobError> {
        // The folder belongs to one process at a time and was swept: a number is unique.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = root.path.join(DRAFTS).join(number.to_string());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| BlobError::io(&path.display().to_string(), &error))?;
        Ok(Draft { file, path, digest: Sha256::new(), is_published: false })
    }

    pub(crate) fn write(&mut self, root: &Root, reserve_bytes: u64, bytes: &[u8]) -> Result<(), BlobError> {
        space::check(&root.path, reserve_bytes, bytes.len() as u64)?;
        self.digest.update(bytes);
        self.file.write_all(bytes).map_err(|error| BlobError::io("draft", &error))
    }

    /// Makes it the blob of its content.
    pub(crate) fn publish_content(self, root: &Root) -> Result<BlobId, BlobError> {
        let id = BlobId::of_digest(&self.digest.clone().finalize());
        self.publish(root, id.as_ref())?;
        Ok(id)
    }

    /// Makes it the blob `key`; durable on return.
    pub(crate) fn publish(mut self, root: &Root, key: &str) -> Result<(), BlobError> {
        self.file.sync_data().map_err(|error| BlobError::io(key, &error))?;
        root.publish(&self.path, &path(&root.path, key)?).map_err(|error| BlobError::io(key, &error))?;
        self.is_published = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_published
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a draft stays until the next start");
        }
    }
}
