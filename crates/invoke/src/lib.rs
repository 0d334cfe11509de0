//! Runs functions: gate, pool, environments, their logs and failures, and the queue of asynchronous events.
//!
//! [`Engine`] implements `gust_kit`'s `Invoker`. A request takes a place in the concurrency gate, an
//! environment from its function's pool, hands the event to the runtime and gets its answer; what has to be
//! written about it is written after the caller has been answered. Nothing on that way creates a sandbox,
//! writes durably or takes a lock that other functions take, if an environment is idle.

mod acquire;
mod admission;
mod debugging;
mod endpoint;
mod engine;
mod entrypoint;
mod env;
mod environment;
mod execution;
mod extension_phases;
mod failures;
mod farewell;
mod gate;
mod invocation_record;
mod keep_alive;
mod keeper;
mod lanes;
mod launcher;
mod limits;
mod logs;
mod machine;
mod output;
mod persistent;
mod pool;
mod prebooted;
mod provisioned;
#[cfg(test)]
mod provisioned_tests;
mod queue;
mod queue_driver;
mod queue_runner;
mod recorder;
mod response;
mod sandbox_launcher;
mod sandbox_network;
mod sdk;
mod sdk_use;
mod shards;
mod shelf;
#[cfg(test)]
mod simulation;
mod start;
mod statistics;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod times;
mod trace;
mod turn;

pub use admission::{MemorySource, available_memory};
pub use endpoint::{EndpointOwner, EndpointServer, NoEndpoint};
pub use engine::{Engine, Ports, Settings, Snapshot};
pub use gate::{AccountGate, FunctionGate, Gates, Slot, VersionGate};
pub use launcher::{Control, LaunchError, LaunchOrder, Launched, Launcher, PipeReader};
pub use limits::*;
pub use machine::{AttemptOutcome, Attempts, DiscardReason, RetryPolicy, Settlement, settle};
pub use pool::{FreezePolicy, FunctionSnapshot};
pub use queue_driver::QueueSnapshot;
pub use sandbox_launcher::{SandboxLauncher, SandboxOptions};
pub use sdk::{NoSdk, SdkFolders, SdkState};
pub use statistics::{FunctionStatistics, Percentiles};
