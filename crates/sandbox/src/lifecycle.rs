//! The steps of a sandbox's life in the spawner: created, prepared, entered, forked, ended.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::Mode;
use crate::cradle::{self, Answer, Cradle, Order, Setting, cgroup_name};
use crate::live::{Live, Phase, RuntimeFiles, Supervisor};
use crate::network::Network;
use crate::protocol::{Create, Failure, Message, Report, Start, ZygoteKey, ZygoteReport};
use crate::spawner::{Source, Spawner, token};
use crate::supervisor::{GO, INSIDE_GID, INSIDE_UID, SUPERVISOR_GID, SUPERVISOR_UID};
use crate::sys;
use crate::sys_process::{self, Ended, Wait};
use crate::zygotes::{ForkOrder, ZygoteEvent};

impl Spawner {
    /// Has PID 1 of a new sandbox forked; the rest happens as it reports.
    pub(crate) fn create(&mut self, key: u64, mut create: Create, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        let files = RuntimeFiles::new(&create, fds.into_iter())
            .ok_or_else(|| Failure::Invalid("descriptors missing".to_owned()))?;
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
        match self.order_supervisor(key, create, files, network, slot) {
            Ok(live) => {
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

    fn order_supervisor(
        &mut self,
        key: u64,
        mut create: Create,
        files: RuntimeFiles,
        network: Option<Network>,
        slot: Option<u32>,
    ) -> io::Result<Live> {
        if let Start::Zygote(zygote) = &mut create.start {
            if zygote.sdk.is_some() {
                // Loading the SDK takes a while: nobody waits for it, and who comes before it is done loads it alone.
                let started = self.ensure_zygote(zygote, create.prefix.as_deref());
                if started.is_err() || !self.zygotes.is_ready(zygote) {
                    zygote.sdk = None;
                }
            }
            self.ensure_zygote(zygote, create.prefix.as_deref())?;
        }
        let cgroup = self.tree.place(&cgroup_name(key, &create), create.limits().as_ref());
        let (status, there) = sys::seqpacket_pair()?;
        let order = Order { key, create, slot, has_network: network.is_some() };
        let mut fds = vec![&there];
        if slot.is_some() {
            fds.push(self.skeletons.get(&cradle::skeleton_key(&order.create))?);
        }
        fds.extend(network.as_ref().map(|network| &network.namespace));
        fds.extend(files.all());
        self.cradle.order(&order, &fds)?;
        self.epoll.add(&status, token(Source::Status, key))?;
        // The zygote's child gets its files from here; what is executed has them by now.
        let files = matches!(order.create.start, Start::Zygote(_)).then_some(files);
        Ok(Live {
            key,
            create: order.create,
            phase: Phase::Preparing,
            cgroup,
            network: network.map(|network| network.index),
            slot,
            supervisor: None,
            status,
            files,
            listeners: Vec::new(),
            addresses: Default::default(),
            tmp: None,
            joins: Vec::new(),
            doomed: false,
            main: None,
            socket_requests: VecDeque::new(),
            exit: None,
            over_memory: false,
            frozen: false,
        })
    }

    /// The cradle's socket is readable.
    pub(crate) fn cradle_event(&mut self) -> io::Result<()> {
        let (answer, pidfd) = match self.cradle.receive(&mut self.buffer) {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(_) => return self.replace_cradle(),
        };
        match (answer, pidfd) {
            (Answer::Born { key, pid }, Some(pidfd)) => self.born(key, Supervisor { pid, pidfd }),
            (Answer::Born { key, .. }, None) => self.stillborn(key, "its process has no descriptor"),
            (Answer::Failed { key, message }, _) => self.stillborn(key, &message),
        }
        Ok(())
    }

    fn born(&mut self, key: u64, supervisor: Supervisor) {
        let watched = self.epoll.add(&supervisor.pidfd, token(Source::Process, key));
        let Some(live) = self.live.get_mut(&key) else { return };
        live.supervisor = Some(supervisor);
        if live.doomed || watched.is_err() {
            live.kill();
        }
        if !live.listeners.is_empty()
            && let Err(error) = self.map_ids(key)
        {
            self.give_up(key, Failure::setup("enter sandbox", &error));
        }
    }

    /// There is no process.
    fn stillborn(&mut self, key: u64, reason: &str) {
        let Some(live) = self.live.remove(&key) else { return };
        if live.exit.is_none() {
            self.send(&Message::Failed { request: key, failure: Failure::setup("create", &reason) }, &[]);
        }
        self.bury(live);
    }

    /// The cradle ended: so did all starts that it had not carried out.
    fn replace_cradle(&mut self) -> io::Result<()> {
        drop(self.epoll.remove(&self.cradle.socket));
        let unborn: Vec<u64> =
            self.live.values().filter(|live| live.supervisor.is_none()).map(|live| live.key).collect();
        for key in unborn {
            self.stillborn(key, "the process that makes sandboxes ended");
        }
        let setting = Setting { tree: &self.tree, state_dir: &self.state_dir, seccomp: &self.seccomp.last };
        self.cradle = Cradle::start(&setting)?;
        self.epoll.add(&self.cradle.socket, token(Source::Cradle, 0))
    }

    /// A supervisor's status socket is readable.
    pub(crate) fn receive_report(&mut self, key: u64) {
        let Some(live) = self.live.get_mut(&key) else { return };
        let received = sys::receive_message(&live.status, &mut self.buffer);
        let Ok(Some((length, fds))) = received else {
            // Its end is handled when the process is reaped.
            drop(self.epoll.remove(&live.status));
            live.kill();
            return;
        };
        let result = match serde_json::from_slice(&self.buffer[..length]) {
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

    /// Namespaces and mounts stand.
    fn prepared(&mut self, key: u64, mut fds: Vec<OwnedFd>) -> io::Result<()> {
        let Some(live) = self.live.get_mut(&key) else { return Ok(()) };
        if fds.len() < 3 {
            return Err(io::Error::other("listeners missing"));
        }
        live.joins = fds.split_off(3);
        live.tmp = fds.pop();
        live.listeners = fds;
        self.map_ids(key)
    }

    /// Writes the id maps and lets PID 1 go on, once it is known who that is.
    fn map_ids(&mut self, key: u64) -> io::Result<()> {
        let Some(live) = self.live.get_mut(&key) else { return Ok(()) };
        let Some(supervisor) = &live.supervisor else { return Ok(()) };
        if let Some(first) = live.slot {
            let second = first + 1;
            let proc = PathBuf::from(format!("/proc/{}", supervisor.pid));
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
        let Start::Zygote(zygote) = &live.create.start else {
            self.created(key);
            return Ok(());
        };
        let files = live.files.take().ok_or_else(|| io::Error::other("entered twice"))?;
        let joins = std::mem::take(&mut live.joins);
        let cgroups = joins.len();
        let supervisor = live.supervisor.as_ref().ok_or_else(|| io::Error::other("entered before it was born"))?;
        let missing = || io::Error::other("a Python sandbox needs channel and log");
        let mut fds = vec![supervisor.pidfd.try_clone()?, files.environment];
        fds.extend([files.channel.ok_or_else(missing)?, files.output, files.log.ok_or_else(missing)?]);
        fds.extend(joins);
        let (runtime_api, endpoint) = live.addresses.clone();
        let (pids_max, vacant) = (live.create.pids_max, live.create.folders.is_none());
        let (uid, gid) = (INSIDE_UID, INSIDE_GID);
        let order = ForkOrder { key, uid, gid, pids_max, vacant, runtime_api, endpoint, fds, cgroups };
        live.phase = Phase::Forking;
        self.zygotes.order(zygote, order)
    }

    /// The daemon gets its sandbox.
    fn created(&mut self, key: u64) {
        let Some(live) = self.live.get_mut(&key) else { return };
        live.phase = Phase::Running;
        let listeners = std::mem::take(&mut live.listeners);
        let (pid, uid) = (live.supervisor.as_ref().map_or(0, |supervisor| supervisor.pid), live.slot);
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
        if let Some(supervisor) = &live.supervisor {
            sys_process::reap(supervisor.pid, Wait::Block);
        }
        if live.exit.is_none() {
            let exit = live.ended(None, Some(libc::SIGKILL));
            if live.phase == Phase::Running {
                self.send(&Message::Exited { key, exit }, &[]);
            } else {
                let failure = Failure::setup("start", &"the sandbox ended while it was being set up");
                self.send(&Message::Failed { request: key, failure }, &[]);
            }
        }
        self.bury(live);
    }

    /// Nothing of it runs any more.
    fn bury(&mut self, live: Live) {
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
        let Some(zygote) = self.zygote_keys.get(number).cloned() else { return };
        if let Some(socket) = self.zygotes.socket(&zygote)
            && let Ok(waiting) = socket.try_clone()
        {
            let warmers = self.zygotes.take_warmers(&zygote);
            match self.zygotes.receive(&zygote) {
                Ok(ZygoteEvent::Report(report)) => {
                    for request in warmers {
                        self.send(&Message::Done { request }, &[]);
                    }
                    self.zygote_report(report);
                }
                result => {
                    drop(self.epoll.remove(&waiting));
                    let mut failed = self.zygotes.remove(&zygote);
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
                    self.orphaned(&zygote);
                }
            }
        }
    }

    /// Nobody would report the end of functions forked from a zygote that is gone: they end with it.
    fn orphaned(&mut self, gone: &ZygoteKey) {
        let from_it = |live: &&Live| {
            live.phase == Phase::Running && matches!(&live.create.start, Start::Zygote(zygote) if zygote == gone)
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
