//! PID 1 of a sandbox: sets it up, starts an executed program, reaps, reports, and dies when the spawner does.
//!
//! It is a fork of the spawner without exec, so it must hold no secret: the function's environment comes in a memfd
//! that only the function's own process reads. It runs under a host uid of its own, without capabilities, and is not
//! dumpable, so that the function can neither trace nor signal it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::Egress;
use crate::memory_watch::{MemoryFiles, MemoryWatch, Verdict};
use crate::mounts::{self, Devices, OwnTrees, SkeletonKey, Step, Tmp};
use crate::protocol::{Create, Failure, Report, Start};
use crate::sys::{self, Forked};
use crate::sys_process::{self, Ended, Wait};

/// The function's user and group inside: Lambda's `sbx_user1051`.
pub(crate) const INSIDE_UID: u32 = 993;
pub(crate) const INSIDE_GID: u32 = 990;
/// The supervisor's, where it has its own.
pub(crate) const SUPERVISOR_UID: u32 = 994;
pub(crate) const SUPERVISOR_GID: u32 = 991;

/// Where the function's descriptors are, for a Python runtime that is executed.
const CHANNEL_FD: RawFd = 3;
const LOG_FD: RawFd = 4;
const ABOVE_ALL_TARGETS: RawFd = 10;

/// On the kernel's scale of -1000 to 1000: when the host runs out of memory, functions go first.
pub(crate) const OOM_SCORE_ADJ: &str = "500";

/// Spawner to supervisor: the maps are written, go on.
pub(crate) const GO: &[u8] = b"G";
/// Spawner to supervisor, where there is no freezer: stop or continue every process.
pub(crate) const STOP: &[u8] = b"S";
pub(crate) const CONTINUE: &[u8] = b"C";

/// The function's largest environment in bytes (Lambda allows 4 KiB for users' variables).
const ENVIRONMENT_BYTES_MAX: u64 = 256 * 1024;

/// Where the root of the sandbox comes from.
pub(crate) enum Root {
    /// A copy of a skeleton's mount namespace (root).
    Copy(OwnedFd),
    /// Built anew in the sandbox's own user namespace (ordinary user), on an empty folder.
    Build { at: PathBuf, key: SkeletonKey },
}

/// Who the function is outside.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HostIds {
    /// Uids and gids of a sandbox's own: the function's; the supervisor's is the next one.
    Own { first: u32 },
    /// An ordinary user can map only itself.
    Same { uid: u32, gid: u32 },
}

/// What a supervisor is given. All descriptors not in here are closed first.
pub(crate) struct Plan<'a> {
    pub create: &'a Create,
    pub status: &'a OwnedFd,
    pub environment: &'a OwnedFd,
    pub output: &'a OwnedFd,
    pub log: Option<&'a OwnedFd>,
    pub channel: Option<&'a OwnedFd>,
    pub joins: &'a [OwnedFd],
    pub memory: MemoryFiles,
    pub memory_bytes: u64,
    pub root: Root,
    pub ids: HostIds,
    pub seccomp: &'a [Vec<u8>],
}

/// Runs PID 1 of a sandbox in a process just forked into a new pid namespace.
pub(crate) fn run(plan: Plan<'_>) -> ! {
    let status = plan.status;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| supervise(plan, status)));
    let code = match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            report(status, &Report::Failed(Failure::setup("sandbox", &error)), &[]);
            1
        }
        Err(_) => 70,
    };
    sys::exit_now(code)
}

fn supervise(plan: Plan<'_>, status: &OwnedFd) -> io::Result<()> {
    close_foreign_descriptors(&plan)?;
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)?;
    if matches!(plan.ids, HostIds::Same { .. }) {
        // A fork of a process that is not dumpable: its own /proc files would be root's until this is undone.
        sys::prctl(libc::PR_SET_DUMPABLE, 1)?;
    }
    fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ).step("set oom_score_adj")?;
    sys::new_session().step("new session")?;
    let child_signals = sys_process::child_signal_fd().step("watch children")?;
    let (addresses, tmp) = prepare(&plan)?;
    let mut buffer = [0_u8; 16];
    match sys::receive_message(plan.status, &mut buffer)? {
        Some((1, _)) if buffer[..1] == *GO => {}
        _ => return Err(io::Error::other("the spawner did not let it go on")),
    }
    let main_pid = match &plan.create.start {
        Start::Exec { path, argv } => Some(start_program(&plan, path, argv, &addresses)?),
        Start::Zygote { .. } => None,
    };
    give_up_privileges(&plan)?;
    let mut keep = vec![status.as_raw_fd(), child_signals.as_raw_fd(), tmp.as_raw_fd()];
    keep.extend(plan.memory.fds().into_iter().map(AsRawFd::as_raw_fd));
    sys::close_all_except(&keep)?;
    report(status, &Report::Entered, &[]);
    let memory = MemoryWatch::start(plan.memory, tmp, plan.memory_bytes).step("watch memory")?;
    watch(status, &child_signals, memory, main_pid)
}

fn close_foreign_descriptors(plan: &Plan<'_>) -> io::Result<()> {
    let mut keep = vec![2, plan.status.as_raw_fd(), plan.environment.as_raw_fd(), plan.output.as_raw_fd()];
    keep.extend(plan.log.into_iter().chain(plan.channel).map(AsRawFd::as_raw_fd));
    keep.extend(plan.joins.iter().map(AsRawFd::as_raw_fd));
    keep.extend(plan.memory.fds().into_iter().map(AsRawFd::as_raw_fd));
    if let Root::Copy(namespace) = &plan.root {
        keep.push(namespace.as_raw_fd());
    }
    sys::close_all_except(&keep)
}

/// The two addresses a function is told.
struct Addresses {
    runtime_api: String,
    endpoint: String,
}

/// Makes namespaces, mounts and listeners; ends inside the user namespace, whose maps are not written yet (root), or
/// are (ordinary user).
fn prepare(plan: &Plan<'_>) -> io::Result<(Addresses, File)> {
    let create = plan.create;
    let own_network = if create.egress == Egress::None { libc::CLONE_NEWNET } else { 0 };
    let others = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | own_network;
    let trees = match &plan.root {
        Root::Copy(skeleton) => {
            let trees = open_trees(create)?;
            sys::setns(skeleton, libc::CLONE_NEWNS).step("enter skeleton")?;
            sys::unshare(others).step("new namespaces")?;
            trees
        }
        Root::Build { at, key } => {
            let HostIds::Same { uid, gid } = plan.ids else {
                return Err(io::Error::other("only an ordinary user builds its root alone"));
            };
            fs::write("/proc/self/setgroups", "deny").step("deny setgroups")?;
            fs::write("/proc/self/uid_map", format!("{INSIDE_UID} {uid} 1")).step("map uid")?;
            fs::write("/proc/self/gid_map", format!("{INSIDE_GID} {gid} 1")).step("map gid")?;
            sys::unshare(others).step("new namespaces")?;
            let trees = open_trees(create)?;
            mounts::build_skeleton(key, at, Devices::Bind)?;
            trees
        }
    };
    sys::set_hostname(&create.hostname).step("set hostname")?;
    let ports = if create.egress == Egress::None {
        sys::bring_loopback_up().step("bring loopback up")?;
        (9001, 4566)
    } else {
        (0, 0)
    };
    let runtime_api = TcpListener::bind(("127.0.0.1", ports.0)).step("listen for the Runtime API")?;
    let endpoint = TcpListener::bind(("127.0.0.1", ports.1)).step("listen for AWS calls")?;
    let (uid, gid, devices) = match plan.ids {
        HostIds::Own { first } => (first, first, Devices::Make),
        HostIds::Same { .. } => (INSIDE_UID, INSIDE_GID, Devices::Bind),
    };
    mounts::assemble(trees.as_ref(), &Tmp { size_mb: create.tmp_mb, uid, gid }, devices)?;
    let tmp = File::open("/tmp").step("open /tmp")?;
    if matches!(plan.ids, HostIds::Own { .. }) {
        sys::unshare(libc::CLONE_NEWUSER).step("new user namespace")?;
    }
    let addresses = Addresses {
        runtime_api: runtime_api.local_addr()?.to_string(),
        endpoint: format!("http://{}", endpoint.local_addr()?),
    };
    let prepared =
        Report::Prepared { runtime_api: addresses.runtime_api.clone(), endpoint: addresses.endpoint.clone() };
    report(plan.status, &prepared, &[runtime_api.as_fd(), endpoint.as_fd(), tmp.as_fd()]);
    Ok((addresses, tmp))
}

fn open_trees(create: &Create) -> io::Result<Option<OwnTrees>> {
    create.folders.as_ref().map(OwnTrees::open).transpose()
}

/// Forks and executes the main program; returns its pid once exec has succeeded.
fn start_program(plan: &Plan<'_>, path: &str, argv: &[String], addresses: &Addresses) -> io::Result<i32> {
    let (mut errors, error_writer) = io::pipe()?;
    match sys::fork(0)? {
        Forked::Child => {
            drop(errors);
            // Above the numbers that the program's own descriptors get; closed by exec.
            let error_writer = sys::duplicate_above(error_writer, ABOVE_ALL_TARGETS)?;
            let error = match become_program(plan, path, argv, addresses, error_writer.as_raw_fd()) {
                Ok(error) => error,
                Err(error) => error,
            };
            // Nobody is left to tell if this fails, too: the supervisor then sees an exit.
            drop(File::from(error_writer).write_all(error.to_string().as_bytes()));
            sys::exit_now(126)
        }
        Forked::Parent { pid, pidfd: _ } => {
            drop(error_writer);
            let mut message = String::new();
            errors.read_to_string(&mut message)?;
            if message.is_empty() { Ok(pid) } else { Err(io::Error::other(message)) }
        }
    }
}

/// In the child: joins the cgroups, drops all privileges, executes. Returns the reason if that failed.
fn become_program(
    plan: &Plan<'_>,
    path: &str,
    argv: &[String],
    addresses: &Addresses,
    error_fd: RawFd,
) -> io::Result<io::Error> {
    for join in plan.joins {
        File::from(join.try_clone()?).write_all(b"0").step("join cgroup")?;
    }
    sys::new_session()?;
    std::env::set_current_dir("/var/task").step("enter /var/task")?;
    let environment = environment(plan, addresses)?;
    let argv: Vec<CString> = argv.iter().map(|text| c_string(text)).collect::<io::Result<_>>()?;
    let path_text = path;
    let path = c_string(path)?;
    place_descriptors(plan, error_fd)?;
    limit_process()?;
    sys_process::reset_signals();
    sys::set_umask(0o022);
    sys::drop_bounding_set().step("drop capabilities")?;
    sys::set_ids(INSIDE_UID, INSIDE_GID).step("become the function's user")?;
    sys::clear_capability_sets().step("drop capabilities")?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    for program in plan.seccomp {
        sys::set_seccomp(program).step("install seccomp filter")?;
    }
    let error = sys_process::exec(&path, &argv, &environment);
    Ok(io::Error::new(error.kind(), format!("execute {path_text}: {error}")))
}

/// Resource limits as on Lambda: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
fn limit_process() -> io::Result<()> {
    sys::limit_resource(libc::RLIMIT_NOFILE, 1024)?;
    sys::limit_resource(libc::RLIMIT_NPROC, 1024)?;
    sys::limit_resource(libc::RLIMIT_CORE, 0)?;
    sys::limit_resource(libc::RLIMIT_MEMLOCK, 64 * 1024)?;
    sys::limit_resource(libc::RLIMIT_MSGQUEUE, 0)
}

fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::other("NUL byte in an argument or variable"))
}

/// The function's environment: what it was given, and what only the sandbox knows.
fn environment(plan: &Plan<'_>, addresses: &Addresses) -> io::Result<Vec<CString>> {
    let file = File::from(plan.environment.try_clone()?);
    let length = file.metadata()?.len();
    if length > ENVIRONMENT_BYTES_MAX {
        return Err(io::Error::other("environment too large"));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0).step("read environment")?;
    let mut variables: Vec<CString> = Vec::new();
    for variable in bytes.split(|byte| *byte == 0).filter(|variable| !variable.is_empty()) {
        variables.push(CString::new(variable).expect("split at NUL"));
    }
    let mut add = |name: &str, value: &str| -> io::Result<()> {
        let start = format!("{name}=");
        if !variables.iter().any(|variable| variable.as_bytes().starts_with(start.as_bytes())) {
            variables.push(c_string(&format!("{start}{value}"))?);
        }
        Ok(())
    };
    add("AWS_LAMBDA_RUNTIME_API", &addresses.runtime_api)?;
    add("AWS_ENDPOINT_URL", &addresses.endpoint)?;
    if plan.channel.is_some() {
        add("_GUST_CHANNEL_FD", &CHANNEL_FD.to_string())?;
    }
    if plan.log.is_some() {
        add("_GUST_LOG_FD", &LOG_FD.to_string())?;
    }
    Ok(variables)
}

/// Puts the program's descriptors where it expects them, and closes all others (the error pipe: on exec).
fn place_descriptors(plan: &Plan<'_>, error_fd: RawFd) -> io::Result<()> {
    let null = sys::duplicate_above(File::open("/dev/null").step("open /dev/null")?, ABOVE_ALL_TARGETS)?;
    let output = sys::duplicate_above(plan.output, ABOVE_ALL_TARGETS)?;
    let copy = |fd: Option<&OwnedFd>| fd.map(|fd| sys::duplicate_above(fd, ABOVE_ALL_TARGETS)).transpose();
    let (channel, log) = (copy(plan.channel)?, copy(plan.log)?);
    sys::duplicate_to(null.as_raw_fd(), 0)?;
    sys::duplicate_to(output.as_raw_fd(), 1)?;
    sys::duplicate_to(output.as_raw_fd(), 2)?;
    let mut keep = vec![0, 1, 2, error_fd];
    if let Some(channel) = &channel {
        sys::duplicate_to(channel.as_raw_fd(), CHANNEL_FD)?;
        keep.push(CHANNEL_FD);
    }
    if let Some(log) = &log {
        sys::duplicate_to(log.as_raw_fd(), LOG_FD)?;
        keep.push(LOG_FD);
    }
    std::mem::forget((null, output, channel, log));
    sys::close_all_except(&keep)
}

/// The supervisor needs nothing any more but to wait and to die.
fn give_up_privileges(plan: &Plan<'_>) -> io::Result<()> {
    sys::drop_bounding_set().step("drop capabilities")?;
    if matches!(plan.ids, HostIds::Own { .. }) {
        sys::set_ids(SUPERVISOR_UID, SUPERVISOR_GID).step("become the supervisor's user")?;
    }
    sys::clear_capability_sets().step("drop capabilities")?;
    sys::prctl(libc::PR_SET_DUMPABLE, 0)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    // Cleared by the kernel when the uid changed.
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
}

/// Reaps until the main process or the spawner ends, or memory is exceeded. Returning ends PID 1, and with it all that
/// is inside.
fn watch(status: &OwnedFd, child_signals: &OwnedFd, mut memory: MemoryWatch, main_pid: Option<i32>) -> io::Result<()> {
    loop {
        let mut fds = vec![status, child_signals];
        fds.extend(memory.event.as_ref());
        let ready = sys_process::poll(&fds, memory.interval())?;
        let idle = !ready.contains(&true);
        if ready[1] && !reap_children(status, child_signals, main_pid) {
            return Ok(());
        }
        if ready[0] && !obey(status, &mut memory)? {
            return Ok(());
        }
        if (ready.get(2) == Some(&true) || idle) && memory.check()? == Verdict::Exceeded {
            report(status, &Report::OverMemory, &[]);
            return Ok(());
        }
    }
}

/// False: the main process has ended.
fn reap_children(status: &OwnedFd, child_signals: &OwnedFd, main_pid: Option<i32>) -> bool {
    sys_process::drain(child_signals);
    while let Some((pid, ended)) = sys_process::reap(-1, Wait::Poll) {
        if Some(pid) == main_pid {
            let (code, signal) = match ended {
                Ended::Exited(code) => (Some(code), None),
                Ended::Signalled(signal) => (None, Some(signal)),
            };
            report(status, &Report::Ended { code, signal }, &[]);
            return false;
        }
    }
    true
}

/// Takes one message of the spawner. False: it is gone.
fn obey(status: &OwnedFd, memory: &mut MemoryWatch) -> io::Result<bool> {
    let mut buffer = [0_u8; 16];
    let Some((length, _)) = sys::receive_message(status, &mut buffer)? else {
        return Ok(false);
    };
    let signal = match &buffer[..length] {
        STOP => libc::SIGSTOP,
        CONTINUE => libc::SIGCONT,
        _ => return Ok(true),
    };
    memory.paused = signal == libc::SIGSTOP;
    if memory.signals_processes() {
        // Fails only if nothing is there to be signalled.
        drop(sys_process::kill(-1, signal));
    }
    Ok(true)
}

/// Tells the spawner. If it is gone, the end of the status socket ends this process anyway.
fn report(status: &OwnedFd, report: &Report, fds: &[std::os::fd::BorrowedFd<'_>]) {
    if let Ok(bytes) = serde_json::to_vec(report) {
        drop(sys::send_message(status, &bytes, fds));
    }
}
