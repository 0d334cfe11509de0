//! What a test run must not leave behind: processes of the gust binary, cgroups, mounts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the last processes may take to go, in milliseconds.
const SETTLE_MS_MAX: u64 = 10_000;
/// How deep cgroups are looked for below each hierarchy.
const CGROUP_DEPTH_MAX: usize = 4;

/// What there is of gust on this machine, each in a readable line.
pub fn snapshot(binaries: &[PathBuf]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    processes(binaries, &mut found);
    cgroups(Path::new("/sys/fs/cgroup"), CGROUP_DEPTH_MAX, &mut found);
    mounts(&mut found);
    found
}

/// Fails if there is more than `before`; waits a bounded time for what is just going.
pub fn check(binaries: &[PathBuf], before: &BTreeSet<String>) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let left: Vec<String> = snapshot(binaries).difference(before).cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_millis(SETTLE_MS_MAX) {
            return Err(format!("left behind:\n  {}", left.join("\n  ")));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn processes(binaries: &[PathBuf], found: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir("/proc") else { return };
    for entry in entries.flatten() {
        let Ok(executable) = std::fs::read_link(entry.path().join("exe")) else { continue };
        // A rebuilt binary's old process shows as "... (deleted)".
        let executable = executable.to_string_lossy().trim_end_matches(" (deleted)").to_owned();
        if binaries.iter().any(|binary| Path::new(&executable) == binary) {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            found.insert(format!("process {}: {line}", entry.file_name().to_string_lossy()));
        }
    }
}

fn cgroups(folder: &Path, depth: usize, found: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if entry.file_name().to_string_lossy().starts_with("gust") {
            for tagged in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                if tagged.file_type().is_ok_and(|kind| kind.is_dir()) {
                    found.insert(format!("cgroup {}", tagged.path().display()));
                }
            }
        } else if depth > 1 {
            cgroups(&entry.path(), depth - 1, found);
        }
    }
}

fn mounts(found: &mut BTreeSet<String>) {
    let text = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    found.extend(text.lines().filter(|line| line.contains("gust")).map(|line| format!("mount {line}")));
}
