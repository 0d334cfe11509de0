//! Enforces MemorySize without `/tmp`, from inside the supervisor (see `cgroup.rs` for what counts).
//!
//! The supervisor watches, and not the spawner, because asking the kernel for an event waits for an RCU grace period
//! (10 ms and more), and because a sandbox that provokes many events then only delays itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use crate::cgroup::field;
use crate::sys;

/// Smallest growth after which memory is looked at again, in bytes.
const STEP_BYTES: u64 = 1024 * 1024;
/// How often memory is looked at where the kernel gives no events.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(50);
/// memory.stat is about 1.5 KiB (v1) to 2.5 KiB (v2) long.
const STAT_BYTES_MAX: usize = 16 * 1024;

/// Where the figures come from. Opened by the spawner, who is allowed to.
pub(crate) enum MemoryFiles {
    V1 {
        stat: OwnedFd,
        usage: OwnedFd,
        kernel: OwnedFd,
        control: OwnedFd,
    },
    V2 {
        stat: OwnedFd,
    },
    /// No cgroup: the sandbox's own `/proc`.
    Processes,
}

impl MemoryFiles {
    pub(crate) fn fds(&self) -> Vec<&OwnedFd> {
        match self {
            MemoryFiles::V1 { stat, usage, kernel, control } => vec![stat, usage, kernel, control],
            MemoryFiles::V2 { stat } => vec![stat],
            MemoryFiles::Processes => Vec::new(),
        }
    }

    /// Anonymous, shared and kernel memory in bytes: what cannot be reclaimed.
    fn unreclaimable(&self) -> io::Result<u64> {
        match self {
            MemoryFiles::V1 { stat, kernel, .. } => {
                let stat = read_again(stat)?;
                Ok(field(&stat, "total_rss") + field(&stat, "total_shmem") + number(kernel)?)
            }
            MemoryFiles::V2 { stat } => {
                let stat = read_again(stat)?;
                Ok(field(&stat, "anon") + field(&stat, "shmem") + field(&stat, "kernel"))
            }
            MemoryFiles::Processes => anonymous_of_processes(),
        }
    }
}

/// Whether the sandbox may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Within,
    Exceeded,
}

pub(crate) struct MemoryWatch {
    files: MemoryFiles,
    tmp: File,
    /// `None`: nothing is watched yet.
    limit_bytes: Option<u64>,
    /// Readable when charged memory has passed the point asked for last. v1 only.
    pub event: Option<OwnedFd>,
    /// Frozen sandboxes are not sampled.
    pub paused: bool,
}

impl MemoryWatch {
    pub(crate) fn start(files: MemoryFiles, tmp: File, limit_bytes: Option<u64>) -> io::Result<MemoryWatch> {
        let mut watch = MemoryWatch { files, tmp, limit_bytes: None, event: None, paused: false };
        if let Some(limit_bytes) = limit_bytes {
            watch.limit(limit_bytes)?;
        }
        Ok(watch)
    }

    /// From now on no more than this is allowed.
    pub(crate) fn limit(&mut self, limit_bytes: u64) -> io::Result<()> {
        self.limit_bytes = Some(limit_bytes);
        self.arm(limit_bytes)
    }

    /// How long to wait at most before the next [`MemoryWatch::check`] without an event.
    pub(crate) fn interval(&self) -> Option<Duration> {
        (self.event.is_none() && self.limit_bytes.is_some() && !self.paused).then_some(SAMPLE_INTERVAL)
    }

    /// True where there is no cgroup, and so no freezer either.
    pub(crate) fn signals_processes(&self) -> bool {
        matches!(self.files, MemoryFiles::Processes)
    }

    /// Compares memory without `/tmp` with the limit, and has the kernel report the next point where it could exceed
    /// it.
    pub(crate) fn check(&mut self) -> io::Result<Verdict> {
        let Some(limit_bytes) = self.limit_bytes else { return Ok(Verdict::Within) };
        let in_tmp = match self.files {
            MemoryFiles::Processes => 0,
            _ => used_bytes(&self.tmp),
        };
        let counted = self.files.unreclaimable()?.saturating_sub(in_tmp);
        if counted > limit_bytes {
            return Ok(Verdict::Exceeded);
        }
        if let MemoryFiles::V1 { usage, .. } = &self.files {
            let room = (limit_bytes - counted).max(STEP_BYTES);
            self.arm(number(usage)? + room)?;
        }
        Ok(Verdict::Within)
    }

    fn arm(&mut self, bytes: u64) -> io::Result<()> {
        let MemoryFiles::V1 { usage, control, .. } = &self.files else {
            return Ok(());
        };
        let event = sys::event_fd()?;
        let registration = format!("{} {} {bytes}", event.as_raw_fd(), usage.as_raw_fd());
        File::from(control.try_clone()?).write_all(registration.as_bytes())?;
        self.event = Some(event);
        Ok(())
    }
}

/// Bytes in use on the file system of an open file.
pub(crate) fn used_bytes(file: impl AsFd) -> u64 {
    match rustix::fs::fstatfs(file) {
        Ok(stat) => (stat.f_blocks - stat.f_bfree) * stat.f_bsize as u64,
        Err(_) => 0,
    }
}

fn read_again(file: &OwnedFd) -> io::Result<String> {
    let file = File::from(file.try_clone()?);
    let mut buffer = vec![0; STAT_BYTES_MAX];
    let length = file.read_at(&mut buffer, 0)?;
    buffer.truncate(length);
    String::from_utf8(buffer).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

fn number(file: &OwnedFd) -> io::Result<u64> {
    read_again(file)?.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// Resident memory that is not of files, over all processes inside but this one. Pages shared by a fork count twice.
fn anonymous_of_processes() -> io::Result<u64> {
    let page_bytes = sys::page_bytes();
    let mut pages = 0;
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if pid == 1 {
            continue;
        }
        // A process may end at any moment.
        let Ok(statm) = fs::read_to_string(Path::new("/proc").join(name).join("statm")) else { continue };
        let mut words = statm.split(' ').map(|word| word.parse::<u64>().unwrap_or(0));
        let (resident, shared) = (words.nth(1).unwrap_or(0), words.next().unwrap_or(0));
        pages += resident.saturating_sub(shared);
    }
    Ok(pages * page_bytes)
}
