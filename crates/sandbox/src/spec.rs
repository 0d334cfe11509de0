//! What a sandbox is asked to be, and what it reports back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::interpreters::Interpreter;

/// Largest frame on the private channel, each way: 6 MiB of payload and 64 KiB of header, in bytes.
pub const CHANNEL_FRAME_BYTES_MAX: usize = 6 * 1024 * 1024 + 64 * 1024;

/// Everything needed to make one sandbox.
#[derive(Debug, Clone)]
pub struct SandboxSpec {
    /// Unique among live sandboxes; 1 to 64 of `[A-Za-z0-9_-]`. Names its cgroups.
    pub id: String,
    /// What runs inside.
    pub program: Program,
    /// Host folder shown read-only at `/var/task`, the working directory. The function is another host user: the
    /// folder and what is in it must be readable by everybody (0755, 0644); the folders above it need not be.
    pub code_dir: PathBuf,
    /// Host folder shown read-only at `/opt` (all layers, merged by the caller). `None`: an empty folder.
    pub layers_dir: Option<PathBuf>,
    /// Host folder with the AWS SDK, shown read-only at `/var/runtime`. `None`: an empty folder.
    pub sdk_dir: Option<PathBuf>,
    /// Whether a forked Python shall have the SDK of `sdk_dir` loaded already, once that is possible: the function cannot
    /// tell, but for the time it takes.
    pub preload_sdk: bool,
    /// The function's whole environment. `AWS_LAMBDA_RUNTIME_API` and, unless present, `AWS_ENDPOINT_URL` are added
    /// here, because only the sandbox knows its ports. Handed over in a memfd that the spawner never reads.
    pub env: Vec<(String, String)>,
    /// MemorySize in MiB (128 to 10,240 on AWS; 64 to 1,048,576 accepted here). Also sets the CPU share:
    /// `memory_mb / 1769` vCPU, <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>.
    pub memory_mb: u32,
    /// EphemeralStorage in MiB: the size of `/tmp`. Not counted against `memory_mb`.
    pub tmp_mb: u32,
    /// Processes and threads together, at most. AWS: 1,024.
    pub pids_max: u32,
    /// What the function can reach besides gust's two listeners.
    pub egress: Egress,
    /// Host name inside; 1 to 63 of `[A-Za-z0-9.-]`.
    pub hostname: String,
    /// At least one whole vCPU until [`crate::Sandbox::end_boost`], where MemorySize grants less.
    pub init_boost: bool,
    /// External extensions: absolute paths inside, at most [`EXTENSIONS_MAX`]. They are started with the sandbox, each
    /// a process of its own; the program then waits for [`crate::Sandbox::start_program`], and its end does not end them.
    pub extensions: Vec<String>,
}

/// External extensions of one sandbox.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
pub const EXTENSIONS_MAX: usize = 10;

/// The end of an external extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionExit {
    /// Its place in [`SandboxSpec::extensions`].
    pub index: usize,
    /// How it ended.
    pub end: ExtensionEnd,
}

/// How an external extension ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExtensionEnd {
    /// It could not be executed; the text is the system's reason, as Lambda words it.
    NotStarted {
        /// `fork/exec /opt/extensions/x: permission denied`
        cause: String,
    },
    /// It exited by itself.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
}

/// What a function brings along, see [`SandboxSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folders {
    /// For `/var/task`.
    pub code_dir: PathBuf,
    /// For `/opt`.
    pub layers_dir: Option<PathBuf>,
    /// For `/var/runtime`.
    pub sdk_dir: Option<PathBuf>,
}

/// How large a function is, see [`SandboxSpec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sizes {
    /// MemorySize in MiB.
    pub memory_mb: u32,
    /// The size of `/tmp` in MiB.
    pub tmp_mb: u32,
}

/// What a sandbox runs.
#[derive(Debug, Clone)]
pub enum Program {
    /// gust's Python runtime. The handler is read from `_HANDLER` in the environment.
    Python {
        /// Which interpreter; from [`crate::choose`].
        interpreter: Interpreter,
        /// How the runtime talks to gust.
        transport: RuntimeTransport,
    },
    /// gust's Node.js runtime. The handler is read from `_HANDLER` in the environment.
    Node {
        /// Which interpreter; from [`crate::choose`].
        interpreter: Interpreter,
        /// How the runtime talks to gust.
        transport: RuntimeTransport,
    },
    /// A program of the package (or of `/opt`), e.g. `/var/task/bootstrap`, speaking the HTTP Runtime API.
    Exec {
        /// Absolute path inside the sandbox.
        path: String,
        /// Arguments after `argv[0]`.
        args: Vec<String>,
    },
}

/// How gust's own runtimes talk to gust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeTransport {
    /// The private framed channel. Python: a fork of the zygote, or a fresh interpreter where the environment demands it.
    Channel,
    /// The HTTP Runtime API and always a fresh interpreter: for wrappers and extensions that proxy the API.
    Http,
}

/// What a function can reach besides gust's listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// Nothing: a network namespace with loopback only.
    None,
    /// What the host can reach, behind its address, but neither the host itself nor other environments. Root only.
    Nat,
    /// The host's network, unfiltered. The listeners are then on free ports of the host's loopback, so that whoever
    /// serves them has to check who calls.
    Host,
}

impl std::str::FromStr for Egress {
    type Err = crate::SandboxError;

    fn from_str(text: &str) -> Result<Egress, Self::Err> {
        match text {
            "none" => Ok(Egress::None),
            "host" => Ok(Egress::Host),
            "nat" => Ok(Egress::Nat),
            other => Err(crate::SandboxError::InvalidSpec(format!("unknown egress {other:?}: use none, nat or host"))),
        }
    }
}

/// How the function's main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status, if it exited by itself.
    pub code: Option<i32>,
    /// The signal that ended it, otherwise. 9 also stands for "the sandbox was killed".
    pub signal: Option<i32>,
    /// The memory limit was exceeded and something in the sandbox was killed for it.
    pub oom_killed: bool,
}

/// Measurements of one sandbox. All of its processes together, without supervisor and `/tmp`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxStats {
    /// Highest memory use since creation or the last `reset_memory_peak`, in bytes. Pages that a forked Python
    /// runtime still shares with its zygote are not counted; what `/tmp` holds now is subtracted; page cache counts.
    pub memory_peak_bytes: u64,
    /// Memory in use now, in bytes, without `/tmp` and reclaimable page cache.
    pub memory_now_bytes: u64,
    /// Processes killed for exceeding the memory limit.
    pub oom_kill_count: u64,
    /// CPU time used, in nanoseconds.
    pub cpu_ns: u64,
}
