//! Builds and keeps the shared mount namespaces that sandboxes copy.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::mounts::{self, Devices, SkeletonKey};
use crate::sys::{self, Forked};
use crate::sys_process::{self, Wait};

const BUILD_TIMEOUT: Duration = Duration::from_secs(5);

/// The skeletons built so far. Bounded by the interpreters of this machine times the kinds of egress.
pub(crate) struct Skeletons {
    /// An empty folder to mount on while building, invisible to everybody else.
    at: PathBuf,
    built: HashMap<SkeletonKey, OwnedFd>,
}

impl Skeletons {
    pub(crate) fn new(at: PathBuf) -> Skeletons {
        Skeletons { at, built: HashMap::new() }
    }

    /// The mount namespace of a skeleton, built at first use (a few milliseconds).
    pub(crate) fn get(&mut self, key: &SkeletonKey) -> io::Result<&OwnedFd> {
        if !self.built.contains_key(key) {
            let namespace = self.build(key)?;
            self.built.insert(key.clone(), namespace);
        }
        Ok(&self.built[key])
    }

    fn build(&self, key: &SkeletonKey) -> io::Result<OwnedFd> {
        let (here, there) = sys::seqpacket_pair()?;
        match sys::fork(libc::CLONE_NEWNS)? {
            Forked::Child => {
                let answer = match mounts::build_skeleton(key, &self.at, Devices::Make) {
                    Ok(()) => String::new(),
                    Err(error) => error.to_string(),
                };
                let sent = sys::send_message(&there, format!("={answer}").as_bytes(), &[]);
                drop(here);
                // Stays until the namespace was picked up: the other end is closed then.
                let mut buffer = [0_u8; 1];
                drop(sys::receive_message(&there, &mut buffer));
                sys::exit_now(i32::from(sent.is_err()))
            }
            Forked::Parent { pid, pidfd } => {
                drop(there);
                let result = pick_up(&here, pid);
                drop(here);
                // Ends by itself on the closed socket; killed in case it hangs in a mount.
                drop(sys_process::kill_pidfd(pidfd, libc::SIGKILL));
                sys_process::reap(pid, Wait::Block);
                result
            }
        }
    }
}

fn pick_up(socket: &OwnedFd, pid: i32) -> io::Result<OwnedFd> {
    if !sys_process::poll(&[socket], Some(BUILD_TIMEOUT))?[0] {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    let mut buffer = [0_u8; 1024];
    let Some((length, _)) = sys::receive_message(socket, &mut buffer)? else {
        return Err(io::Error::other("the skeleton builder ended early"));
    };
    let answer = String::from_utf8_lossy(&buffer[1..length]);
    if !answer.is_empty() {
        return Err(io::Error::other(answer.into_owned()));
    }
    Ok(File::open(format!("/proc/{pid}/ns/mnt"))?.into())
}
