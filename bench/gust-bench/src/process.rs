//! What processes cost: CPU time and memory of a process and all its descendants, from /proc.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// The kernel's clock ticks a second, fixed at 100 in the interface to user space on Linux.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time and memory of a process tree.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time, reaped children included.
    pub cpu: Duration,
    /// Proportional set size in KiB.
    pub pss_kib: u64,
    /// Voluntary and involuntary context switches of the living.
    pub switches: u64,
    /// How many processes live.
    pub processes: usize,
}

struct Stat {
    parent: u32,
    ticks: u64,
}

/// The usage of `root` and its descendants now.
pub fn usage(root: u32) -> Usage {
    let all = processes();
    let mut usage = Usage::default();
    for pid in tree(root, &all) {
        usage.cpu += Duration::from_millis(all[&pid].ticks * 1000 / TICKS_PER_SECOND);
        usage.pss_kib += field(pid, "smaps_rollup", "Pss:").unwrap_or(0);
        usage.switches += switches(pid);
        usage.processes += 1;
    }
    usage
}

fn switches(pid: u32) -> u64 {
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

/// `root` and all that descend from it.
fn tree(root: u32, all: &HashMap<u32, Stat>) -> HashSet<u32> {
    let mut found = HashSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            all.iter().filter(|(_, stat)| found.contains(&stat.parent)).map(|(pid, _)| *pid).collect::<Vec<_>>(),
        );
        if found.len() == before {
            found.retain(|pid| all.contains_key(pid));
            return found;
        }
    }
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
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().next()?.parse().ok()
}
