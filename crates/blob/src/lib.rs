//! The content store: packages, layers and log segments, which are too large for the key-value store.
//!
//! A blob appears whole or not at all: it is written to a draft, synced, renamed to its place, and the
//! folder is synced. What [`Blobs::put`] has returned survives a power cut. Bytes are written here first
//! and then referred to in a store transaction; what no transaction refers to is garbage.

mod draft;
mod error;
mod files;
mod key;
mod space;
mod store;

pub use error::BlobError;
pub use key::{BLOB_KEY_BYTES_MAX, BlobId};
pub use store::{BlobInfo, BlobWriter, Blobs, BlobsOptions, LIST_KEYS_MAX, RemovalsHeld};
