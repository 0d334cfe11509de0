//! What processes cost: CPU time, memory and handles of a process and all its descendants, from /proc.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// The kernel's clock ticks a second, fixed at 100 in the interface to user space on Linux.
const TICKS_PER_SECOND: u64 = 100;

struct Stat {
    parent: u32,
    ticks: u64,
}

/// User and system time of `root` and its descendants, reaped children included. Exact to 10 ms a process.
pub fn cpu(root: u32) -> Duration {
    let all = processes();
    let ticks: u64 = tree(root, &all).iter().map(|pid| all[pid].ticks).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// The ids of `root` and its living descendants.
pub fn family(root: u32) -> HashSet<u32> {
    tree(root, &processes())
}

/// Memory and handles of a process tree.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// Proportional set size in KiB.
    pub pss_kib: u64,
    /// How many processes live.
    pub processes: usize,
    /// Threads of all of them.
    pub threads: u64,
    /// Open file descriptors of all of them.
    pub descriptors: usize,
    /// Different network namespaces among them.
    pub networks: usize,
}

/// What `pids` hold now. Costs about a tenth of a millisecond a process.
pub fn holdings(pids: &HashSet<u32>) -> Holdings {
    let mut networks = BTreeSet::new();
    let mut holdings = Holdings { processes: pids.len(), ..Holdings::default() };
    for &pid in pids {
        holdings.pss_kib += field(pid, "smaps_rollup", "Pss:").unwrap_or(0);
        holdings.threads += field(pid, "status", "Threads:").unwrap_or(0);
        holdings.descriptors += std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        networks.extend(std::fs::read_link(format!("/proc/{pid}/ns/net")).ok());
    }
    holdings.networks = networks.len();
    holdings
}

/// Proportional set size of one process in KiB.
pub fn pss_kib(pid: u32) -> u64 {
    field(pid, "smaps_rollup", "Pss:").unwrap_or(0)
}

/// Voluntary and involuntary context switches of all threads of `pids`.
pub fn switches(pids: &HashSet<u32>) -> u64 {
    pids.iter().map(|pid| switches_of(*pid)).sum()
}

fn switches_of(pid: u32) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return 0;
    };
    let names = tasks.flatten().map(|task| task.file_name().to_string_lossy().into_owned());
    names
        .map(|task| {
            let file = format!("task/{task}/status");
            field(pid, &file, "voluntary_ctxt_switches:").unwrap_or(0)
                + field(pid, &file, "nonvoluntary_ctxt_switches:").unwrap_or(0)
        })
        .sum()
}

/// Memory that the kernel could give out, in KiB.
pub fn memory_available_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    number_after(&text, "MemAvailable:").unwrap_or(0)
}

/// `root` and all that descend from it.
fn tree(root: u32, all: &HashMap<u32, Stat>) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, stat) in all {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let (mut found, mut open) = (HashSet::new(), vec![root]);
    while let Some(pid) = open.pop() {
        if all.contains_key(&pid) && found.insert(pid) {
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    found
}

fn processes() -> HashMap<u32, Stat> {
    let Ok(folder) = std::fs::read_dir("/proc") else {
        return HashMap::new();
    };
    let pids = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold anything; what follows the last parenthesis is plain.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

fn field(pid: u32, file: &str, name: &str) -> Option<u64> {
    number_after(&std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?, name)
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_belong_to_the_family() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pids = family(std::process::id());
        let holdings = holdings(&pids);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(pids.contains(&child.id()) && pids.contains(&std::process::id()));
        assert!(holdings.processes >= 2 && holdings.pss_kib > 0 && holdings.threads >= 2);
        assert!(holdings.descriptors > 2 && holdings.networks >= 1);
    }
}
