//! What is taken at one moment of the soak.

use serde::Serialize;
use std::path::Path;

/// Folders of a cgroup hierarchy that are counted at most so deep.
const CGROUP_DEPTH_MAX: usize = 6;

/// One moment.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Invocations until now.
    pub invokes: u64,
    /// Seconds until now.
    pub elapsed_s: f64,
    /// Invocations per second since the last sample.
    pub rate: f64,
    /// Of warm synchronous invocations since the last sample, in microseconds.
    pub p50_us: f64,
    /// The same.
    pub p99_us: f64,
    /// Proportional set size of all processes in MiB.
    pub memory_mib: f64,
    /// That of the daemon alone: it does not depend on how many environments there are.
    pub daemon_mib: f64,
    /// Open descriptors of the daemon and its spawner: those of environments come and go.
    pub descriptors: f64,
    /// Threads of all processes.
    pub threads: f64,
    /// All processes.
    pub processes: f64,
    /// Mounts that the spawner sees.
    pub mounts: f64,
    /// Folders of gust's cgroups, over all hierarchies.
    pub cgroups: f64,
    /// Network namespaces in use.
    pub networks: f64,
    /// Size of the data folder in MiB.
    pub disk_mib: f64,
    /// Events that wait for their turn or for another try.
    pub queued: f64,
}

/// A course: its name with its unit, its values, and whether it has to be flat.
pub type Course = (&'static str, fn(&Sample) -> f64, bool);

/// All courses.
pub const COURSES: &[Course] = &[
    ("invokes per second", |sample| sample.rate, false),
    ("warm invoke p50, us", |sample| sample.p50_us, true),
    ("warm invoke p99, us", |sample| sample.p99_us, true),
    ("memory (PSS) of all processes, MiB", |sample| sample.memory_mib, true),
    ("memory (PSS) of the daemon, MiB", |sample| sample.daemon_mib, true),
    ("file descriptors of gust and spawner", |sample| sample.descriptors, true),
    ("threads", |sample| sample.threads, true),
    ("processes", |sample| sample.processes, true),
    ("mounts", |sample| sample.mounts, true),
    ("cgroups", |sample| sample.cgroups, true),
    ("network namespaces", |sample| sample.networks, true),
    ("queued events", |sample| sample.queued, true),
    ("data folder, MiB (logs are kept, so it grows)", |sample| sample.disk_mib, false),
];

/// Counts the folders below /sys/fs/cgroup that are gust's: those with this data folder's id in their path.
pub fn cgroups(data_id: &str) -> usize {
    count(Path::new("/sys/fs/cgroup"), data_id, false, CGROUP_DEPTH_MAX)
}

fn count(folder: &Path, data_id: &str, is_inside: bool, depth: usize) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders
        .map(|entry| {
            let is_inside = is_inside || entry.file_name().to_string_lossy().contains(data_id);
            let below = if depth > 0 { count(&entry.path(), data_id, is_inside, depth - 1) } else { 0 };
            usize::from(is_inside) + below
        })
        .sum()
}

/// Size of all files below `folder` in bytes. What vanishes meanwhile counts nothing.
pub fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_below(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}
