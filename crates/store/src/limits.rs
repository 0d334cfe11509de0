//! The bounds that every engine enforces, so that code proven on one engine runs on all.

/// Greatest size of a key in bytes.
pub const KEY_BYTES_MAX: usize = 2_048;
/// Greatest size of a value in bytes.
pub const VALUE_BYTES_MAX: usize = 1_048_576;
/// Greatest sum of keys and values that one transaction writes, in bytes.
pub const TRANSACTION_BYTES_MAX: usize = 10 * 1_048_576;
/// Longest time that one transaction may take, in milliseconds.
pub const TRANSACTION_MS_MAX: u64 = 5_000;
/// How often a conflicting transaction is run before it is given up.
pub const TRANSACTION_ATTEMPTS_MAX: u32 = 64;
/// Greatest number of pairs that one range read returns.
pub const RANGE_PAIRS_MAX: usize = 10_000;
/// Greatest number of keys and ranges that one transaction reads, not counting its own writes.
pub const TRANSACTION_READS_MAX: usize = 100_000;
