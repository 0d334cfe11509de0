//! One sandbox as the spawner sees it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::cgroup::{Cgroup, Limits};
use crate::protocol::Create;
use crate::supervisor::{CONTINUE, STOP};
use crate::sys;
use crate::sys_process;
use crate::{Exit, SandboxStats};

/// Smallest growth after which memory is looked at again, in bytes: bounds how often a sandbox can wake the spawner.
const MEMORY_STEP_BYTES: u64 = 1024 * 1024;

/// How far a sandbox has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// PID 1 makes namespaces and mounts.
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
}

pub(crate) struct Live {
    pub key: u64,
    pub create: Create,
    pub phase: Phase,
    pub limits: Limits,
    pub cgroup: Cgroup,
    /// First host uid, to be given back; `None` for an ordinary user.
    pub slot: Option<u32>,
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub status: OwnedFd,
    pub files: Option<RuntimeFiles>,
    /// Runtime API and endpoint, until the daemon gets them.
    pub listeners: Vec<OwnedFd>,
    pub addresses: (String, String),
    pub tmp: Option<OwnedFd>,
    pub memory_event: Option<OwnedFd>,
    pub exit: Option<Exit>,
    /// Killed here for exceeding its memory.
    pub over_memory: bool,
    pub frozen: bool,
}

/// What [`Live::check_memory`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MemoryVerdict {
    Within,
    Exceeded,
}

impl Live {
    /// Kills PID 1 and thereby everything inside; a frozen process could not die.
    pub(crate) fn kill(&mut self) {
        if self.frozen || self.phase == Phase::Running {
            // Without a freezer there is nothing to thaw: SIGKILL ends a stopped process.
            drop(self.cgroup.thaw());
        }
        // Fails only if it has ended already.
        drop(sys_process::kill_pidfd(&self.pidfd, libc::SIGKILL));
    }

    pub(crate) fn freeze(&mut self) -> io::Result<()> {
        match self.cgroup {
            Cgroup::None => sys::send_message(&self.status, STOP, &[])?,
            _ => self.cgroup.freeze()?,
        }
        self.frozen = true;
        Ok(())
    }

    pub(crate) fn thaw(&mut self) -> io::Result<()> {
        match self.cgroup {
            Cgroup::None => sys::send_message(&self.status, CONTINUE, &[])?,
            _ => self.cgroup.thaw()?,
        }
        self.frozen = false;
        Ok(())
    }

    pub(crate) fn stats(&self) -> io::Result<SandboxStats> {
        let usage = self.cgroup.usage()?;
        let tmp_used = self.tmp_used_bytes();
        Ok(SandboxStats {
            memory_peak_bytes: usage.peak.saturating_sub(tmp_used),
            memory_now_bytes: usage.unreclaimable.saturating_sub(tmp_used),
            oom_kill_count: usage.oom_kill_count + u64::from(self.over_memory),
            cpu_ns: usage.cpu_ns,
        })
    }

    fn tmp_used_bytes(&self) -> u64 {
        let Some(tmp) = &self.tmp else { return 0 };
        match rustix::fs::fstatfs(tmp) {
            Ok(stat) => (stat.f_blocks - stat.f_bfree) * stat.f_bsize as u64,
            Err(_) => 0,
        }
    }

    /// Compares memory without `/tmp` with the limit, and has the kernel report the next point where it could exceed
    /// it. Returns the new event descriptor to watch, where the kernel can do that.
    pub(crate) fn check_memory(&mut self) -> io::Result<(MemoryVerdict, Option<OwnedFd>)> {
        let usage = self.cgroup.usage()?;
        let counted = usage.unreclaimable.saturating_sub(self.tmp_used_bytes());
        if counted > self.limits.memory_bytes {
            return Ok((MemoryVerdict::Exceeded, None));
        }
        let room = (self.limits.memory_bytes - counted).max(MEMORY_STEP_BYTES);
        let event = self.arm_memory(usage.charged + room)?;
        Ok((MemoryVerdict::Within, event))
    }

    /// Asks for an event when charged memory passes `bytes`.
    pub(crate) fn arm_memory(&self, bytes: u64) -> io::Result<Option<OwnedFd>> {
        let event = sys::event_fd()?;
        let supported = self.cgroup.watch_memory(event.as_fd(), bytes)?;
        Ok(supported.then_some(event))
    }

    /// Fixes how the main process ended; the first report counts.
    pub(crate) fn ended(&mut self, code: Option<i32>, signal: Option<i32>) -> Exit {
        let killed_by_kernel = self.cgroup.usage().is_ok_and(|usage| usage.oom_kill_count > 0);
        *self.exit.get_or_insert(Exit { code, signal, oom_killed: self.over_memory || killed_by_kernel })
    }
}
