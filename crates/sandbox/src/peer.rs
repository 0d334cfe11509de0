//! Whether a connection on the host's loopback comes from inside a sandbox.
//!
//! With [`crate::Egress::Host`] a sandbox's listeners are on the host's loopback, where every process of the machine can
//! connect to them. The kernel's table of sockets says whose socket the other end is: as root each sandbox has a uid of
//! its own, which decides; otherwise the socket must be open in a process below the sandbox's PID 1.

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// Processes that are looked at; a sandbox has no more.
const PROCESSES_MAX: usize = 4096;

/// Knows one sandbox's processes from others.
#[derive(Debug, Clone, Copy)]
pub struct PeerCheck {
    pub(crate) pid: i32,
    pub(crate) uid: Option<u32>,
}

/// One row of the kernel's table.
struct Row {
    uid: u32,
    inode: u64,
}

impl PeerCheck {
    /// Whether the socket at `peer`, connected to `local`, is one of the sandbox's. Reads `/proc`: call it where blocking
    /// is allowed.
    pub fn is_inside(&self, peer: SocketAddr, local: SocketAddr) -> bool {
        let Some(row) = find(peer, local) else { return false };
        match self.uid {
            Some(uid) => row.uid == uid,
            None => self.holds(row.inode),
        }
    }

    /// Whether a process below PID 1 has the socket open.
    fn holds(&self, inode: u64) -> bool {
        let wanted = format!("socket:[{inode}]");
        let (mut pids, mut seen) = (VecDeque::from([self.pid]), 0);
        while let Some(pid) = pids.pop_front() {
            seen += 1;
            if seen > PROCESSES_MAX {
                return false;
            }
            let has_it = |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|to| to == Path::new(&wanted));
            // One that cannot be read, or ends meanwhile, is not the one.
            let mut fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            if fds.any(has_it) {
                return true;
            }
            for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
                pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
            }
        }
        false
    }
}

/// The row of the socket at `peer` that is connected to `local`.
fn find(peer: SocketAddr, local: SocketAddr) -> Option<Row> {
    let (SocketAddr::V4(peer), SocketAddr::V4(local)) = (peer, local) else { return None };
    let text = |address: std::net::SocketAddrV4| {
        format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
    };
    let (from, to) = (text(peer), text(local));
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().find_map(|line| {
        // sl local_address rem_address st queues tr retrnsmt uid timeout inode
        let mut words = line.split_whitespace().skip(1);
        if words.next()? != from || words.next()? != to {
            return None;
        }
        let mut rest = words.skip(4);
        let uid = rest.next()?.parse().ok()?;
        let inode = rest.nth(1)?.parse().ok()?;
        Some(Row { uid, inode })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    #[test]
    fn a_process_knows_its_own_connections_and_nobody_elses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        let local = accepted.local_addr().unwrap();
        let own = PeerCheck { pid: std::process::id() as i32, uid: None };
        assert!(own.is_inside(peer, local));
        let uid = rustix::process::geteuid().as_raw();
        assert!(PeerCheck { uid: Some(uid), ..own }.is_inside(peer, local));
        assert!(!PeerCheck { uid: Some(uid + 1), ..own }.is_inside(peer, local));
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!PeerCheck { pid: other.id() as i32, uid: None }.is_inside(peer, local));
        other.kill().unwrap();
        other.wait().unwrap();
        let from = stream.local_addr().unwrap();
        drop((stream, accepted));
        assert!(!own.is_inside(SocketAddr::new(from.ip(), 1), local), "no such socket");
    }
}
