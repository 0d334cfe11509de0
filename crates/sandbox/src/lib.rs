//! Linux sandboxes for functions: spawner, supervisor, Python zygotes, namespaces, cgroups, seccomp.
//!
//! The daemon never forks. It talks over one unix socket to a single-threaded **spawner** (a re-exec of the same
//! binary, see [`run_if_spawner`]), which makes sandboxes and outlives a `kill -9` of the daemon just long enough to
//! remove them all. PID 1 of a sandbox is a **supervisor**, the function is its child (or the child of a Python
//! zygote that entered the sandbox). ARCHITECTURE.md carries the table of guarantees per [`Mode`].

mod attach;
mod cgroup;
mod cgroup_v1;
mod cgroup_v2;
mod client;
mod connection;
mod cradle;
mod error;
mod extension_processes;
mod interpreter_folders;
mod interpreters;
mod launch;
mod lifecycle;
mod live;
mod memory_watch;
mod modes;
mod mounts;
mod network;
mod peer;
mod protocol;
mod seccomp;
mod skeletons;
mod slots;
mod spawner;
mod spec;
mod stub;
mod supervisor;
mod supervisor_watch;
mod sys;
mod sys_process;
mod zygotes;

pub use client::{Sandbox, Spawner, SpawnerConfig};
pub use error::SandboxError;
pub use interpreters::{Choice, Interpreter, Language, choose, discover_interpreters};
pub use modes::{Capabilities, Enforcement, Guarantee, Mode};
pub use network::{NatConfig, NatRange};
pub use peer::PeerCheck;
pub use protocol::NetworkFacts;
pub use spec::{
    CHANNEL_FRAME_BYTES_MAX, EXTENSIONS_MAX, Egress, Exit, ExtensionEnd, ExtensionExit, Folders, Program,
    RuntimeTransport, SandboxSpec, SandboxStats, Sizes,
};
pub use stub::StubOrder;

/// Runs the spawner and never returns, if this process was started as one (`argv[1] == "__spawner"`).
///
/// The gust binary, and every test binary that starts a [`Spawner`], calls this first in `main`, before any thread
/// exists: the spawner forks without exec and must be single-threaded.
pub fn run_if_spawner() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(spawner::SPAWNER_ARGUMENT) {
        let settings = arguments.next().unwrap_or_default();
        std::process::exit(spawner::main(&settings));
    }
}
