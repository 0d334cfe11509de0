//! Messages between daemon, spawner and supervisors: one JSON document per SEQPACKET message, descriptors beside it.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Capabilities, Egress, Exit, ExtensionEnd, Folders, NatRange, SandboxStats, Sizes};

/// Largest message in bytes. The environment is not in it: it travels in a memfd.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Daemon to spawner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Chosen by the daemon, echoed in the reply. For `Create` also the sandbox's key in all later messages.
    pub request: u64,
    pub op: Op,
}

/// What the daemon wants.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Op {
    /// With descriptors: environment, output, then log and channel where [`Create::runtime_fds`] says so, then the
    /// extensions' output if there are extensions.
    Create(Box<Create>),
    Warm {
        interpreter: PathBuf,
        prefix: PathBuf,
    },
    /// Shows a function's folders in a sandbox that was made without any, and sets its limits unless it has them.
    Attach {
        key: u64,
        folders: Folders,
        sizes: Sizes,
    },
    Kill {
        key: u64,
    },
    Freeze {
        key: u64,
    },
    Thaw {
        key: u64,
    },
    Stats {
        key: u64,
    },
    ResetPeak {
        key: u64,
    },
    /// Lets the program start that waits for the extensions.
    StartProgram {
        key: u64,
    },
    /// Initialisation is over: only the CPU share of MemorySize from now on.
    EndBoost {
        key: u64,
    },
    /// Sends SIGTERM to the main process.
    Terminate {
        key: u64,
    },
    /// Answered with a TCP socket of the sandbox's network, not connected.
    Socket {
        key: u64,
    },
    /// Gets ready for environments with [`Egress::Nat`]; answered when it is known whether there can be any.
    PrepareNetwork,
    Shutdown,
}

/// A [`crate::SandboxSpec`] as the spawner needs it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Create {
    pub id: String,
    pub start: Start,
    /// A log pipe and, for [`Start::Zygote`] or a fresh interpreter, a channel come with the request.
    pub runtime_fds: RuntimeFds,
    /// `None`: they come with [`Op::Attach`].
    pub folders: Option<Folders>,
    /// Outside of /usr and to be shown at its own path: the interpreter's prefix.
    pub prefix: Option<PathBuf>,
    /// To be shown at /var/lang/bin/node: the executable of Node.js.
    pub node: Option<PathBuf>,
    /// `None`: they come with [`Op::Attach`].
    pub sizes: Option<Sizes>,
    pub pids_max: u32,
    pub egress: Egress,
    pub hostname: String,
    pub init_boost: bool,
    pub extensions: Vec<String>,
}

/// How the main process comes to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Start {
    /// Forked from this zygote.
    Zygote(ZygoteKey),
    /// Executed: path and the whole argument list.
    Exec { path: String, argv: Vec<String> },
    /// Waits on its channel for what it shall execute.
    Stub,
}

/// Which zygote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ZygoteKey {
    pub interpreter: PathBuf,
    /// The folder of the AWS SDK that it has loaded, if any.
    pub sdk: Option<PathBuf>,
}

/// Which descriptors beside environment and output belong to the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RuntimeFds {
    None,
    Channel,
    Log,
    LogAndChannel,
}

impl RuntimeFds {
    pub(crate) fn has_log(self) -> bool {
        matches!(self, RuntimeFds::Log | RuntimeFds::LogAndChannel)
    }

    pub(crate) fn has_channel(self) -> bool {
        matches!(self, RuntimeFds::Channel | RuntimeFds::LogAndChannel)
    }
}

/// Spawner to daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// First message of a spawner.
    Hello(Capabilities),
    /// With the two listening sockets: Runtime API, then endpoint. PID 1's host pid, and the function's host uid if it
    /// has one of its own.
    Created {
        request: u64,
        pid: i32,
        uid: Option<u32>,
    },
    /// With the socket.
    Socket {
        request: u64,
    },
    Network {
        request: u64,
        facts: NetworkFacts,
    },
    Done {
        request: u64,
    },
    Stats {
        request: u64,
        stats: SandboxStats,
    },
    Failed {
        request: u64,
        failure: Failure,
    },
    /// The main process of a sandbox ended.
    Exited {
        key: u64,
        exit: Exit,
    },
    /// An external extension ended.
    ExtensionEnded {
        key: u64,
        index: usize,
        end: ExtensionEnd,
    },
    /// Processes, mounts and cgroups of a sandbox are gone.
    Gone {
        key: u64,
    },
}

/// What environments with [`Egress::Nat`] share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkFacts {
    /// Their addresses.
    pub range: NatRange,
    /// Their name servers. Empty: the host has none that could be reached from inside, and none was named.
    pub name_servers: Vec<Ipv4Addr>,
    /// Chains of the host's own firewall that drop what it forwards unless they allow it: `ip filter FORWARD`.
    pub dropping_chains: Vec<String>,
}

/// Why a request failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Failure {
    Invalid(String),
    NoFreeSlot(u32),
    NotExecuted(String),
    Setup { step: String, message: String },
}

impl Failure {
    pub(crate) fn setup(step: &str, error: &dyn std::fmt::Display) -> Failure {
        Failure::Setup { step: step.to_owned(), message: error.to_string() }
    }
}

/// Supervisor to spawner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Namespaces and mounts stand; waits for its id maps. With both listeners, `/tmp` of the sandbox, and for a zygote's
    /// child the files that it joins the cgroups with.
    Prepared {
        runtime_api: String,
        endpoint: String,
    },
    /// Inside the user namespace; an executed program is running, or waits for the extensions. With its pidfd.
    Entered,
    /// An external extension ended.
    ExtensionEnded {
        index: usize,
        end: ExtensionEnd,
    },
    /// With a socket that was asked for.
    Socket,
    Failed(Failure),
    /// Ends now, because memory was exceeded.
    OverMemory,
    /// The executed program ended.
    Ended {
        code: Option<i32>,
        signal: Option<i32>,
    },
}

/// Spawner to zygote. With descriptors: pidfd of PID 1, environment, channel, output, log, then cgroup join files.
#[derive(Debug, Serialize)]
pub(crate) struct Fork<'a> {
    pub key: u64,
    pub uid: u32,
    pub gid: u32,
    pub pids_max: u32,
    /// The function comes later, over the channel.
    pub vacant: bool,
    pub cgroups: usize,
    pub runtime_api: &'a str,
    pub endpoint: &'a str,
}

/// Zygote to spawner.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ZygoteReport {
    Ready,
    Forked { key: u64 },
    Failed { key: u64, message: String },
    Ended { key: u64, status: i32 },
}
