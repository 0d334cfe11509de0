//! The free-space reserve: writes stop before the disk is full.

use crate::BlobError;
use std::path::Path;

/// Whether `bytes` more may be written to the file system of `folder`. One system call.
pub(crate) fn check(folder: &Path, reserve_bytes: u64, bytes: u64) -> Result<(), BlobError> {
    let status = rustix::fs::statvfs(folder).map_err(|error| BlobError::Failed {
        key: folder.display().to_string(),
        cause: format!("cannot measure free space: {error}"),
    })?;
    let free_bytes = status.f_bavail.saturating_mul(status.f_frsize);
    if free_bytes.saturating_sub(bytes) >= reserve_bytes { Ok(()) } else { Err(BlobError::DiskFull { free_bytes }) }
}
