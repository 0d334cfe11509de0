//! What an engine must offer to the store's face.

use crate::pool::Pool;
use crate::{Key, Order, Pair, Read, StoreError, Tx};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// A transaction's closure with its types erased. Its result goes to a slot that only the face knows.
pub(crate) type Work = Arc<dyn Fn(&mut dyn Tx) -> Flow + Send + Sync>;

/// A read's closure with its types erased.
pub(crate) type ReadWork = Box<dyn FnOnce(&mut dyn Read) + Send>;

/// How a closure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It returned `Ok`: commit what it wrote.
    Commit,
    /// It returned `Err`: abandon what it wrote.
    Abandon,
}

/// How one attempt at a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Committed and on disk, with the stamps of its appends.
    Committed(Vec<u64>),
    /// The closure's own error is the result; what it read was consistent.
    Abandoned,
    /// Others wrote what it read: run it again.
    Conflict,
}

/// Where one operation on data went wrong.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// The database found a conflict: the transaction has to be run again.
    Conflict,
    /// A real error.
    Error(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Error(error)
    }
}

/// The data at one point in time. Calls block.
pub(crate) trait View {
    fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, Failure>;

    fn get_many(&mut self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Failure> {
        keys.iter().map(|key| self.get(key)).collect()
    }

    /// The first `limit` pairs from `start` (inclusive) to `end` (exclusive), seen in `order`.
    fn range(&mut self, start: &[u8], end: Option<&[u8]>, order: Order, limit: usize) -> Result<Vec<Pair>, Failure>;
}

/// An engine: runs closures on `pool` and commits what they wrote. Wake-ups are its business, so that
/// they happen even where the caller has gone away.
pub(crate) trait Engine: Send + Sync {
    /// Runs `work` once (`attempt` counts from 1) and commits.
    fn attempt<'a>(&'a self, pool: &'a Pool, work: Work, attempt: u32) -> BoxFuture<'a, Result<Attempt, StoreError>>;

    /// Runs `work` against one point in time.
    fn read<'a>(&'a self, pool: &'a Pool, work: ReadWork) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The next stamp of every log. Blocks for as long as it takes to read them.
    fn counters<'a>(&'a self, pool: &'a Pool) -> BoxFuture<'a, Result<Vec<(Key, u64)>, StoreError>>;

    /// Returns when the engine has failed for good, with the reason.
    fn fatal(&self) -> BoxFuture<'static, StoreError>;

    /// Finishes what was begun and lets go of files and connections. The pool is already drained.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
