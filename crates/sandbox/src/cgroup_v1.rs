//! cgroup v1: one folder `gust-<data id>/<sandbox>` in each of the hierarchies that limit something.
//!
//! Few hierarchies: each costs a folder, a join (which stops all forks of the machine for a moment) and a removal.
//! Processes are counted by RLIMIT_NPROC instead, which is exact because each sandbox has a host uid of its own; CPU
//! time is counted where `cpuacct` comes with `cpu`, else it is summed up over the processes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::cgroup::{
    Limits, Usage, cpu_ns_of_processes, field, kill_and_remove, make_dir, read, read_number, remove_dir, subfolders,
    write,
};
use crate::memory_watch::MemoryFiles;

/// Where each needed hierarchy is mounted.
pub(crate) struct V1 {
    memory: PathBuf,
    cpu: PathBuf,
    /// `cpuacct` is mounted together with `cpu`, as usual.
    accounts_cpu: bool,
    freezer: PathBuf,
    parent: String,
    cpu_count: u64,
}

impl V1 {
    /// Finds the hierarchies in this process's mounts; `None` unless all that are needed can be written.
    pub(crate) fn find(data_id: &str) -> Option<V1> {
        let mounts = read(Path::new("/proc/self/mounts")).ok()?;
        let hierarchy = |controller: &str| {
            mounts.lines().find_map(|line| {
                let mut words = line.split(' ');
                let (_, at, kind, options) = (words.next()?, words.next()?, words.next()?, words.next()?);
                (kind == "cgroup" && options.split(',').any(|option| option == controller)).then(|| PathBuf::from(at))
            })
        };
        let cpu = hierarchy("cpu")?;
        let tree = V1 {
            accounts_cpu: hierarchy("cpuacct").is_some_and(|path| path == cpu),
            cpu,
            memory: hierarchy("memory")?,
            freezer: hierarchy("freezer")?,
            parent: format!("gust-{data_id}"),
            cpu_count: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        };
        for root in tree.roots() {
            make_dir(&root.join(&tree.parent)).ok()?;
        }
        Some(tree)
    }

    fn roots(&self) -> Vec<&Path> {
        vec![&*self.memory, &*self.cpu, &*self.freezer]
    }

    pub(crate) fn place(&self, name: &str, limits: Option<&Limits>) -> Group {
        let path = |root: &Path| root.join(&self.parent).join(name);
        Group {
            memory: path(&self.memory),
            cpu: path(&self.cpu),
            freezer: path(&self.freezer),
            accounts_cpu: self.accounts_cpu,
            cpu_count: self.cpu_count,
            quota_us: limits.and_then(|limits| limits.cpu_quota_us(self.cpu_count)),
        }
    }

    pub(crate) fn sweep(&self) -> io::Result<()> {
        for group in subfolders(&self.freezer.join(&self.parent)) {
            write(&group.join("freezer.state"), "THAWED")?;
        }
        for root in self.roots() {
            for group in subfolders(&root.join(&self.parent)) {
                kill_and_remove(&group)?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove(&self) {
        for root in self.roots() {
            remove_dir(&root.join(&self.parent));
        }
    }
}

/// The folders of one sandbox.
pub(crate) struct Group {
    memory: PathBuf,
    cpu: PathBuf,
    freezer: PathBuf,
    accounts_cpu: bool,
    cpu_count: u64,
    /// `None`: MemorySize grants at least all CPUs of this machine, or there are no limits yet.
    quota_us: Option<u64>,
}

impl Group {
    pub(crate) fn procs(&self) -> PathBuf {
        self.freezer.join("cgroup.procs")
    }

    pub(crate) fn limit_cpu(&self) -> io::Result<()> {
        let Some(quota_us) = self.quota_us else { return Ok(()) };
        write(&self.cpu.join("cpu.cfs_quota_us"), &quota_us.to_string())
    }

    fn folders(&self) -> [&Path; 3] {
        [&*self.memory, &*self.cpu, &*self.freezer]
    }

    pub(crate) fn make(&self) -> io::Result<()> {
        self.folders().into_iter().try_for_each(make_dir)
    }

    /// The accounting period is the kernel's own default.
    pub(crate) fn limit(&mut self, limits: &Limits) -> io::Result<()> {
        let hard = (limits.memory_bytes + limits.tmp_bytes).to_string();
        write(&self.memory.join("memory.limit_in_bytes"), &hard)?;
        // Without swap accounting the file is absent, and then swap must not be used at all.
        if write(&self.memory.join("memory.memsw.limit_in_bytes"), &hard).is_err() {
            write(&self.memory.join("memory.swappiness"), "0")?;
        }
        self.quota_us = limits.cpu_quota_us(self.cpu_count);
        match self.quota_us {
            Some(quota_us) => write(&self.cpu.join("cpu.cfs_quota_us"), &limits.first_quota_us(quota_us).to_string()),
            None => Ok(()),
        }
    }

    pub(crate) fn join_files(&self) -> io::Result<Vec<OwnedFd>> {
        self.folders()
            .into_iter()
            .map(|folder| Ok(OpenOptions::new().write(true).open(folder.join("cgroup.procs"))?.into()))
            .collect()
    }

    /// Does not wait for tasks that the CPU quota holds back: none of them runs its own code again before it stops.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        write(&self.freezer.join("freezer.state"), "FROZEN")
    }

    pub(crate) fn thaw(&self) -> io::Result<()> {
        write(&self.freezer.join("freezer.state"), "THAWED")
    }

    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let stat = read(&self.memory.join("memory.stat"))?;
        let kernel = read_number(&self.memory.join("memory.kmem.usage_in_bytes")).unwrap_or(0);
        let oom = read(&self.memory.join("memory.oom_control"))?;
        let cpu_ns = match self.accounts_cpu {
            true => read_number(&self.cpu.join("cpuacct.usage"))?,
            false => cpu_ns_of_processes(&read(&self.procs())?),
        };
        Ok(Usage {
            peak: read_number(&self.memory.join("memory.max_usage_in_bytes"))?,
            unreclaimable: field(&stat, "total_rss") + field(&stat, "total_shmem") + kernel,
            oom_kill_count: field(&oom, "oom_kill"),
            cpu_ns,
        })
    }

    pub(crate) fn reset_peak(&self) -> io::Result<()> {
        write(&self.memory.join("memory.max_usage_in_bytes"), "0")
    }

    pub(crate) fn memory_files(&self) -> io::Result<MemoryFiles> {
        let open = |name: &str| -> io::Result<OwnedFd> { Ok(File::open(self.memory.join(name))?.into()) };
        let control = OpenOptions::new().write(true).open(self.memory.join("cgroup.event_control"))?;
        Ok(MemoryFiles::V1 {
            stat: open("memory.stat")?,
            usage: open("memory.usage_in_bytes")?,
            kernel: open("memory.kmem.usage_in_bytes")?,
            control: control.into(),
        })
    }

    pub(crate) fn remove(&self) -> bool {
        // All of them are tried, even if the first is busy.
        let results: Vec<bool> = self.folders().into_iter().map(remove_dir).collect();
        !results.contains(&false)
    }
}
