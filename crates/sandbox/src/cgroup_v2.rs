//! cgroup v2: one folder `gust-<data id>/<sandbox>` below the root, or below a subtree delegated to this user.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::cgroup::{
    CPU_PERIOD_US, Limits, Usage, field, kill_and_remove, make_dir, read, read_number, remove_dir, subfolders, write,
};
use crate::memory_watch::MemoryFiles;

const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The folder that holds all sandboxes of this gust.
pub(crate) struct V2 {
    parent: PathBuf,
    cpu_count: u64,
}

impl V2 {
    /// Finds a place to make cgroups in, with all needed controllers; `None` if there is none. Root takes the top of
    /// the hierarchy, anybody else the cgroup this process is in, if it was delegated.
    pub(crate) fn find(data_id: &str, root: bool) -> Option<V2> {
        let mounts = read(Path::new("/proc/self/mounts")).ok()?;
        let at = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(at))
        })?;
        let base = if root { at } else { own_folder(&at)? };
        let available = read(&base.join("cgroup.controllers")).ok()?;
        if !CONTROLLERS.iter().all(|name| available.split_whitespace().any(|word| word == *name)) {
            return None;
        }
        if !root {
            // No process may stay in a cgroup that passes controllers on: this one moves into a leaf.
            let leaf = base.join(format!("gust-{data_id}-spawner"));
            make_dir(&leaf).ok()?;
            write(&leaf.join("cgroup.procs"), "0").ok()?;
        }
        let parent = base.join(format!("gust-{data_id}"));
        make_dir(&parent).ok()?;
        for folder in [&base, &parent] {
            write(&folder.join("cgroup.subtree_control"), "+memory +pids +cpu").ok()?;
        }
        let cpu_count = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        Some(V2 { parent, cpu_count })
    }

    pub(crate) fn place(&self, name: &str, limits: Option<&Limits>) -> Group {
        let quota_us = limits.and_then(|limits| limits.cpu_quota_us(self.cpu_count));
        Group { folder: self.parent.join(name), cpu_count: self.cpu_count, quota_us }
    }

    pub(crate) fn sweep(&self) -> io::Result<()> {
        subfolders(&self.parent).iter().try_for_each(|group| {
            write(&group.join("cgroup.freeze"), "0")?;
            kill_and_remove(group)
        })
    }

    pub(crate) fn remove(&self) {
        remove_dir(&self.parent);
    }
}

fn own_folder(at: &Path) -> Option<PathBuf> {
    let own = read(Path::new("/proc/self/cgroup")).ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(at.join(path))
}

/// The folder of one sandbox.
pub(crate) struct Group {
    folder: PathBuf,
    cpu_count: u64,
    /// `None`: MemorySize grants at least all CPUs of this machine, or there are no limits yet.
    quota_us: Option<u64>,
}

impl Group {
    pub(crate) fn procs(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    pub(crate) fn limit_cpu(&self) -> io::Result<()> {
        let Some(quota_us) = self.quota_us else { return Ok(()) };
        write(&self.folder.join("cpu.max"), &format!("{quota_us} {CPU_PERIOD_US}"))
    }

    pub(crate) fn make(&self) -> io::Result<()> {
        make_dir(&self.folder)
    }

    pub(crate) fn limit(&mut self, limits: &Limits) -> io::Result<()> {
        write(&self.folder.join("memory.max"), &(limits.memory_bytes + limits.tmp_bytes).to_string())?;
        // The file is absent without swap.
        if self.folder.join("memory.swap.max").exists() {
            write(&self.folder.join("memory.swap.max"), "0")?;
        }
        write(&self.folder.join("pids.max"), &limits.pids_max.to_string())?;
        self.quota_us = limits.cpu_quota_us(self.cpu_count);
        if let Some(quota_us) = self.quota_us.map(|quota_us| limits.first_quota_us(quota_us)) {
            write(&self.folder.join("cpu.max"), &format!("{quota_us} {CPU_PERIOD_US}"))?;
        }
        Ok(())
    }

    pub(crate) fn join_files(&self) -> io::Result<Vec<OwnedFd>> {
        Ok(vec![OpenOptions::new().write(true).open(self.folder.join("cgroup.procs"))?.into()])
    }

    /// Does not wait, see v1.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        write(&self.folder.join("cgroup.freeze"), "1")
    }

    pub(crate) fn thaw(&self) -> io::Result<()> {
        write(&self.folder.join("cgroup.freeze"), "0")
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let stat = read(&self.folder.join("memory.stat"))?;
        let events = read(&self.folder.join("memory.events"))?;
        let charged = read_number(&self.folder.join("memory.current"))?;
        Ok(Usage {
            // memory.peak came with Linux 5.19.
            peak: read_number(&self.folder.join("memory.peak")).unwrap_or(charged),
            unreclaimable: field(&stat, "anon") + field(&stat, "shmem") + field(&stat, "kernel"),
            oom_kill_count: field(&events, "oom_kill"),
            cpu_ns: field(&read(&self.folder.join("cpu.stat"))?, "usage_usec") * 1000,
        })
    }

    /// A write to memory.peak resets it for the writer's own descriptor only (Linux 6.12), so the peak stays the
    /// sandbox's lifetime peak here: an over-estimate, never an under-estimate.
    pub(crate) fn reset_peak(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn memory_files(&self) -> io::Result<MemoryFiles> {
        Ok(MemoryFiles::V2 { stat: File::open(self.folder.join("memory.stat"))?.into() })
    }

    pub(crate) fn remove(&self) -> bool {
        remove_dir(&self.folder)
    }
}
