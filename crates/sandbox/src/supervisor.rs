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
use crate::cgroup::Cgroup;
use crate::extension_processes;
use crate::memory_watch::{MemoryFiles, MemoryWatch};
use crate::mounts::{self, Devices, OwnTrees, SkeletonKey, Step, Tmp};
use crate::protocol::{Create, Failure, Report, Start};
use crate::stub;
use crate::supervisor_watch::Watch;
use crate::sys::{self, Forked};
use crate::sys_process;

/// The function's user and group inside: Lambda's `sbx_user1051`.
pub(crate) const INSIDE_UID: u32 = 993;
pub(crate) const INSIDE_GID: u32 = 990;
/// The supervisor's, where it has its own.
pub(crate) const SUPERVISOR_UID: u32 = 994;
pub(crate) const SUPERVISOR_GID: u32 = 991;

/// Where the function's descriptors are, for a Python runtime that is executed.
const CHANNEL_FD: RawFd = 3;
const LOG_FD: RawFd = 4;
pub(crate) const ABOVE_ALL_TARGETS: RawFd = 10;

/// The size of `/tmp` before the function is known: it is empty then.
const TMP_MB_AT_FIRST: u32 = 1;

/// On the kernel's scale of -1000 to 1000: when the host runs out of memory, functions go first.
pub(crate) const OOM_SCORE_ADJ: &str = "500";

/// Spawner to supervisor: the maps are written, go on.
pub(crate) const GO: &[u8] = b"G";
/// Spawner to supervisor, where there is no freezer: stop or continue every process.
pub(crate) const STOP: &[u8] = b"S";
pub(crate) const CONTINUE: &[u8] = b"C";
/// Spawner to supervisor: let the program start that waits for the extensions.
pub(crate) const START: &[u8] = b"R";
/// Spawner to supervisor, with a number of bytes: the function may have that much memory.
pub(crate) const WATCH: &[u8] = b"M";
/// Spawner to supervisor: send a TCP socket of this network.
pub(crate) const SOCKET: &[u8] = b"N";

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
    pub extension_output: Option<&'a OwnedFd>,
    /// Not there yet.
    pub cgroup: Cgroup,
    /// Files to join them with, once they are there.
    pub joins: Vec<OwnedFd>,
    pub root: Root,
    /// The network namespace that was made for it ([`Egress::Nat`]).
    pub network: Option<&'a OwnedFd>,
    pub ids: HostIds,
    /// The last part of the filter; this process has inherited the first.
    pub seccomp: &'a [u8],
}

/// Runs PID 1 of a sandbox in a process just forked into a new pid namespace.
pub(crate) fn run(plan: Plan<'_>) -> ! {
    let status = plan.status;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| supervise(plan, status)));
    let code = match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            let failure = match error.get_ref().and_then(|source| source.downcast_ref::<NotExecuted>()) {
                Some(NotExecuted(cause)) => Failure::NotExecuted(cause.clone()),
                None => Failure::setup("sandbox", &error),
            };
            report(status, &Report::Failed(failure), &[]);
            1
        }
        Err(_) => 70,
    };
    sys::exit_now(code)
}

fn supervise(mut plan: Plan<'_>, status: &OwnedFd) -> io::Result<()> {
    close_foreign_descriptors(&plan)?;
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)?;
    sys::set_process_name(c"gust-supervisor")?;
    if matches!(plan.ids, HostIds::Same { .. }) {
        // A fork of a process that is not dumpable: its own /proc files would be root's until this is undone.
        sys::prctl(libc::PR_SET_DUMPABLE, 1)?;
    }
    fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ).step("set oom_score_adj")?;
    sys::new_session().step("new session")?;
    let child_signals = sys_process::child_signal_fd().step("watch children")?;
    let memory = make_cgroup(&mut plan).step("make cgroups")?;
    let (addresses, tmp) = prepare(&plan)?;
    let mut buffer = [0_u8; 16];
    match sys::receive_message(plan.status, &mut buffer)? {
        Some((1, _)) if buffer[..1] == *GO => {}
        _ => return Err(io::Error::other("the spawner did not let it go on")),
    }
    let extensions = extension_processes::start(&plan, &addresses);
    let (gate_reader, gate) = if extensions.is_empty() { (None, None) } else { io::pipe().map(halves)? };
    let main = match &plan.create.start {
        Start::Exec { path, argv } => {
            Some(start_program(&plan, &main_program(&plan, path, argv, gate_reader)?, &addresses)?)
        }
        Start::Stub => Some(stub::start(&plan, &addresses)?),
        Start::Zygote(_) => None,
    };
    give_up_privileges(&plan)?;
    let mut keep = vec![status.as_raw_fd(), child_signals.as_raw_fd(), tmp.as_raw_fd()];
    keep.extend(memory.fds().into_iter().chain(&gate).map(AsRawFd::as_raw_fd));
    keep.extend(main.iter().map(|main| main.pidfd.as_raw_fd()));
    sys::close_all_except(&keep)?;
    let pidfd: Vec<_> = main.iter().map(|main| main.pidfd.as_fd()).collect();
    report(status, &Report::Entered, &pidfd);
    let limit_bytes = plan.create.limits().map(|limits| limits.memory_bytes);
    let memory = MemoryWatch::start(memory, tmp, limit_bytes).step("watch memory")?;
    Watch { status, child_signals, memory, main_pid: main.map(|main| main.pid), extensions, gate }.run()
}

/// Both ends of a pipe, reader first.
fn halves((reader, writer): (io::PipeReader, io::PipeWriter)) -> (Option<OwnedFd>, Option<OwnedFd>) {
    (Some(reader.into()), Some(writer.into()))
}

fn main_program<'a>(
    plan: &Plan<'a>,
    path: &'a str,
    argv: &'a [String],
    gate: Option<OwnedFd>,
) -> io::Result<Executable<'a>> {
    let gate = gate.map(|gate| sys::duplicate_above(gate, ABOVE_ALL_TARGETS)).transpose()?;
    let (output, log, channel) = (plan.output, plan.log, plan.channel);
    Ok(Executable { path, argv, output, log, channel, directory: "/var/task", hidden: &[], gate })
}

/// What is executed, and how.
pub(crate) struct Executable<'a> {
    pub path: &'a str,
    pub argv: &'a [String],
    pub output: &'a OwnedFd,
    pub log: Option<&'a OwnedFd>,
    pub channel: Option<&'a OwnedFd>,
    pub directory: &'a str,
    /// Variables that it does not get.
    pub hidden: &'a [&'a str],
    /// It waits for a byte of this pipe before it is executed.
    pub gate: Option<OwnedFd>,
}

/// A process that was started.
pub(crate) struct Process {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

/// A program could not be executed, which is its owner's fault.
#[derive(Debug)]
pub(crate) struct NotExecuted(pub String);

impl std::fmt::Display for NotExecuted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for NotExecuted {}

/// What begins the message of a process that could not be executed, as Lambda words it.
const NOT_EXECUTED: &str = "fork/exec ";

/// The system's reason in Lambda's words: `permission denied`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn close_foreign_descriptors(plan: &Plan<'_>) -> io::Result<()> {
    let mut keep = vec![2, plan.status.as_raw_fd(), plan.environment.as_raw_fd(), plan.output.as_raw_fd()];
    let pipes = plan.log.into_iter().chain(plan.channel).chain(plan.extension_output);
    keep.extend(pipes.map(AsRawFd::as_raw_fd));
    if let Root::Copy(namespace) = &plan.root {
        keep.push(namespace.as_raw_fd());
    }
    keep.extend(plan.network.map(AsRawFd::as_raw_fd));
    sys::close_all_except(&keep)
}

/// Makes the sandbox's cgroups, whose folders nobody inside sees, and opens what is needed of them.
fn make_cgroup(plan: &mut Plan<'_>) -> io::Result<MemoryFiles> {
    plan.cgroup.make()?;
    if let Some(limits) = plan.create.limits() {
        plan.cgroup.limit(&limits)?;
    }
    plan.joins = plan.cgroup.join_files()?;
    plan.cgroup.memory_files()
}

/// The two addresses a function is told.
pub(crate) struct Addresses {
    runtime_api: String,
    endpoint: String,
}

/// Makes namespaces, mounts and listeners; ends inside the user namespace, whose maps are not written yet (root), or
/// are (ordinary user).
fn prepare(plan: &Plan<'_>) -> io::Result<(Addresses, File)> {
    let create = plan.create;
    let own_network = if create.egress == Egress::None { libc::CLONE_NEWNET } else { 0 };
    let others = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | own_network;
    if let Some(network) = plan.network {
        sys::setns(network, libc::CLONE_NEWNET).step("enter the network")?;
    }
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
    if create.egress == Egress::None {
        sys::bring_loopback_up().step("bring loopback up")?;
    }
    let ports = if create.egress == Egress::Host { (0, 0) } else { (9001, 4566) };
    let runtime_api = TcpListener::bind(("127.0.0.1", ports.0)).step("listen for the Runtime API")?;
    let endpoint = TcpListener::bind(("127.0.0.1", ports.1)).step("listen for AWS calls")?;
    let (uid, gid, devices) = match plan.ids {
        HostIds::Own { first } => (first, first, Devices::Make),
        HostIds::Same { .. } => (INSIDE_UID, INSIDE_GID, Devices::Bind),
    };
    let size_mb = create.sizes.map_or(TMP_MB_AT_FIRST, |sizes| sizes.tmp_mb);
    mounts::assemble(trees.as_ref(), &Tmp { size_mb, uid, gid }, devices)?;
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
    let mut fds = vec![runtime_api.as_fd(), endpoint.as_fd(), tmp.as_fd()];
    if matches!(create.start, Start::Zygote(_)) {
        // What the zygote forks joins by itself.
        fds.extend(plan.joins.iter().map(AsFd::as_fd));
    }
    report(plan.status, &prepared, &fds);
    Ok((addresses, tmp))
}

fn open_trees(create: &Create) -> io::Result<Option<OwnTrees>> {
    create.folders.as_ref().map(OwnTrees::open).transpose()
}

/// Forks and executes a program; returns once exec has succeeded, or at once for one that waits at its gate.
pub(crate) fn start_program(plan: &Plan<'_>, program: &Executable<'_>, addresses: &Addresses) -> io::Result<Process> {
    let (mut errors, error_writer) = io::pipe()?;
    match sys::fork(0)? {
        Forked::Child => {
            drop(errors);
            // Nobody waits for the error of one that is started later: it stands in its log.
            let to_errors = match program.gate {
                Some(_) => sys::duplicate_above(program.output, ABOVE_ALL_TARGETS)?,
                // Above the numbers that the program's own descriptors get; closed by exec.
                None => sys::duplicate_above(error_writer, ABOVE_ALL_TARGETS)?,
            };
            let error = match become_program(plan, program, addresses, to_errors.as_raw_fd()) {
                Ok(error) => error,
                Err(error) => error,
            };
            // Nobody is left to tell if this fails, too: the supervisor then sees an exit.
            drop(File::from(to_errors).write_all(error.to_string().as_bytes()));
            sys::exit_now(126)
        }
        Forked::Parent { pid, pidfd } => {
            drop(error_writer);
            let mut message = String::new();
            if program.gate.is_none() {
                errors.read_to_string(&mut message)?;
            }
            match message.as_str() {
                "" => Ok(Process { pid, pidfd }),
                text if text.starts_with(NOT_EXECUTED) => Err(io::Error::other(NotExecuted(message))),
                _ => Err(io::Error::other(message)),
            }
        }
    }
}

/// In the child: joins the cgroups, drops all privileges, executes. Returns the reason if that failed.
fn become_program(
    plan: &Plan<'_>,
    program: &Executable<'_>,
    addresses: &Addresses,
    error_fd: RawFd,
) -> io::Result<io::Error> {
    join_cgroups(plan)?;
    sys::new_session()?;
    std::env::set_current_dir(program.directory).step("enter the working directory")?;
    let environment = environment(plan, program, addresses)?;
    let argv: Vec<CString> = program.argv.iter().map(|text| c_string(text)).collect::<io::Result<_>>()?;
    let path = c_string(program.path)?;
    place_descriptors(program, error_fd)?;
    confine(plan)?;
    if let Some(gate) = &program.gate {
        let mut byte = [0];
        // The end: the supervisor has gone, and this process with it in a moment.
        File::from(gate.try_clone()?).read_exact(&mut byte).step("wait for the extensions")?;
    }
    let error = sys_process::exec(&path, &argv, &environment);
    Ok(io::Error::other(format!("{NOT_EXECUTED}{}: {}", program.path, reason(&error))))
}

/// Enters the sandbox's cgroups.
pub(crate) fn join_cgroups(plan: &Plan<'_>) -> io::Result<()> {
    plan.joins.iter().try_for_each(|join| File::from(join.try_clone()?).write_all(b"0")).step("join cgroup")
}

/// Gives up everything that makes this process more than the function's own.
pub(crate) fn confine(plan: &Plan<'_>) -> io::Result<()> {
    limit_process(plan.create.pids_max)?;
    sys_process::reset_signals();
    sys::set_umask(0o022);
    sys::drop_bounding_set().step("drop capabilities")?;
    sys::set_ids(INSIDE_UID, INSIDE_GID).step("become the function's user")?;
    sys::clear_capability_sets().step("drop capabilities")?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    sys::set_seccomp(plan.seccomp).step("install seccomp filter")
}

/// Resource limits as on Lambda: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.
fn limit_process(pids_max: u32) -> io::Result<()> {
    sys::limit_resource(libc::RLIMIT_NOFILE, 1024)?;
    sys::limit_resource(libc::RLIMIT_NPROC, pids_max.into())?;
    sys::limit_resource(libc::RLIMIT_CORE, 0)?;
    sys::limit_resource(libc::RLIMIT_MEMLOCK, 64 * 1024)?;
    sys::limit_resource(libc::RLIMIT_MSGQUEUE, 0)
}

pub(crate) fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::other("NUL byte in an argument or variable"))
}

/// The function's environment: what it was given, and what only the sandbox knows.
fn environment(plan: &Plan<'_>, program: &Executable<'_>, addresses: &Addresses) -> io::Result<Vec<CString>> {
    let file = File::from(plan.environment.try_clone()?);
    let length = file.metadata()?.len();
    if length > ENVIRONMENT_BYTES_MAX {
        return Err(io::Error::other("environment too large"));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0).step("read environment")?;
    let mut variables: Vec<CString> = Vec::new();
    for variable in bytes.split(|byte| *byte == 0).filter(|variable| !variable.is_empty()) {
        let name = variable.split(|byte| *byte == b'=').next().unwrap_or_default();
        if !program.hidden.iter().any(|hidden| hidden.as_bytes() == name) {
            variables.push(CString::new(variable).expect("split at NUL"));
        }
    }
    addresses.add_to(&mut variables)?;
    if program.channel.is_some() {
        add(&mut variables, "_GUST_CHANNEL_FD", &CHANNEL_FD.to_string())?;
    }
    if program.log.is_some() {
        add(&mut variables, "_GUST_LOG_FD", &LOG_FD.to_string())?;
    }
    Ok(variables)
}

impl Addresses {
    /// What only the sandbox knows, unless the function sets it.
    pub(crate) fn add_to(&self, variables: &mut Vec<CString>) -> io::Result<()> {
        add(variables, "AWS_LAMBDA_RUNTIME_API", &self.runtime_api)?;
        add(variables, "AWS_ENDPOINT_URL", &self.endpoint)
    }
}

fn add(variables: &mut Vec<CString>, name: &str, value: &str) -> io::Result<()> {
    let start = format!("{name}=");
    if !variables.iter().any(|variable| variable.as_bytes().starts_with(start.as_bytes())) {
        variables.push(c_string(&format!("{start}{value}"))?);
    }
    Ok(())
}

/// Puts the program's descriptors where it expects them, and closes all others (the error pipe: on exec).
fn place_descriptors(program: &Executable<'_>, error_fd: RawFd) -> io::Result<()> {
    let copy = |fd: Option<&OwnedFd>| fd.map(|fd| sys::duplicate_above(fd, ABOVE_ALL_TARGETS)).transpose();
    let (channel, log) = (copy(program.channel)?, copy(program.log)?);
    place_standard_descriptors(program.output)?;
    let mut keep = vec![0, 1, 2, error_fd];
    keep.extend(program.gate.as_ref().map(AsRawFd::as_raw_fd));
    if let Some(channel) = &channel {
        sys::duplicate_to(channel.as_raw_fd(), CHANNEL_FD)?;
        keep.push(CHANNEL_FD);
    }
    if let Some(log) = &log {
        sys::duplicate_to(log.as_raw_fd(), LOG_FD)?;
        keep.push(LOG_FD);
    }
    std::mem::forget((channel, log));
    sys::close_all_except(&keep)
}

/// Standard input is empty, output and error are the pipe that the daemon reads.
pub(crate) fn place_standard_descriptors(output: &OwnedFd) -> io::Result<()> {
    let null = sys::duplicate_above(File::open("/dev/null").step("open /dev/null")?, ABOVE_ALL_TARGETS)?;
    let output = sys::duplicate_above(output, ABOVE_ALL_TARGETS)?;
    sys::duplicate_to(null.as_raw_fd(), 0)?;
    sys::duplicate_to(output.as_raw_fd(), 1)?;
    sys::duplicate_to(output.as_raw_fd(), 2)
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

/// Tells the spawner. If it is gone, the end of the status socket ends this process anyway.
pub(crate) fn report(status: &OwnedFd, report: &Report, fds: &[std::os::fd::BorrowedFd<'_>]) {
    if let Ok(bytes) = serde_json::to_vec(report) {
        drop(sys::send_message(status, &bytes, fds));
    }
}
