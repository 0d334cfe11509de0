//! The free-space reserve: writes stop before the disk is full, so that the engine can still recover.

use crate::StoreError;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long a measurement is trusted, in milliseconds.
const TRUSTED_MS_MAX: u64 = 100;
/// How much may be written on the word of one measurement, in bytes.
const TRUSTED_BYTES_MAX: u64 = 16 * 1_048_576;

/// Watches the free bytes of a file system.
#[derive(Debug)]
pub(crate) struct SpaceReserve {
    folder: PathBuf,
    reserve_bytes: u64,
    last: Mutex<Option<Measured>>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    free_bytes: u64,
    written_bytes: u64,
}

impl SpaceReserve {
    pub(crate) fn new(folder: &Path, reserve_bytes: u64) -> SpaceReserve {
        SpaceReserve { folder: folder.to_owned(), reserve_bytes, last: Mutex::new(None) }
    }

    /// Whether `bytes` more may be written.
    pub(crate) fn check(&self, bytes: usize) -> Result<(), StoreError> {
        let bytes = bytes as u64;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let trusted = last.filter(|measured| {
            measured.at.elapsed() < Duration::from_millis(TRUSTED_MS_MAX)
                && measured.written_bytes + bytes <= TRUSTED_BYTES_MAX
        });
        let mut measured = match trusted {
            Some(measured) => measured,
            None => Measured { at: Instant::now(), free_bytes: free_bytes(&self.folder)?, written_bytes: 0 },
        };
        let free_bytes = measured.free_bytes.saturating_sub(measured.written_bytes);
        let enough = free_bytes.saturating_sub(bytes) >= self.reserve_bytes;
        if enough {
            measured.written_bytes += bytes;
        }
        *last = Some(measured);
        if enough { Ok(()) } else { Err(StoreError::DiskFull { free_bytes }) }
    }
}

/// What an ordinary user may still write to the file system of `folder`.
fn free_bytes(folder: &Path) -> Result<u64, StoreError> {
    let status = rustix::fs::statvfs(folder)
        .map_err(|error| StoreError::Unavailable(format!("cannot measure free space: {error}")))?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}
