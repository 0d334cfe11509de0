//! What can go wrong with blobs.

use std::io::{Error, ErrorKind};

/// A failure of the content store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlobError {
    /// There is no blob of this key.
    #[error("there is no blob {key}")]
    NotFound {
        /// Its key.
        key: String,
    },
    /// A key that is not allowed.
    #[error("{key:?} cannot be the key of a blob: {reason}")]
    InvalidKey {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A range that does not lie within the blob.
    #[error("the range from {offset} of {bytes} bytes does not lie within {key}, which has {size}")]
    InvalidRange {
        /// The blob.
        key: String,
        /// Where the range begins.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// The blob's size.
        size: u64,
    },
    /// Too little free space is left: writes are refused, reads go on.
    #[error("the disk is full: {free_bytes} bytes are free")]
    DiskFull {
        /// What is left.
        free_bytes: u64,
    },
    /// The folder was opened by another gust.
    #[error("the blob folder {folder} is in use by another gust")]
    FolderInUse {
        /// Which folder.
        folder: String,
    },
    /// The file system failed.
    #[error("blob {key}: {cause}")]
    Failed {
        /// The blob, or the folder.
        key: String,
        /// What the system says.
        cause: String,
    },
}

impl BlobError {
    /// The failure of a system call on behalf of `key`.
    pub(crate) fn io(key: &str, error: &Error) -> BlobError {
        match error.kind() {
            ErrorKind::NotFound => BlobError::NotFound { key: key.to_owned() },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::DiskFull { free_bytes: 0 },
            _ => BlobError::Failed { key: key.to_owned(), cause: error.to_string() },
        }
    }
}
