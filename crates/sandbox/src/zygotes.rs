//! Python zygotes: one pre-started interpreter each, from which functions are forked.
//!
//! A zygote runs as root in a skeleton (no network, no function code, no secret) and only does what the spawner says.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use crate::Egress;
use crate::mounts::{self, RUNTIME_DIR, SDK_DIR, SkeletonKey, Step};
use crate::protocol::{Fork, MESSAGE_BYTES_MAX, ZygoteKey, ZygoteReport};
use crate::skeletons::Skeletons;
use crate::supervisor::OOM_SCORE_ADJ;
use crate::sys::{self, Forked};
use crate::sys_process::{self, Wait};

/// Forks under way in one zygote, at most; more wait here, so that its socket can never fill up.
const FORKS_IN_FLIGHT_MAX: usize = 16;

/// Library folders as Lambda has them, <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>. The
/// dynamic linker reads this once, so the zygote has to have it already.
pub(crate) const LIBRARY_PATH: &str =
    "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib";

/// Everything a zygote needs to fork one function.
pub(crate) struct ForkOrder {
    pub key: u64,
    pub uid: u32,
    pub gid: u32,
    pub pids_max: u32,
    pub vacant: bool,
    pub runtime_api: String,
    pub endpoint: String,
    /// pidfd of PID 1, environment, channel, output, log, then the cgroup join files.
    pub fds: Vec<OwnedFd>,
    pub cgroups: usize,
}

/// What happened in a zygote.
pub(crate) enum ZygoteEvent {
    Report(ZygoteReport),
    /// It ended: orders not yet carried out, and sandboxes whose start was under way, have failed.
    Gone {
        failed: Vec<u64>,
    },
}

struct Zygote {
    pid: i32,
    socket: OwnedFd,
    ready: bool,
    waiting: VecDeque<ForkOrder>,
    in_flight: Vec<u64>,
    /// Requests to be answered when it is ready.
    warmers: Vec<u64>,
}

/// All zygotes.
pub(crate) struct Zygotes {
    by_key: HashMap<ZygoteKey, Zygote>,
    /// The last part of the filter.
    seccomp: Vec<u8>,
}

impl Zygotes {
    pub(crate) fn new(seccomp: Vec<u8>) -> Zygotes {
        Zygotes { by_key: HashMap::new(), seccomp }
    }

    /// Starts a zygote, unless it runs. Returns its socket if it is new, to be watched.
    pub(crate) fn ensure(
        &mut self,
        key: &ZygoteKey,
        prefix: Option<&Path>,
        skeletons: &mut Skeletons,
    ) -> io::Result<Option<&OwnedFd>> {
        if self.by_key.contains_key(key) {
            return Ok(None);
        }
        let skeleton = SkeletonKey { prefix: prefix.map(Path::to_owned), node: None, egress: Egress::None };
        let zygote = start(key, skeletons.get(&skeleton)?, &self.seccomp)?;
        let zygote = self.by_key.entry(key.clone()).or_insert(zygote);
        Ok(Some(&zygote.socket))
    }

    /// Whether it can fork at once.
    pub(crate) fn is_ready(&self, key: &ZygoteKey) -> bool {
        self.by_key.get(key).is_some_and(|zygote| zygote.ready)
    }

    /// True if it is ready already; else `request` comes back from [`Zygotes::take_warmers`].
    pub(crate) fn wait_ready(&mut self, key: &ZygoteKey, request: u64) -> bool {
        match self.by_key.get_mut(key) {
            Some(zygote) if !zygote.ready => {
                zygote.warmers.push(request);
                false
            }
            _ => true,
        }
    }

    /// Requests that waited for this zygote.
    pub(crate) fn take_warmers(&mut self, key: &ZygoteKey) -> Vec<u64> {
        self.by_key.get_mut(key).map(|zygote| std::mem::take(&mut zygote.warmers)).unwrap_or_default()
    }

    pub(crate) fn order(&mut self, key: &ZygoteKey, order: ForkOrder) -> io::Result<()> {
        let zygote = self.by_key.get_mut(key).ok_or_else(|| io::Error::other("the Python zygote has ended"))?;
        zygote.waiting.push_back(order);
        zygote.flush()
    }

    /// Reads one message of the zygote whose socket is readable.
    pub(crate) fn receive(&mut self, key: &ZygoteKey) -> io::Result<ZygoteEvent> {
        let Some(zygote) = self.by_key.get_mut(key) else {
            return Ok(ZygoteEvent::Gone { failed: Vec::new() });
        };
        let mut buffer = vec![0_u8; MESSAGE_BYTES_MAX];
        match sys::receive_message(&zygote.socket, &mut buffer) {
            Ok(Some((length, _))) => {
                let report: ZygoteReport = serde_json::from_slice(&buffer[..length])?;
                match &report {
                    ZygoteReport::Ready => zygote.ready = true,
                    ZygoteReport::Forked { key } | ZygoteReport::Failed { key, .. } => {
                        zygote.in_flight.retain(|other| other != key);
                    }
                    ZygoteReport::Ended { .. } => {}
                }
                zygote.flush()?;
                Ok(ZygoteEvent::Report(report))
            }
            Ok(None) | Err(_) => Ok(ZygoteEvent::Gone { failed: self.remove(key) }),
        }
    }

    /// Kills a zygote; returns the sandboxes whose start has failed thereby.
    pub(crate) fn remove(&mut self, key: &ZygoteKey) -> Vec<u64> {
        let Some(zygote) = self.by_key.remove(key) else {
            return Vec::new();
        };
        drop(sys_process::kill(zygote.pid, libc::SIGKILL));
        sys_process::reap(zygote.pid, Wait::Block);
        zygote.waiting.iter().map(|order| order.key).chain(zygote.in_flight).collect()
    }

    /// Ends all of them.
    pub(crate) fn kill_all(&mut self) {
        for key in self.by_key.keys().cloned().collect::<Vec<_>>() {
            self.remove(&key);
        }
    }

    pub(crate) fn socket(&self, key: &ZygoteKey) -> Option<&OwnedFd> {
        self.by_key.get(key).map(|zygote| &zygote.socket)
    }
}

impl Zygote {
    fn flush(&mut self) -> io::Result<()> {
        while self.ready && self.in_flight.len() < FORKS_IN_FLIGHT_MAX {
            let Some(order) = self.waiting.pop_front() else {
                return Ok(());
            };
            let message = Fork {
                key: order.key,
                uid: order.uid,
                gid: order.gid,
                pids_max: order.pids_max,
                vacant: order.vacant,
                cgroups: order.cgroups,
                runtime_api: &order.runtime_api,
                endpoint: &order.endpoint,
            };
            self.in_flight.push(order.key);
            let fds: Vec<_> = order.fds.iter().map(AsFd::as_fd).collect();
            sys::send_message(&self.socket, &serde_json::to_vec(&message)?, &fds)?;
        }
        Ok(())
    }
}

fn start(key: &ZygoteKey, skeleton: &OwnedFd, seccomp: &[u8]) -> io::Result<Zygote> {
    let (here, there) = sys::seqpacket_pair()?;
    let text = |text: &str| CString::new(text).expect("no NUL in constants");
    let program = sys::c_path(&key.interpreter)?;
    let script = text(&format!("{RUNTIME_DIR}/zygote.py"));
    let mut args = vec![program.clone(), text("-S"), text("-B"), script];
    if key.sdk.is_some() {
        args.push(text("sdk"));
    }
    let env = [text("LANG=C.UTF-8"), text("TZ=:UTC"), text(&format!("LD_LIBRARY_PATH={LIBRARY_PATH}"))];
    let pid = match sys::fork(0)? {
        Forked::Child => {
            let error =
                become_zygote(skeleton, &there, key.sdk.as_deref()).map(|()| sys_process::exec(&program, &args, &env));
            let error = error.unwrap_or_else(|error| error);
            eprintln!("gust: python zygote {}: {error}", key.interpreter.display());
            sys::exit_now(126)
        }
        Forked::Parent { pid, .. } => pid,
    };
    let hello = serde_json::json!({
        "seccomp": seccomp.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
    });
    sys::send_message(&here, hello.to_string().as_bytes(), &[])?;
    Ok(Zygote { pid, socket: here, ready: false, waiting: VecDeque::new(), in_flight: Vec::new(), warmers: Vec::new() })
}

fn become_zygote(skeleton: &OwnedFd, socket: &OwnedFd, sdk: Option<&Path>) -> io::Result<()> {
    let sdk = sdk.map(mounts::read_only_tree).transpose()?;
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)?;
    fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ).step("set oom_score_adj")?;
    sys::new_session()?;
    sys::clear_groups()?;
    sys::setns(skeleton, libc::CLONE_NEWNS).step("enter skeleton")?;
    let mounts = if sdk.is_some() { libc::CLONE_NEWNS } else { 0 };
    sys::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | mounts).step("new namespaces")?;
    if let Some(sdk) = sdk {
        sys::attach(&sdk, Path::new(SDK_DIR)).step("attach the SDK")?;
    }
    // 0 and 1 are /dev/null in the spawner already, 2 is gust's own stderr.
    sys::duplicate_to(socket.as_raw_fd(), 3)?;
    sys::close_all_except(&[0, 1, 2, 3])?;
    sys_process::reset_signals();
    sys::set_umask(0o022);
    Ok(())
}
