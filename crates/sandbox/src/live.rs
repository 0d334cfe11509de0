//! One sandbox as the spawner sees it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

use crate::cgroup::Cgroup;
use crate::memory_watch::used_bytes;
use crate::protocol::Create;
use crate::supervisor::{CONTINUE, SOCKET, START, STOP, WATCH};
use crate::sys;
use crate::sys_process;
use crate::{Exit, SandboxStats};

/// How far a sandbox has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// PID 1 makes cgroups, namespaces and mounts.
    Preparing,
    /// PID 1 has its maps and enters the user namespace (and executes the program).
    Entering,
    /// The zygote forks.
    Forking,
    /// The daemon has it.
    Running,
}

/// What the daemon sent along, until the main process has it.
pub(crate) struct RuntimeFiles {
    pub environment: OwnedFd,
    pub output: OwnedFd,
    pub log: Option<OwnedFd>,
    pub channel: Option<OwnedFd>,
    pub extension_output: Option<OwnedFd>,
}

/// PID 1 of a sandbox.
pub(crate) struct Supervisor {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

pub(crate) struct Live {
    pub key: u64,
    pub create: Create,
    pub phase: Phase,
    pub cgroup: Cgroup,
    /// Its network, to be given back.
    pub network: Option<u32>,
    /// First host uid, to be given back; `None` for an ordinary user.
    pub slot: Option<u32>,
    /// PID 1; `None` until the cradle has told.
    pub supervisor: Option<Supervisor>,
    pub status: OwnedFd,
    pub files: Option<RuntimeFiles>,
    /// Runtime API and endpoint, until the daemon gets them.
    pub listeners: Vec<OwnedFd>,
    pub addresses: (String, String),
    pub tmp: Option<OwnedFd>,
    /// Files to join the cgroups with, until the zygote gets them.
    pub joins: Vec<OwnedFd>,
    /// It has to end as soon as it can be ended.
    pub doomed: bool,
    /// The main process, if it was executed.
    pub main: Option<OwnedFd>,
    /// Who asked for a socket, in order.
    pub socket_requests: VecDeque<u64>,
    pub exit: Option<Exit>,
    /// Its supervisor ended it for exceeding its memory.
    pub over_memory: bool,
    pub frozen: bool,
}

impl Live {
    /// Kills PID 1 and thereby everything inside; a frozen process could not die.
    pub(crate) fn kill(&mut self) {
        if self.frozen || self.phase == Phase::Running {
            // Without a freezer there is nothing to thaw: SIGKILL ends a stopped process.
            drop(self.cgroup.thaw());
        }
        self.doomed = true;
        if let Some(supervisor) = &self.supervisor {
            // Fails only if it has ended already.
            drop(sys_process::kill_pidfd(&supervisor.pidfd, libc::SIGKILL));
        }
    }

    pub(crate) fn freeze(&mut self) -> io::Result<()> {
        // Told in any case: the supervisor stops sampling memory, and the processes where there is no freezer.
        sys::send_message(&self.status, STOP, &[])?;
        if !matches!(self.cgroup, Cgroup::None) {
            self.cgroup.freeze()?;
        }
        self.frozen = true;
        Ok(())
    }

    pub(crate) fn thaw(&mut self) -> io::Result<()> {
        if !matches!(self.cgroup, Cgroup::None) {
            self.cgroup.thaw()?;
        }
        sys::send_message(&self.status, CONTINUE, &[])?;
        self.frozen = false;
        Ok(())
    }

    /// Asks the main process to end. One that was forked from a zygote is not known by itself: then all are asked.
    pub(crate) fn terminate(&mut self) -> io::Result<()> {
        match &self.main {
            Some(main) => sys_process::kill_pidfd(main, libc::SIGTERM),
            None => self.cgroup.signal_all(libc::SIGTERM),
        }
    }

    /// From now on its supervisor sees to it that it takes no more memory than this.
    pub(crate) fn watch_memory(&self, bytes: u64) -> io::Result<()> {
        let mut message = WATCH.to_vec();
        message.extend(bytes.to_le_bytes());
        sys::send_message(&self.status, &message, &[])
    }

    pub(crate) fn start_program(&mut self) -> io::Result<()> {
        sys::send_message(&self.status, START, &[])
    }

    /// Asks the supervisor for a socket; its report answers `request`.
    pub(crate) fn ask_for_socket(&mut self, request: u64) -> io::Result<()> {
        sys::send_message(&self.status, SOCKET, &[])?;
        self.socket_requests.push_back(request);
        Ok(())
    }

    pub(crate) fn stats(&self) -> io::Result<SandboxStats> {
        let usage = self.cgroup.usage()?;
        let tmp_used = self.tmp.as_ref().map_or(0, used_bytes);
        Ok(SandboxStats {
            memory_peak_bytes: usage.peak.saturating_sub(tmp_used),
            memory_now_bytes: usage.unreclaimable.saturating_sub(tmp_used),
            oom_kill_count: usage.oom_kill_count + u64::from(self.over_memory),
            cpu_ns: usage.cpu_ns,
        })
    }

    /// Fixes how the main process ended; the first report counts.
    pub(crate) fn ended(&mut self, code: Option<i32>, signal: Option<i32>) -> Exit {
        let killed_by_kernel = self.cgroup.usage().is_ok_and(|usage| usage.oom_kill_count > 0);
        *self.exit.get_or_insert(Exit { code, signal, oom_killed: self.over_memory || killed_by_kernel })
    }
}
