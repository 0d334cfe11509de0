//! The one error type of this crate.

use std::io;

/// Why a sandbox, or the spawner itself, could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The spawner process has ended; every sandbox it made is gone. Start a new one.
    #[error("the sandbox spawner is gone")]
    SpawnerGone,
    /// The specification cannot be met on any machine (a bad path, a value out of range, `nat` egress without root, ...).
    #[error("invalid sandbox specification: {0}")]
    InvalidSpec(String),
    /// Every host uid of the configured range is in use.
    #[error("no free sandbox slot: all {0} are in use")]
    NoFreeSlot(u32),
    /// A step of the set-up failed; `step` names it, `message` is the system's reason.
    #[error("sandbox set-up failed at {step}: {message}")]
    Setup {
        /// What was being done.
        step: String,
        /// The system's reason.
        message: String,
    },
    /// The program could not be executed, which is its owner's fault: `fork/exec /var/task/bootstrap: exec format error`.
    #[error("{0}")]
    NotExecuted(String),
    /// The spawner did not answer within the bound given in milliseconds.
    #[error("the sandbox spawner did not answer within {0} ms")]
    Timeout(u64),
    /// A message broke the private protocol between gust and its spawner (a bug, not an input error).
    #[error("sandbox protocol violated: {0}")]
    Protocol(String),
    /// A system call in this process failed.
    #[error("{step}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// For `map_err`: names the step that a system call failed at.
    pub(crate) fn io(step: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
        move |source| SandboxError::Io { step, source }
    }
}
