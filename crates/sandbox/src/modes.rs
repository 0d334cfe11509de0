//! Which isolation this machine and user allow, and what each mode guarantees.

use serde::{Deserialize, Serialize};

use crate::cgroup::Tree;
use crate::cgroup_v1::V1;
use crate::cgroup_v2::V2;

/// How sandboxes are made here, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Root, controllers in cgroup v1 hierarchies.
    RootV1,
    /// Root, cgroup v2.
    RootV2,
    /// An ordinary user with a delegated cgroup v2 subtree.
    UserDelegatedV2,
    /// An ordinary user without any cgroup.
    User,
}

/// How a guarantee is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Enforcement {
    /// By the kernel, always.
    Kernel,
    /// By gust watching and acting: exact to the interval named in the text.
    Watched,
    /// Partly; the text says what is missing.
    Partial,
    /// Not at all.
    None,
}

/// One line of the table of guarantees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarantee {
    /// What is promised, e.g. "memory limit".
    pub name: String,
    /// How well.
    pub enforcement: Enforcement,
    /// By what means, or what is missing.
    pub how: String,
}

/// What the spawner found it can do on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The mode sandboxes are made in.
    pub mode: Mode,
    /// The table of guarantees of that mode on this machine.
    pub guarantees: Vec<Guarantee>,
}

/// Finds the strongest mode this process can work in, and the place for its cgroups.
pub(crate) fn detect(data_id: &str, root: bool) -> (Capabilities, Tree) {
    let (mode, tree) = if root {
        match (V1::find(data_id), V2::find(data_id, true)) {
            (_, Some(tree)) => (Mode::RootV2, Tree::V2(tree)),
            (Some(tree), None) => (Mode::RootV1, Tree::V1(tree)),
            // Root without any controller: namespaces and own uids still hold, limits do not.
            (None, None) => (Mode::RootV2, Tree::None),
        }
    } else {
        match V2::find(data_id, false) {
            Some(tree) => (Mode::UserDelegatedV2, Tree::V2(tree)),
            None => (Mode::User, Tree::None),
        }
    };
    let guarantees = guarantees(mode, matches!(tree, Tree::None));
    (Capabilities { mode, guarantees }, tree)
}

/// The table of guarantees.
fn guarantees(mode: Mode, no_cgroup: bool) -> Vec<Guarantee> {
    use Enforcement::{Kernel, None as Not, Partial, Watched};
    let root = matches!(mode, Mode::RootV1 | Mode::RootV2);
    let pick = |for_root: (Enforcement, &'static str), for_user: (Enforcement, &'static str)| {
        if root { for_root } else { for_user }
    };
    let limited = |yes: (Enforcement, &'static str), no: (Enforcement, &'static str)| if no_cgroup { no } else { yes };
    let memory = match mode {
        Mode::RootV1 => (Watched, "cgroup v1: MemorySize by kernel events, to 1 MiB; kernel limit MemorySize + /tmp"),
        _ => (Watched, "cgroup v2: MemorySize sampled every 50 ms; kernel limit MemorySize + /tmp"),
    };
    let rows = [
        ("files: only the package, layers, SDK and system libraries, read-only", (Kernel, "mount namespace, own root")),
        (
            "identity: a host uid of its own, no capabilities",
            pick(
                (Kernel, "user namespace, uid range"),
                (Partial, "user namespace, but every function is the same host user"),
            ),
        ),
        ("processes: sees and signals only its own", (Kernel, "pid namespace, hidepid")),
        (
            "gust's supervisor cannot be traced or killed",
            pick((Kernel, "own uid, not dumpable"), (Partial, "PID 1 protection, not dumpable, no ptrace; same uid")),
        ),
        ("network: nothing but gust (egress none)", (Kernel, "network namespace with loopback only")),
        (
            "network: egress nat reaches neither host nor other environments",
            pick((Kernel, "network namespace, nf_tables"), (Not, "takes root")),
        ),
        ("network: egress host", (Not, "shares the host's network, its loopback and abstract sockets included")),
        ("system calls: no mounts, namespaces, tracing, keys, BPF, io_uring", (Kernel, "seccomp, no_new_privs")),
        (
            "memory limit",
            limited(
                memory,
                (Watched, "no cgroup: resident memory is sampled and ended over MemorySize; use is not reported"),
            ),
        ),
        ("CPU share: MemorySize/1769 vCPU", limited((Kernel, "cgroup cpu quota"), (Not, "no cgroup"))),
        (
            "processes and threads limit",
            match mode {
                Mode::RootV1 => (Kernel, "RLIMIT_NPROC of a host uid of its own"),
                _ => limited((Kernel, "cgroup pids"), (Partial, "RLIMIT_NPROC, per user namespace")),
            },
        ),
        ("/tmp size", (Kernel, "sized tmpfs, bounded inodes")),
        ("freeze between invokes", limited((Kernel, "cgroup freezer"), (Partial, "SIGSTOP"))),
        ("host memory pressure hits functions first", (Kernel, "oom_score_adj 500")),
        ("nothing stays after kill -9 of gust", (Kernel, "spawner, end of socket, sweep at start")),
    ];
    rows.into_iter()
        .map(|(name, (enforcement, how))| Guarantee { name: name.to_owned(), enforcement, how: how.to_owned() })
        .collect()
}
