//! What can go wrong in the store.

/// A failure of the store. A service turns it into its own 5xx (see `gust_kit::store_error`).
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A key is longer than [`crate::KEY_BYTES_MAX`].
    #[error("a key of {bytes} bytes is too long")]
    KeyTooLong {
        /// Its size.
        bytes: usize,
    },
    /// A key has no bytes.
    #[error("a key is empty")]
    KeyEmpty,
    /// A value is larger than [`crate::VALUE_BYTES_MAX`].
    #[error("a value of {bytes} bytes is too large")]
    ValueTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A transaction writes more than [`crate::TRANSACTION_BYTES_MAX`] or takes longer than [`crate::TRANSACTION_MS_MAX`].
    #[error("a transaction exceeds its bounds: {0}")]
    TransactionTooLarge(String),
    /// The transaction conflicted with others on every attempt.
    #[error("the transaction conflicted {attempts} times")]
    Contended {
        /// How often it was run.
        attempts: u32,
    },
    /// Too little free space is left: writes are refused, reads go on.
    #[error("the disk is full: {free_bytes} bytes are free")]
    DiskFull {
        /// What is left.
        free_bytes: u64,
    },
    /// A claim's fencing epoch is no longer the current one: another node owns it now.
    #[error("the claim {claim} was lost")]
    ClaimLost {
        /// Its name.
        claim: String,
    },
    /// A record was written by a newer gust.
    #[error("a record has version {found}, this gust knows up to {known}")]
    RecordTooNew {
        /// The version found.
        found: u8,
        /// The newest version known.
        known: u8,
    },
    /// The data folder (or database) was written by a newer gust.
    #[error(
        "the data has format {found}, this gust knows up to {known}: use the newer gust that wrote it, or other data"
    )]
    FormatTooNew {
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// Another gust has the data folder open.
    #[error("the data folder {folder} is in use by another gust")]
    FolderInUse {
        /// Which folder.
        folder: String,
    },
    /// A record cannot be decoded.
    #[error("a record is damaged: {0}")]
    RecordDamaged(String),
    /// The engine failed, or the store is shutting down.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}
