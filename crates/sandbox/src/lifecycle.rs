//! The steps of a sandbox's life in the spawner: created, prepared, entered, forked, ended.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Mode;
use crate::cgroup::Limits;
use crate::live::{Live, Phase, RuntimeFiles};
use crate::mounts::SkeletonKey;
use crate::network::Network;
use crate::protocol::{Create, Failure, MESSAGE_BYTES_MAX, Message, Report, RuntimeFds, Start, ZygoteReport};
use crate::spawner::{Source, Spawner, token};
use crate::supervisor::{self, GO, HostIds, INSIDE_GID, INSIDE_UID, Plan, Root, SUPERVISOR_GID, SUPERVISOR_UID};
use crate::sys::{self, Forked};
use crate::sys_process::{self, Ended, Wait};
use crate::zygotes::{ForkOrder, ZygoteEvent};

impl Spawner {
    /// Starts PID 1 of a new sandbox; the rest happens as it reports.
    pub(crate) fn create(&mut self, key: u64, mut create: Create, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        let files = runtime_files(&create, fds)?;
        let network = self.take_network(&mut create.egress).map_err(|error| Failure::setup("network", &error))?;
        let index = network.as_ref().map(|network| network.index);
        let created = self.create_in(key, create, files, network);
        if created.is_err()
            && let Some(index) = index
        {
            self.network.release(index);
        }
        created
    }

    fn create_in(
        &mut self,
        key: u64,
        create: Create,
        files: RuntimeFiles,
        network: Option<Network>,
    ) -> Result<(), Failure> {
        let as_root = matches!(self.capabilities.mode, Mode::RootV1 | Mode::RootV2);
        let slot = if as_root { Some(self.slots.take().ok_or(Failure::NoFreeSlot(self.slots.count))?) } else { None };
        let limits = Limits::new(create.memory_mb, create.tmp_mb, create.pids_max, create.init_boost);
        let result = self.start_supervisor(key, create, &files, network, slot, limits);
        match result {
            Ok(mut live) => {
                live.files = Some(files);
                self.live.insert(key, live);
                Ok(())
            }
            Err(error) => {
                if let Some(first) = slot {
                    self.slots.give_back(first);
                }
                Err(Failure::setup("create", &error))
            }
        }
    }

    fn start_supervisor(
        &mut self,
        key: u64,
        create: Create,
        files: &RuntimeFiles,
        network: Option<Network>,
        slot: Option<u32>,
        limits: Limits,
    ) -> io::Result<Live> {
        if let Start::Zygote { interpreter } = &create.start {
            let interpreter = interpreter.clone();
            self.ensure_zygote(&interpreter, create.prefix.as_deref())?;
        }
        let skeleton = SkeletonKey { prefix: create.prefix.clone(), node: create.node.clone(), egress: create.egress };
        let (root, ids) = match slot {
            Some(first) => (Root::Copy(self.skeletons.get(&skeleton)?.try_clone()?), HostIds::Own { first }),
            None => {
                let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
                let at = self.state_dir.join("root");
                (Root::Build { at, key: skeleton }, HostIds::Same { uid, gid })
            }
        };
        let cgroup = self.tree.create(&format!("{key}-{}", create.id), &limits)?;
        let files_of_cgroup = cgroup.join_files().and_then(|joins| Ok((joins, cgroup.memory_files()?)));
        let (status, there) = sys::seqpacket_pair()?;
        let namespaces = if slot.is_some() { libc::CLONE_NEWPID } else { libc::CLONE_NEWUSER | libc::CLONE_NEWPID };
        let forked = files_of_cgroup.and_then(|(joins, memory)| match sys::fork(namespaces)? {
            Forked::Child => supervisor::run(Plan {
                create: &create,
                status: &there,
                environment: &files.environment,
                output: &files.output,
                log: files.log.as_ref(),
                channel: files.channel.as_ref(),
                extension_output: files.extension_output.as_ref(),
                joins: &joins,
                memory,
                memory_bytes: limits.memory_bytes,
                root,
                network: network.as_ref().map(|network| &network.namespace),
                ids,
                seccomp: &self.seccomp,
            }),
            Forked::Parent { pid, pidfd } => Ok((pid, pidfd)),
        });
        let (pid, pidfd) = match forked {
            Ok(process) => process,
            Err(error) => {
                cgroup.remove();
                return Err(error);
            }
        };
        self.epoll.add(&status, token(Source::Status, key))?;
        self.epoll.add(&pidfd, token(Source::Process, key))?;
        let live = Live {
            key,
            create,
            phase: Phase::Preparing,
            cgroup,
            network: network.map(|network| network.index),
            slot,
            pid,
            pidfd,
            status,
            files: None,
            listeners: Vec::new(),
            addresses: Default::default(),
            tmp: None,
            main: None,
            socket_requests: VecDeque::new(),
            exit: None,
            over_memory: false,
            frozen: false,
        };
        Ok(live)
    }

    /// A supervisor's status socket is readable.
    pub(crate) fn receive_report(&mut self, key: u64) {
        let Some(live) = self.live.get_mut(&key) else { return };
        let mut buffer = vec![0_u8; MESSAGE_BYTES_MAX];
        let received = sys::receive_message(&live.status, &mut buffer);
        let Ok(Some((length, fds))) = received else {
            // Its end is handled when the process is reaped.
            drop(self.epoll.remove(&live.status));
            live.kill();
            return;
        };
        let result = match serde_json::from_slice(&buffer[..length]) {
            Ok(Report::Prepared { runtime_api, endpoint }) => {
                live.addresses = (runtime_api, endpoint);
                self.prepared(key, fds).map_err(|error| Failure::setup("enter sandbox", &error))
            }
            Ok(Report::Entered) => self.entered(key, fds).map_err(|error| Failure::setup("start program", &error)),
            Ok(Report::Failed(failure)) => Err(failure),
            Ok(Report::ExtensionEnded { index, end }) => {
                self.send(&Message::ExtensionEnded { key, index, end }, &[]);
                Ok(())
            }
            Ok(Report::Socket) => {
                if let Some(request) = live.socket_requests.pop_front() {
                    self.send(&Message::Socket { request }, &fds);
                }
                Ok(())
            }
            Ok(Report::OverMemory) => {
                live.over_memory = true;
                Ok(())
            }
            Ok(Report::Ended { code, signal }) => {
                self.main_ended(key, code, signal);
                Ok(())
            }
            Err(error) => Err(Failure::setup("read supervisor report", &error)),
        };
        if let Err(failure) = result {
            self.give_up(key, failure);
        }
    }

    /// The supervisor's last words, if the end of a process is noticed before they are read.
    fn receive_pending_report(&mut self, key: u64) {
        if let Some(live) = self.live.get(&key)
            && live.exit.is_none()
            && sys_process::poll(&[&live.status], Some(Duration::ZERO)).is_ok_and(|ready| ready[0])
        {
            self.receive_report(key);
        }
    }

    /// Namespaces and mounts stand: write the id maps and let it go on.
    fn prepared(&mut self, key: u64, mut fds: Vec<OwnedFd>) -> io::Result<()> {
        let Some(live) = self.live.get_mut(&key) else { return Ok(()) };
        if fds.len() != 3 {
            return Err(io::Error::other("listeners missing"));
        }
        live.tmp = fds.pop();
        live.listeners = fds;
        if let Some(first) = live.slot {
            let second = first + 1;
            let proc = PathBuf::from(format!("/proc/{}", live.pid));
            fs::write(proc.join("setgroups"), "deny")?;
            fs::write(proc.join("gid_map"), format!("{INSIDE_GID} {first} 1\n{SUPERVISOR_GID} {second} 1\n"))?;
            fs::write(proc.join("uid_map"), format!("{INSIDE_UID} {first} 1\n{SUPERVISOR_UID} {second} 1\n"))?;
        }
        live.phase = Phase::Entering;
        sys::send_message(&live.status, GO, &[])
    }

    /// PID 1 has its final identity: an executed program runs; a Python function can be forked into it.
    fn entered(&mut self, key: u64, mut fds: Vec<OwnedFd>) -> io::Result<()> {
        let Some(live) = self.live.get_mut(&key) else { return Ok(()) };
        live.main = fds.pop();
        let Start::Zygote { interpreter } = &live.create.start else {
            live.files = None;
            self.created(key);
            return Ok(());
        };
        let files = live.files.take().ok_or_else(|| io::Error::other("entered twice"))?;
        let joins = live.cgroup.join_files()?;
        let cgroups = joins.len();
        let missing = || io::Error::other("a Python sandbox needs channel and log");
        let mut fds = vec![live.pidfd.try_clone()?, files.environment];
        fds.extend([files.channel.ok_or_else(missing)?, files.output, files.log.ok_or_else(missing)?]);
        fds.extend(joins);
        let (runtime_api, endpoint) = live.addresses.clone();
        let order = ForkOrder { key, uid: INSIDE_UID, gid: INSIDE_GID, runtime_api, endpoint, fds, cgroups };
        live.phase = Phase::Forking;
        self.zygotes.order(interpreter, order)
    }

    /// The daemon gets its sandbox.
    fn created(&mut self, key: u64) {
        let Some(live) = self.live.get_mut(&key) else { return };
        live.phase = Phase::Running;
        let listeners = std::mem::take(&mut live.listeners);
        let (pid, uid) = (live.pid, live.slot);
        self.send(&Message::Created { request: key, pid, uid }, &listeners);
    }

    /// Setting up failed: says why, and ends what there is of it.
    fn give_up(&mut self, key: u64, failure: Failure) {
        let Some(live) = self.live.get_mut(&key) else { return };
        live.kill();
        if live.phase != Phase::Running && live.exit.is_none() {
            live.ended(None, Some(libc::SIGKILL));
            self.send(&Message::Failed { request: key, failure }, &[]);
        }
    }

    fn main_ended(&mut self, key: u64, code: Option<i32>, signal: Option<i32>) {
        self.receive_pending_report(key);
        let Some(live) = self.live.get_mut(&key) else { return };
        if live.exit.is_none() {
            let exit = live.ended(code, signal);
            self.send(&Message::Exited { key, exit }, &[]);
        }
        // Extensions have time to end; then the daemon kills what is left.
        if let Some(live) = self.live.get_mut(&key)
            && live.create.extensions.is_empty()
        {
            live.kill();
        }
    }

    /// PID 1 has ended, so everything inside has: the kernel reaps a pid namespace before its PID 1.
    pub(crate) fn supervisor_ended(&mut self, key: u64) {
        self.receive_pending_report(key);
        let Some(mut live) = self.live.remove(&key) else { return };
        sys_process::reap(live.pid, Wait::Block);
        if live.exit.is_none() {
            let exit = live.ended(None, Some(libc::SIGKILL));
            if live.phase == Phase::Running {
                self.send(&Message::Exited { key, exit }, &[]);
            } else {
                let failure = Failure::setup("start", &"the sandbox ended while it was being set up");
                self.send(&Message::Failed { request: key, failure }, &[]);
            }
        }
        if let Some(first) = live.slot {
            self.slots.give_back(first);
        }
        if let Some(index) = live.network {
            self.network.release(index);
        }
        self.remove_cgroup(live.key, live.cgroup);
    }

    /// A zygote's socket is readable.
    pub(crate) fn zygote_event(&mut self, number: usize) {
        let Some(interpreter) = self.zygote_paths.get(number).cloned() else { return };
        if let Some(socket) = self.zygotes.socket(&interpreter)
            && let Ok(waiting) = socket.try_clone()
        {
            let warmers = self.zygotes.take_warmers(&interpreter);
            match self.zygotes.receive(&interpreter) {
                Ok(ZygoteEvent::Report(report)) => {
                    for request in warmers {
                        self.send(&Message::Done { request }, &[]);
                    }
                    self.zygote_report(report);
                }
                result => {
                    drop(self.epoll.remove(&waiting));
                    let mut failed = self.zygotes.remove(&interpreter);
                    if let Ok(ZygoteEvent::Gone { failed: more }) = result {
                        failed.extend(more);
                    }
                    let failure = Failure::setup("fork", &"the Python zygote ended");
                    for request in warmers {
                        self.send(&Message::Failed { request, failure: failure.clone() }, &[]);
                    }
                    for key in failed {
                        self.give_up(key, failure.clone());
                    }
                    self.orphaned(&interpreter);
                }
            }
        }
    }

    /// Nobody would report the end of functions forked from a zygote that is gone: they end with it.
    fn orphaned(&mut self, gone: &Path) {
        let from_it = |live: &&Live| {
            live.phase == Phase::Running
                && matches!(&live.create.start, Start::Zygote { interpreter } if interpreter == gone)
        };
        let keys: Vec<u64> = self.live.values().filter(from_it).map(|live| live.key).collect();
        for key in keys {
            self.main_ended(key, None, Some(libc::SIGKILL));
        }
    }

    fn zygote_report(&mut self, report: ZygoteReport) {
        match report {
            ZygoteReport::Ready => {}
            ZygoteReport::Forked { key } => self.created(key),
            ZygoteReport::Failed { key, message } => self.give_up(key, Failure::setup("fork", &message)),
            ZygoteReport::Ended { key, status } => match Ended::from_raw(status) {
                Ended::Exited(code) => self.main_ended(key, Some(code), None),
                Ended::Signalled(signal) => self.main_ended(key, None, Some(signal)),
            },
        }
    }
}

fn runtime_files(create: &Create, fds: Vec<OwnedFd>) -> Result<RuntimeFiles, Failure> {
    let which = create.runtime_fds;
    let missing = || Failure::Invalid("descriptors missing".to_owned());
    let mut fds = fds.into_iter();
    let environment = fds.next().ok_or_else(missing)?;
    let output = fds.next().ok_or_else(missing)?;
    let log = (which != RuntimeFds::None).then(|| fds.next().ok_or_else(missing)).transpose()?;
    let channel = (which == RuntimeFds::LogAndChannel).then(|| fds.next().ok_or_else(missing)).transpose()?;
    let extension_output = (!create.extensions.is_empty()).then(|| fds.next().ok_or_else(missing)).transpose()?;
    Ok(RuntimeFiles { environment, output, log, channel, extension_output })
}
