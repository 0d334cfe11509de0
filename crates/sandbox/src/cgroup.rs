//! Resource control of one sandbox, over whichever cgroup version there is.
//!
//! **What counts as memory.** On Lambda `/tmp` is a disk and does not count against MemorySize. Here it is a tmpfs,
//! whose pages the kernel charges to the function's cgroup. So the kernel's hard limit is MemorySize plus the size of
//! `/tmp`, and the supervisor watches the rest (`memory_watch.rs`): whenever use could have passed MemorySize, it subtracts what `/tmp` holds
//! and reclaimable page cache, and kills the sandbox as out of memory if the remainder exceeds MemorySize. On v1 the
//! kernel wakes the watcher exactly at the earliest point where that can be the case; on v2 it samples.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Sizes;
use crate::cgroup_v1::V1;
use crate::cgroup_v2::V2;
use crate::memory_watch::MemoryFiles;
use crate::sys_process;

/// vCPU per MiB of MemorySize: one at 1,769 MB.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const MEMORY_MB_PER_VCPU: u64 = 1769;

/// Length of a CPU accounting period in microseconds.
pub(crate) const CPU_PERIOD_US: u64 = 100_000;

/// Limits of one sandbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub memory_bytes: u64,
    pub tmp_bytes: u64,
    pub pids_max: u32,
    /// At least one vCPU until [`Cgroup::end_boost`].
    pub init_boost: bool,
}

impl Limits {
    pub(crate) fn new(sizes: Sizes, pids_max: u32, init_boost: bool) -> Limits {
        const MIB: u64 = 1024 * 1024;
        let (memory_bytes, tmp_bytes) = (u64::from(sizes.memory_mb) * MIB, u64::from(sizes.tmp_mb) * MIB);
        Limits { memory_bytes, tmp_bytes, pids_max, init_boost }
    }

    /// What holds at first of `quota_us`.
    pub(crate) fn first_quota_us(&self, quota_us: u64) -> u64 {
        if self.init_boost { quota_us.max(CPU_PERIOD_US) } else { quota_us }
    }

    /// CPU microseconds in each period; `None` where the machine has no more than that anyway.
    pub(crate) fn cpu_quota_us(&self, cpu_count: u64) -> Option<u64> {
        let memory_mb = self.memory_bytes >> 20;
        let quota = (memory_mb * CPU_PERIOD_US / MEMORY_MB_PER_VCPU).max(1_000);
        (quota < cpu_count * CPU_PERIOD_US).then_some(quota)
    }
}

/// Raw figures of one sandbox's cgroups, in bytes, counts and nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Most memory ever charged, `/tmp` and page cache included.
    pub peak: u64,
    /// Anonymous memory, shared memory (`/tmp` included) and kernel memory: what cannot be reclaimed.
    pub unreclaimable: u64,
    pub oom_kill_count: u64,
    pub cpu_ns: u64,
}

/// The place where sandboxes' cgroups are made.
pub(crate) enum Tree {
    V1(V1),
    V2(V2),
    None,
}

impl Tree {
    /// Where the cgroups of one sandbox are or will be, with the limits that they have or will have.
    pub(crate) fn place(&self, name: &str, limits: Option<&Limits>) -> Cgroup {
        match self {
            Tree::V1(tree) => Cgroup::V1(tree.place(name, limits)),
            Tree::V2(tree) => Cgroup::V2(tree.place(name, limits)),
            Tree::None => Cgroup::None,
        }
    }

    /// Kills what runs in leftovers of an earlier spawner, and removes them.
    pub(crate) fn sweep(&self) -> io::Result<()> {
        match self {
            Tree::V1(tree) => tree.sweep(),
            Tree::V2(tree) => tree.sweep(),
            Tree::None => Ok(()),
        }
    }

    /// Removes the common parent, once it is empty.
    pub(crate) fn remove(&self) {
        match self {
            Tree::V1(tree) => tree.remove(),
            Tree::V2(tree) => tree.remove(),
            Tree::None => {}
        }
    }
}

/// The cgroups of one sandbox.
pub(crate) enum Cgroup {
    V1(crate::cgroup_v1::Group),
    V2(crate::cgroup_v2::Group),
    None,
}

impl Cgroup {
    /// Makes them, without limits yet.
    pub(crate) fn make(&self) -> io::Result<()> {
        match self {
            Cgroup::V1(group) => group.make(),
            Cgroup::V2(group) => group.make(),
            Cgroup::None => Ok(()),
        }
    }

    /// Sets the limits, once.
    pub(crate) fn limit(&mut self, limits: &Limits) -> io::Result<()> {
        match self {
            Cgroup::V1(group) => group.limit(limits),
            Cgroup::V2(group) => group.limit(limits),
            Cgroup::None => Ok(()),
        }
    }

    /// Files to which a process writes `0` to join.
    pub(crate) fn join_files(&self) -> io::Result<Vec<OwnedFd>> {
        match self {
            Cgroup::V1(group) => group.join_files(),
            Cgroup::V2(group) => group.join_files(),
            Cgroup::None => Ok(Vec::new()),
        }
    }

    /// From now on only the share of MemorySize.
    pub(crate) fn end_boost(&self) -> io::Result<()> {
        match self {
            Cgroup::V1(group) => group.limit_cpu(),
            Cgroup::V2(group) => group.limit_cpu(),
            Cgroup::None => Ok(()),
        }
    }

    /// Sends a signal to all processes.
    pub(crate) fn signal_all(&self, signal: i32) -> io::Result<()> {
        let procs = match self {
            Cgroup::V1(group) => read(&group.procs())?,
            Cgroup::V2(group) => read(&group.procs())?,
            Cgroup::None => return Err(io::Error::from_raw_os_error(libc::ENOTSUP)),
        };
        for pid in procs.lines().filter_map(|line| line.parse().ok()) {
            // One that has ended since needs no signal.
            drop(sys_process::open_pidfd(pid).and_then(|pidfd| sys_process::kill_pidfd(&pidfd, signal)));
        }
        Ok(())
    }

    pub(crate) fn freeze(&self) -> io::Result<()> {
        match self {
            Cgroup::V1(group) => group.freeze(),
            Cgroup::V2(group) => group.freeze(),
            Cgroup::None => Err(io::Error::from_raw_os_error(libc::ENOTSUP)),
        }
    }

    pub(crate) fn thaw(&self) -> io::Result<()> {
        match self {
            Cgroup::V1(group) => group.thaw(),
            Cgroup::V2(group) => group.thaw(),
            Cgroup::None => Err(io::Error::from_raw_os_error(libc::ENOTSUP)),
        }
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        match self {
            Cgroup::V1(group) => group.usage(),
            Cgroup::V2(group) => group.usage(),
            Cgroup::None => Ok(Usage::default()),
        }
    }

    pub(crate) fn reset_peak(&self) -> io::Result<()> {
        match self {
            Cgroup::V1(group) => group.reset_peak(),
            Cgroup::V2(group) => group.reset_peak(),
            Cgroup::None => Ok(()),
        }
    }

    /// What a supervisor needs to watch memory.
    pub(crate) fn memory_files(&self) -> io::Result<MemoryFiles> {
        match self {
            Cgroup::V1(group) => group.memory_files(),
            Cgroup::V2(group) => group.memory_files(),
            Cgroup::None => Ok(MemoryFiles::Processes),
        }
    }

    /// Removes the cgroups. False: something is still in there, try again.
    pub(crate) fn remove(&self) -> bool {
        match self {
            Cgroup::V1(group) => group.remove(),
            Cgroup::V2(group) => group.remove(),
            Cgroup::None => true,
        }
    }
}

/// Reads a small file as text.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path)
}

/// Writes a control file, naming it in the error.
pub(crate) fn write(path: &Path, value: &str) -> io::Result<()> {
    std::fs::write(path, value)
        .map_err(|error| io::Error::new(error.kind(), format!("write {value:?} to {}: {error}", path.display())))
}

/// Reads a file holding one number.
pub(crate) fn read_number(path: &Path) -> io::Result<u64> {
    read(path)?.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// The number after `key` in a "key value" file; zero if absent.
pub(crate) fn field(text: &str, key: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok()).unwrap_or(0)
}

/// CPU time of these processes and of the children that they have waited for, to the kernel's 10 ms.
pub(crate) fn cpu_ns_of_processes(pids: &str) -> u64 {
    const TICK_NS: u64 = 10_000_000;
    let ticks = |pid: &str| -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name in brackets: state is field 3, the four times are fields 14 to 17.
        let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(4);
        Some(fields.map(|field| field.parse::<u64>().unwrap_or(0)).sum())
    };
    // One that has ended since is no longer counted.
    pids.lines().filter_map(ticks).sum::<u64>() * TICK_NS
}

/// Makes a folder unless it is there.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io::Error::new(error.kind(), format!("make {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Removes a cgroup folder. False: still busy.
pub(crate) fn remove_dir(path: &Path) -> bool {
    match std::fs::remove_dir(path) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Kills everything in a cgroup and removes it; gives up after two seconds.
pub(crate) fn kill_and_remove(path: &Path) -> io::Result<()> {
    for _ in 0..200 {
        for pid in read(&path.join("cgroup.procs")).unwrap_or_default().lines() {
            if let Ok(pid) = pid.parse() {
                drop(crate::sys_process::kill(pid, libc::SIGKILL));
            }
        }
        if remove_dir(path) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(io::Error::other(format!("cannot remove {}", path.display())))
}

/// The folders directly below.
pub(crate) fn subfolders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_vcpu_at_1769_megabytes() {
        let quota = |memory_mb| Limits::new(Sizes { memory_mb, tmp_mb: 512 }, 1024, false).cpu_quota_us(2);
        assert_eq!((quota(1769), quota(128), quota(10_240)), (Some(100_000), Some(7_235), None));
    }

    #[test]
    fn field_matches_whole_keys() {
        let text = "rss 10\nrss_huge 20\ntotal_rss 30\n";
        assert_eq!(field(text, "rss"), 10);
        assert_eq!(field(text, "total_rss"), 30);
        assert_eq!(field(text, "absent"), 0);
    }
}
