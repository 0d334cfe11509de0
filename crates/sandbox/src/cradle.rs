//! The process that forks supervisors, in the spawner's name.
//!
//! A fork copies the table of descriptors, and the child closes what is not its own: in the spawner, which holds some for
//! every sandbox, both would take longer with each of them. This process holds next to nothing. What it forks are
//! children of the spawner (`CLONE_PARENT`), which alone knows about them afterwards.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cgroup::Tree;
use crate::live::RuntimeFiles;
use crate::mounts::SkeletonKey;
use crate::protocol::{Create, MESSAGE_BYTES_MAX};
use crate::supervisor::{self, HostIds, Plan, Root};
use crate::sys::{self, Forked};
use crate::sys_process::{self, Wait};

/// Spawner to cradle. With descriptors: status socket, the skeleton's namespace if there is a slot, the network's if
/// there is one, then the files that came with the request.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub key: u64,
    pub create: Create,
    /// First host uid; `None` for an ordinary user.
    pub slot: Option<u32>,
    /// A network was made for it.
    pub has_network: bool,
}

/// Cradle to spawner.
#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    /// With its pidfd.
    Born {
        key: u64,
        pid: i32,
    },
    Failed {
        key: u64,
        message: String,
    },
}

/// What every supervisor gets.
pub(crate) struct Setting<'a> {
    pub tree: &'a Tree,
    pub state_dir: &'a Path,
    pub seccomp: &'a [u8],
}

pub(crate) struct Cradle {
    pub socket: OwnedFd,
    pid: i32,
}

impl Cradle {
    /// Forks it. The caller is the spawner.
    pub(crate) fn start(setting: &Setting<'_>) -> io::Result<Cradle> {
        let (socket, there) = sys::seqpacket_pair()?;
        match sys::fork(0)? {
            Forked::Child => {
                let result = serve(setting, there);
                if let Err(error) = &result {
                    eprintln!("gust: sandbox cradle: {error}");
                }
                sys::exit_now(i32::from(result.is_err()))
            }
            Forked::Parent { pid, .. } => Ok(Cradle { socket, pid }),
        }
    }

    pub(crate) fn order(&self, order: &Order, fds: &[&OwnedFd]) -> io::Result<()> {
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        sys::send_message(&self.socket, &serde_json::to_vec(order)?, &fds)
    }

    /// `None`: it has ended.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(Answer, Option<OwnedFd>)>> {
        let Some((length, mut fds)) = sys::receive_message(&self.socket, buffer)? else { return Ok(None) };
        Ok(Some((serde_json::from_slice(&buffer[..length])?, fds.pop())))
    }
}

impl Drop for Cradle {
    fn drop(&mut self) {
        // It ends on its closed socket anyway.
        drop(sys_process::kill(self.pid, libc::SIGKILL));
        sys_process::reap(self.pid, Wait::Block);
    }
}

fn serve(setting: &Setting<'_>, socket: OwnedFd) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)?;
    sys::set_process_name(c"gust-cradle")?;
    sys::close_all_except(&[0, 1, 2, socket.as_raw_fd()])?;
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    while let Some((length, fds)) = sys::receive_message(&socket, &mut buffer)? {
        let order: Order = serde_json::from_slice(&buffer[..length])?;
        let (answer, pidfd) = match fork_supervisor(setting, &order, fds) {
            Ok((pid, pidfd)) => (Answer::Born { key: order.key, pid }, Some(pidfd)),
            Err(error) => (Answer::Failed { key: order.key, message: error.to_string() }, None),
        };
        let fds: Vec<_> = pidfd.iter().map(AsFd::as_fd).collect();
        sys::send_message(&socket, &serde_json::to_vec(&answer)?, &fds)?;
    }
    Ok(())
}

fn fork_supervisor(setting: &Setting<'_>, order: &Order, fds: Vec<OwnedFd>) -> io::Result<(i32, OwnedFd)> {
    let Order { key, create, slot, has_network } = order;
    let mut fds = fds.into_iter();
    let mut next = || fds.next().ok_or_else(|| io::Error::other("descriptors missing"));
    let status = next()?;
    let (root, ids) = match *slot {
        Some(first) => (Root::Copy(next()?), HostIds::Own { first }),
        None => {
            let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            (Root::Build { at: setting.state_dir.join("root"), key: skeleton_key(create) }, HostIds::Same { uid, gid })
        }
    };
    let network = if *has_network { Some(next()?) } else { None };
    let files = RuntimeFiles::new(create, fds).ok_or_else(|| io::Error::other("descriptors missing"))?;
    let cgroup = setting.tree.place(&cgroup_name(*key, create), create.limits().as_ref());
    let user = if slot.is_some() { 0 } else { libc::CLONE_NEWUSER };
    match sys::fork(libc::CLONE_PARENT | libc::CLONE_NEWPID | user)? {
        Forked::Child => supervisor::run(Plan {
            create,
            status: &status,
            environment: &files.environment,
            output: &files.output,
            log: files.log.as_ref(),
            channel: files.channel.as_ref(),
            extension_output: files.extension_output.as_ref(),
            cgroup,
            joins: Vec::new(),
            root,
            network: network.as_ref(),
            ids,
            seccomp: setting.seccomp,
        }),
        Forked::Parent { pid, pidfd } => Ok((pid, pidfd)),
    }
}

/// The cgroups' name of a sandbox.
pub(crate) fn cgroup_name(key: u64, create: &Create) -> String {
    format!("{key}-{}", create.id)
}

pub(crate) fn skeleton_key(create: &Create) -> SkeletonKey {
    SkeletonKey { prefix: create.prefix.clone(), node: create.node.clone(), egress: create.egress }
}

impl Create {
    pub(crate) fn limits(&self) -> Option<crate::cgroup::Limits> {
        self.sizes.map(|sizes| crate::cgroup::Limits::new(sizes, self.pids_max, self.init_boost))
    }
}

impl RuntimeFiles {
    /// What came with a request, in its order; `None` if something is missing.
    pub(crate) fn new(create: &Create, mut fds: impl Iterator<Item = OwnedFd>) -> Option<RuntimeFiles> {
        let which = create.runtime_fds;
        let mut optional = |is_there: bool| if is_there { fds.next().map(Some) } else { Some(None) };
        Some(RuntimeFiles {
            environment: optional(true)??,
            output: optional(true)??,
            log: optional(which.has_log())?,
            channel: optional(which.has_channel())?,
            extension_output: optional(!create.extensions.is_empty())?,
        })
    }

    /// In the same order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &OwnedFd> {
        let optional = [&self.log, &self.channel, &self.extension_output];
        [&self.environment, &self.output].into_iter().chain(optional.into_iter().flatten())
    }
}
