//! How a store is set up.

use crate::TRANSACTION_MS_MAX;
use std::time::Duration;

/// Settings of a store; [`StoreOptions::default`] is right for one gust on one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Writes are refused while the file system has fewer free bytes than this. Reads go on.
    pub free_bytes_reserve: u64,
    /// How many closures run at the same time, at least 1. They never run on a reactor thread.
    pub pool_threads: usize,
    /// Memory for the cache of blocks read from disk, in bytes (fjall only).
    pub cache_bytes: u64,
    /// Longest time one run of a transaction may take, in milliseconds; at most [`TRANSACTION_MS_MAX`].
    pub transaction_ms: u64,
    /// Added to every sync of a group of commits (fjall only): for experiments on how a slow disk would show. Zero by default.
    pub sync_delay: Duration,
    /// Where the memory engine's choice begins of which closures to run twice.
    pub rerun_seed: u64,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        StoreOptions {
            free_bytes_reserve: 256 * 1_048_576,
            pool_threads: (cores * 2).clamp(4, 32),
            cache_bytes: 64 * 1_048_576,
            transaction_ms: TRANSACTION_MS_MAX,
            sync_delay: Duration::ZERO,
            rerun_seed: 0x67_75_73_74,
        }
    }
}

impl StoreOptions {
    /// The time bound that holds.
    pub(crate) fn transaction_time(&self) -> Duration {
        Duration::from_millis(self.transaction_ms.min(TRANSACTION_MS_MAX))
    }
}
