//! The content of a data folder in one file, and back.
//!
//! A tar compressed with zstd: `manifest.json` says what it is, `store/...` holds the key-value store as it was at one
//! moment (pairs, then the counters of its logs), `blobs/...` the packages, layers and logs, and `end.json` says that it is
//! complete and whole. Nothing in it depends on the engine of the store. Unpacked packages and the SDK are not in it: they
//! can be made again.

mod pairs;
mod read;
mod write;

pub use read::{check, unpack};
pub use write::{Sources, write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The newest layout that this gust reads, and the one it writes.
pub const ARCHIVE_VERSION: u32 = 1;
const KIND: &str = "gust data";
const MANIFEST: &str = "manifest.json";
const END: &str = "end.json";
const PAIRS: &str = "store/pairs/";
const COUNTERS: &str = "store/counters";
const BLOBS: &str = "blobs/";
/// Largest manifest or end, in bytes.
const NOTE_BYTES_MAX: u64 = 64 * 1_024;
/// Largest entry of pairs, in bytes: what is collected, and one pair more.
const PAIRS_BYTES_MAX: u64 = 8 * 1_048_576;
/// Largest list of counters, in bytes.
const COUNTERS_BYTES_MAX: u64 = 1_073_741_824;

/// The first entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always `gust data`.
    kind: String,
    /// The layout of this archive.
    version: u32,
    /// The layout of the data in it.
    data_format: u32,
    /// The gust that wrote it, for people.
    gust_version: String,
    /// When, in milliseconds since the epoch.
    created_at_ms: i64,
}

/// The last entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    /// Entries before this one.
    entries: u64,
    /// Their contents together, in bytes.
    bytes: u64,
    /// Over names, sizes and contents of all entries before this one, hexadecimal.
    sha256: String,
}

/// Counts and sums up entries, alike when they are written and read.
#[derive(Default)]
struct Sum {
    entries: u64,
    bytes: u64,
    digest: Sha256,
}

impl Sum {
    fn entry(&mut self, name: &str, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
        // Lengths first, so that no two lists of entries give the same sum.
        self.digest.update((name.len() as u64).to_le_bytes());
        self.digest.update(name);
        self.digest.update(bytes.to_le_bytes());
    }

    fn content(&mut self, piece: &[u8]) {
        self.digest.update(piece);
    }

    fn end(&self) -> End {
        let sha256 = self.digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        End { entries: self.entries, bytes: self.bytes, sha256 }
    }
}

#[cfg(test)]
mod tests;
