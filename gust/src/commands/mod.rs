//! The commands that talk to a running gust, one file each.

pub mod doctor;
pub mod env;
pub mod export;
pub mod import;
pub mod invoke;
pub mod logs;
pub mod ls;
pub mod stats;

use crate::failure::Failure;
use std::future::Future;

/// Runs a client command: one thread is enough for it.
pub fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Failure::new(format!("cannot start: {cause}")))?;
    runtime.block_on(command)
}
