//! What the samples were taken on and with: it stands above the results and in every file of samples.

use super::Options;
use super::programs::Programs;
use crate::run;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Names and values.
pub fn header(options: &Options, programs: &Programs) -> Result<BTreeMap<String, String>, String> {
    let first_line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let method = format!(
        "{} rounds of {} s, value, floor and rival in turns; signatures verified, sandbox and logs on",
        options.rounds, options.seconds
    );
    let mut header = BTreeMap::new();
    let mut line = |name: &str, value: String| header.insert(name.to_owned(), value.trim().to_owned());
    line("date", run::output(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?);
    line("machine", machine());
    line("kernel", kernel());
    line("load average before all", first_line("/proc/loadavg"));
    line("transparent huge pages", first_line("/sys/kernel/mm/transparent_hugepage/enabled"));
    line("commit", commit());
    line("toolchain", run::output(Command::new("rustc").arg("--version"))?);
    line("versions", programs.versions.join(", "));
    line("method", method);
    line("raw samples", format!("target/bench/{}/", options.samples_folder()));
    if !programs.missing.is_empty() {
        line("**not beside**", programs.missing.join("; "));
    }
    Ok(header)
}

/// Processor, cores, memory.
fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| line.split_once(':').map(|(_, value)| value.trim().to_owned())).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let (model, memory) = (field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal"));
    format!("{model}, {cores} cores, {memory} of memory")
}

/// Version, cgroups, and what it does against flaws of processors, which costs system calls.
fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = match Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        true => "v2",
        false => "v1",
    };
    let folder = std::fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let active = folder.into_iter().flatten().flatten().filter_map(|entry| {
        let said = std::fs::read_to_string(entry.path()).ok()?;
        said.starts_with("Mitigation").then(|| entry.file_name().to_string_lossy().into_owned())
    });
    let mut active: Vec<String> = active.collect();
    active.sort();
    format!("Linux {}, cgroup {version}, mitigations: {}", release.trim(), active.join(" "))
}

fn commit() -> String {
    let git = |arguments: &[&str]| run::output(Command::new("git").args(arguments).current_dir(crate::project::root()));
    let Ok(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let is_changed = git(&["status", "--porcelain"]).is_ok_and(|text| !text.trim().is_empty());
    format!("{}{}", commit.trim(), if is_changed { " with changes" } else { "" })
}
