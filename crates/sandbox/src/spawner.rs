//! The spawner process: one thread, one loop, makes and ends sandboxes.
//!
//! It is a process of its own because forking is only safe without threads, and because it has to outlive a killed
//! daemon for as long as it takes to remove every sandbox. If the spawner itself is killed, supervisors and zygotes
//! end by themselves (their sockets close), and the next spawner with the same data id sweeps the cgroups.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::attach::{self, Home};
use crate::cgroup::{Cgroup, Tree};
use crate::cradle::{Cradle, Setting};
use crate::live::Live;
use crate::modes;
use crate::network::{self, NatConfig, Network, Pool};
use crate::protocol::{Failure, MESSAGE_BYTES_MAX, Message, Op, Request, ZygoteKey};
use crate::seccomp::Filters;
use crate::skeletons::Skeletons;
use crate::slots::Slots;
use crate::sys;
use crate::sys_process::{self, Epoll};
use crate::zygotes::Zygotes;
use crate::{Capabilities, Egress, Folders, Sizes};

/// The first argument of a spawner; the second is its [`Settings`].
pub(crate) const SPAWNER_ARGUMENT: &str = "__spawner";

/// How long ending may take before the rest is left to the next sweep.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a busy cgroup is tried again.
const REMOVE_INTERVAL: Duration = Duration::from_millis(2);

/// What the daemon tells a new spawner. No secrets: it is on the command line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub state_dir: PathBuf,
    pub data_id: String,
    pub uid_base: u32,
    pub uid_count: u32,
    #[serde(default)]
    pub nat: NatConfig,
}

/// What a ready descriptor belongs to; packed into an epoll token with a sandbox's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Control,
    Status,
    Process,
    Zygote,
    Network,
    Cradle,
}

pub(crate) fn token(source: Source, key: u64) -> u64 {
    key << 3 | source as u64
}

fn source(token: u64) -> (Source, u64) {
    let source = match token & 7 {
        0 => Source::Control,
        1 => Source::Status,
        2 => Source::Process,
        3 => Source::Zygote,
        4 => Source::Network,
        _ => Source::Cradle,
    };
    (source, token >> 3)
}

pub(crate) struct Spawner {
    control: OwnedFd,
    home: Home,
    pub(crate) epoll: Epoll,
    pub(crate) capabilities: Capabilities,
    pub(crate) tree: Tree,
    pub(crate) slots: Slots,
    pub(crate) network: Pool,
    pub(crate) skeletons: Skeletons,
    pub(crate) zygotes: Zygotes,
    /// Zygotes by the number in their epoll token.
    pub(crate) zygote_keys: Vec<ZygoteKey>,
    pub(crate) seccomp: Filters,
    pub(crate) cradle: Cradle,
    /// For one message, whoever sends it.
    pub(crate) buffer: Vec<u8>,
    pub(crate) state_dir: PathBuf,
    pub(crate) live: HashMap<u64, Live>,
    /// Sandboxes whose processes are gone but whose cgroups were still busy.
    removing: Vec<(u64, Cgroup)>,
    /// Some: no new sandboxes; end when all are gone, or then.
    ending: Option<Instant>,
}

/// Runs the spawner on the control socket that is its standard input, until that is closed.
pub(crate) fn main(settings: &str) -> i32 {
    match Spawner::start(settings).and_then(|mut spawner| spawner.run()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("gust: sandbox spawner: {error}");
            1
        }
    }
}

impl Spawner {
    fn start(settings: &str) -> io::Result<Spawner> {
        let settings: Settings = serde_json::from_str(settings)?;
        let control = sys::duplicate_above(io::stdin(), 10)?;
        let null: OwnedFd = fs::File::options().read(true).write(true).open("/dev/null")?.into();
        sys::duplicate_to(std::os::fd::AsRawFd::as_raw_fd(&null), 0)?;
        drop(null);
        // Ctrl-C and a stopping service manager signal whole groups: the daemon drains first, then closes the socket.
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
            sys_process::ignore_signal(signal);
        }
        // Already a leader (started by a shell) is as good.
        drop(sys::new_session());
        sys::set_umask(0o077);
        sys::prctl(libc::PR_SET_DUMPABLE, 0)?;
        drop(sys::raise_soft_limit(libc::RLIMIT_NOFILE));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(settings.state_dir.join("root"))?;
        let root = rustix::process::geteuid().is_root();
        let (capabilities, tree) = modes::detect(&settings.data_id, root);
        if root {
            sys::clear_groups()?;
            network::sweep(&settings.state_dir);
        }
        tree.sweep()?;
        let seccomp = crate::seccomp::filters().map_err(io::Error::other)?;
        if !root {
            // Without it, only root may install a filter. Whatever is forked here has it in the end.
            sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1)?;
        }
        sys::set_seccomp(&seccomp.first)?;
        let setting = Setting { tree: &tree, state_dir: &settings.state_dir, seccomp: &seccomp.last };
        let cradle = Cradle::start(&setting)?;
        let epoll = Epoll::new()?;
        epoll.add(&control, token(Source::Control, 0))?;
        epoll.add(&cradle.socket, token(Source::Cradle, 0))?;
        sys::send_message(&control, &serde_json::to_vec(&Message::Hello(capabilities.clone()))?, &[])?;
        Ok(Spawner {
            control,
            home: Home::remember()?,
            epoll,
            capabilities,
            tree,
            slots: Slots::new(settings.uid_base, settings.uid_count),
            network: Pool::new(settings.data_id, settings.state_dir.clone(), settings.nat),
            skeletons: Skeletons::new(settings.state_dir.join("root")),
            zygotes: Zygotes::new(seccomp.last.clone()),
            zygote_keys: Vec::new(),
            seccomp,
            cradle,
            buffer: vec![0; MESSAGE_BYTES_MAX],
            state_dir: settings.state_dir,
            live: HashMap::new(),
            removing: Vec::new(),
            ending: None,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            if let Some(deadline) = self.ending
                && ((self.live.is_empty() && self.removing.is_empty()) || Instant::now() > deadline)
            {
                self.zygotes.kill_all();
                self.network.end(&self.epoll);
                self.tree.remove();
                drop(fs::remove_dir(self.state_dir.join("root")));
                return Ok(());
            }
            for ready in self.epoll.wait(self.next_wake())? {
                let (source, key) = source(ready);
                match source {
                    Source::Control => self.receive_request()?,
                    Source::Status => self.receive_report(key),
                    Source::Process => self.supervisor_ended(key),
                    Source::Zygote => self.zygote_event(key as usize),
                    Source::Network => self.network_event(),
                    Source::Cradle => self.cradle_event()?,
                }
            }
            self.retry_removals();
            self.network.shrink();
        }
    }

    fn next_wake(&self) -> Option<Duration> {
        if !self.removing.is_empty() {
            Some(REMOVE_INTERVAL)
        } else if self.ending.is_some() {
            Some(Duration::from_millis(100))
        } else {
            self.network.shrinks_in()
        }
    }

    fn receive_request(&mut self) -> io::Result<()> {
        let Ok(Some((length, fds))) = sys::receive_message(&self.control, &mut self.buffer) else {
            self.epoll.remove(&self.control)?;
            self.end();
            return Ok(());
        };
        // Only the daemon writes here: what cannot be read is a bug, and ends everything.
        let request: Request = serde_json::from_slice(&self.buffer[..length])?;
        let number = request.request;
        let result = match request.op {
            Op::Create(create) if self.ending.is_none() => {
                return match self.create(number, *create, fds) {
                    Ok(()) => Ok(()),
                    Err(failure) => self.fail(number, failure),
                };
            }
            Op::Warm { interpreter, prefix } => {
                let prefix = (!prefix.starts_with("/usr")).then_some(prefix);
                let zygote = ZygoteKey { interpreter, sdk: None };
                match self.ensure_zygote(&zygote, prefix.as_deref()) {
                    Ok(()) if !self.zygotes.wait_ready(&zygote, number) => return Ok(()),
                    result => result,
                }
            }
            Op::Attach { key, folders, sizes } => self.attach(key, folders, sizes),
            Op::Kill { key } => {
                if let Some(live) = self.live.get_mut(&key) {
                    live.kill();
                }
                Ok(())
            }
            Op::Freeze { key } => self.with(key, Live::freeze),
            Op::Thaw { key } => self.with(key, Live::thaw),
            Op::StartProgram { key } => self.with(key, Live::start_program),
            Op::Terminate { key } => self.with(key, Live::terminate),
            Op::EndBoost { key } => self.with(key, |live| live.cgroup.end_boost()),
            Op::Socket { key } => match self.with(key, |live| live.ask_for_socket(number)) {
                Ok(()) => return Ok(()),
                result => result,
            },
            Op::ResetPeak { key } => self.with(key, |live| live.cgroup.reset_peak()),
            Op::Stats { key } => match self.live.get(&key).map(Live::stats) {
                Some(Ok(stats)) => {
                    self.send(&Message::Stats { request: number, stats }, &[]);
                    return Ok(());
                }
                Some(Err(error)) => Err(error),
                None => Err(io::Error::other("no such sandbox")),
            },
            Op::PrepareNetwork => {
                self.network.prepare(&self.epoll, token(Source::Network, 0), number);
                self.settle_network();
                return Ok(());
            }
            Op::Shutdown => {
                self.end();
                Ok(())
            }
            Op::Create(_) => Err(io::Error::other("the spawner is ending")),
        };
        match result {
            Ok(()) => self.send(&Message::Done { request: number }, &[]),
            Err(error) => self.fail(number, Failure::setup("request", &error))?,
        }
        Ok(())
    }

    fn attach(&mut self, key: u64, folders: Folders, sizes: Sizes) -> io::Result<()> {
        match self.live.get_mut(&key) {
            Some(live) => attach::attach(&self.home, live, folders, sizes),
            None => Err(io::Error::other("no such sandbox")),
        }
    }

    fn with(&mut self, key: u64, action: impl FnOnce(&mut Live) -> io::Result<()>) -> io::Result<()> {
        match self.live.get_mut(&key) {
            Some(live) => action(live),
            None => Err(io::Error::other("no such sandbox")),
        }
    }

    pub(crate) fn ensure_zygote(&mut self, key: &ZygoteKey, prefix: Option<&Path>) -> io::Result<()> {
        if let Some(socket) = self.zygotes.ensure(key, prefix, &mut self.skeletons)? {
            let known = self.zygote_keys.iter().position(|other| other == key);
            let number = known.unwrap_or(self.zygote_keys.len());
            self.epoll.add(socket, token(Source::Zygote, number as u64))?;
            if known.is_none() {
                self.zygote_keys.push(key.clone());
            }
        }
        Ok(())
    }

    /// The network for an environment with this egress; without one it has none, unless it must.
    pub(crate) fn take_network(&mut self, egress: &mut Egress) -> io::Result<Option<Network>> {
        if *egress != Egress::Nat {
            return Ok(None);
        }
        let taken = self.network.take(&self.epoll, token(Source::Network, 0));
        self.settle_network();
        match taken {
            Err(_) if !self.network.is_required() => {
                *egress = Egress::None;
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    /// The socket of the keeper of networks is readable.
    fn network_event(&mut self) {
        if let Some(reason) = self.network.receive(&self.epoll) {
            eprintln!("gust: no network could be made ahead: {reason}");
        }
        self.settle_network();
    }

    /// Answers who waited for the keeper of networks, and ends the environments that lost theirs with it.
    fn settle_network(&mut self) {
        for (request, outcome) in self.network.take_settled() {
            match outcome {
                Ok(facts) => self.send(&Message::Network { request, facts }, &[]),
                Err(cause) => {
                    let failure = Failure::Setup { step: "network".to_owned(), message: cause };
                    self.send(&Message::Failed { request, failure }, &[]);
                }
            }
        }
        if self.network.take_lost() {
            for live in self.live.values_mut().filter(|live| live.network.is_some()) {
                live.kill();
            }
        }
    }

    /// Kills everything; [`Spawner::run`] returns when that is done.
    fn end(&mut self) {
        self.ending.get_or_insert(Instant::now() + SHUTDOWN_TIMEOUT);
        for live in self.live.values_mut() {
            live.kill();
        }
    }

    fn retry_removals(&mut self) {
        let mut gone = Vec::new();
        self.removing.retain(|(key, cgroup)| {
            let removed = cgroup.remove();
            if removed {
                gone.push(*key);
            }
            !removed
        });
        for key in gone {
            self.send(&Message::Gone { key }, &[]);
        }
    }

    /// Removes the cgroups of a sandbox whose processes are gone, and says so once that worked.
    pub(crate) fn remove_cgroup(&mut self, key: u64, cgroup: Cgroup) {
        if cgroup.remove() {
            self.send(&Message::Gone { key }, &[]);
        } else {
            self.removing.push((key, cgroup));
        }
    }

    pub(crate) fn fail(&mut self, request: u64, failure: Failure) -> io::Result<()> {
        self.send(&Message::Failed { request, failure }, &[]);
        Ok(())
    }

    /// Sends to the daemon. If it is gone, the closed control socket is noticed by the loop.
    pub(crate) fn send(&self, message: &Message, fds: &[OwnedFd]) {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        if let Ok(bytes) = serde_json::to_vec(message) {
            drop(sys::send_message(&self.control, &bytes, &fds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_apart_again() {
        let all = [Source::Control, Source::Status, Source::Process, Source::Zygote, Source::Network, Source::Cradle];
        for kind in all {
            assert_eq!(source(token(kind, 77)), (kind, 77));
        }
    }
}
