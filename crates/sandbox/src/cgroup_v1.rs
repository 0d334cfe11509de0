//! cgroup v1: one folder `gust-<data id>/<sandbox>` in each of the hierarchies that limit something.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::cgroup::{
    CPU_PERIOD_US, Limits, Usage, field, kill_and_remove, make_dir, read, read_number, remove_dir, subfolders, write,
};
use crate::memory_watch::MemoryFiles;

/// Where each needed hierarchy is mounted. `cpuacct` is usually mounted together with `cpu`.
pub(crate) struct V1 {
    memory: PathBuf,
    cpu: PathBuf,
    cpuacct: Option<PathBuf>,
    pids: PathBuf,
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
            cpuacct: hierarchy("cpuacct").filter(|path| *path != cpu),
            cpu,
            memory: hierarchy("memory")?,
            pids: hierarchy("pids")?,
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
        let mut roots = vec![&*self.memory, &*self.cpu, &*self.pids, &*self.freezer];
        roots.extend(self.cpuacct.as_deref());
        roots
    }

    pub(crate) fn create(&self, name: &str, limits: &Limits) -> io::Result<Group> {
        let path = |root: &Path| root.join(&self.parent).join(name);
        let quota_us = limits.cpu_quota_us(self.cpu_count);
        let group = Group {
            memory: path(&self.memory),
            cpu: quota_us.map(|_| path(&self.cpu)),
            cpuacct: self.cpuacct.as_deref().map(path).or_else(|| Some(path(&self.cpu))),
            pids: path(&self.pids),
            freezer: path(&self.freezer),
            quota_us,
        };
        let result = group.limit(limits, quota_us);
        if result.is_err() {
            group.remove();
        }
        result.map(|()| group)
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
    /// `None`: MemorySize grants at least all CPUs of this machine.
    cpu: Option<PathBuf>,
    cpuacct: Option<PathBuf>,
    pids: PathBuf,
    freezer: PathBuf,
    quota_us: Option<u64>,
}

impl Group {
    pub(crate) fn procs(&self) -> PathBuf {
        self.freezer.join("cgroup.procs")
    }

    pub(crate) fn limit_cpu(&self) -> io::Result<()> {
        let (Some(cpu), Some(quota_us)) = (&self.cpu, self.quota_us) else { return Ok(()) };
        write(&cpu.join("cpu.cfs_quota_us"), &quota_us.to_string())
    }

    fn folders(&self) -> Vec<&Path> {
        let mut folders = vec![&*self.memory, &*self.pids, &*self.freezer];
        folders.extend(self.cpu.as_deref());
        if self.cpuacct != self.cpu {
            folders.extend(self.cpuacct.as_deref());
        }
        folders
    }

    fn limit(&self, limits: &Limits, quota_us: Option<u64>) -> io::Result<()> {
        for folder in self.folders() {
            make_dir(folder)?;
        }
        let hard = (limits.memory_bytes + limits.tmp_bytes).to_string();
        write(&self.memory.join("memory.limit_in_bytes"), &hard)?;
        // Without swap accounting the file is absent, and then swap must not be used at all.
        if write(&self.memory.join("memory.memsw.limit_in_bytes"), &hard).is_err() {
            write(&self.memory.join("memory.swappiness"), "0")?;
        }
        write(&self.pids.join("pids.max"), &limits.pids_max.to_string())?;
        if let (Some(cpu), Some(quota_us)) = (&self.cpu, quota_us) {
            write(&cpu.join("cpu.cfs_period_us"), &CPU_PERIOD_US.to_string())?;
            write(&cpu.join("cpu.cfs_quota_us"), &limits.first_quota_us(quota_us).to_string())?;
        }
        Ok(())
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
        let cpu_ns = match &self.cpuacct {
            Some(cpuacct) => read_number(&cpuacct.join("cpuacct.usage"))?,
            None => 0,
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
