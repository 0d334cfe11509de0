//! Measurements, each in a process of its own with a limit: one that fails or hangs loses no other.

use crate::run;
use serde_json::json;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Rounds times seconds for which the harness names its limits.
const EXTENT: f64 = 10.0;
/// Between two looks whether a measurement has ended.
const TICK: Duration = Duration::from_millis(50);
/// gust ends in order when whoever started it has gone; so long it may take.
const END_MAX: Duration = Duration::from_secs(5);

/// A measurement that the harness offers.
pub struct Entry {
    name: String,
    limit_s: f64,
    numbers: Vec<String>,
}

/// All of them.
pub fn entries(bench: &Path) -> Result<Vec<Entry>, String> {
    let said = run::output(Command::new(bench).arg("list"))?;
    let entry = |line: &str| {
        let mut words = line.split(' ');
        let (name, limit) = (words.next()?.to_owned(), words.next()?);
        let numbers = words.next()?.split(',').map(str::to_owned).collect();
        Some(Entry { name, limit_s: limit.parse().ok()?, numbers })
    };
    said.lines().map(|line| entry(line).ok_or_else(|| format!("the harness said {line:?}"))).collect()
}

/// Those of the rows or with the names `wanted`; all if nothing is wanted.
pub fn choose<'a>(entries: &'a [Entry], wanted: &[String]) -> Result<Vec<&'a Entry>, String> {
    let fits = |entry: &Entry, word: &String| entry.name == *word || entry.numbers.contains(word);
    if let Some(unknown) = wanted.iter().find(|word| !entries.iter().any(|entry| fits(entry, word))) {
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        return Err(format!("there is no row or measurement {unknown}; there are {}", names.join(", ")));
    }
    Ok(entries.iter().filter(|entry| wanted.is_empty() || wanted.iter().any(|word| fits(entry, word))).collect())
}

/// Runs them one after the other. Returns the names of those that failed; why is in their files.
pub fn run_all(
    bench: &Path,
    context: &Path,
    samples: &Path,
    entries: &[&Entry],
    extent: f64,
) -> Result<Vec<String>, String> {
    let mut failed = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let begun = Instant::now();
        eprintln!("{}/{} {} (rows {})", index + 1, entries.len(), entry.name, entry.numbers.join(", "));
        let out = samples.join(format!("{}.json", entry.name));
        let limit = Duration::from_secs_f64(entry.limit_s * (extent / EXTENT).max(1.0));
        let mut measure = Command::new(bench);
        measure.args(["measure", &entry.name]).arg("--context").arg(context).arg("--out").arg(&out);
        let problem = match measure.spawn() {
            Ok(child) => wait(child, limit).err(),
            Err(cause) => Some(cause.to_string()),
        };
        if let Some(problem) = problem {
            eprintln!("{} FAILED: {problem}", entry.name);
            failed.push(entry.name.clone());
            if !out.exists() {
                keep_failure(context, &out, entry, &problem, begun.elapsed())?;
            }
        }
        eprintln!("   {:.1} s", begun.elapsed().as_secs_f64());
    }
    Ok(failed)
}

/// What a measurement would have kept, had it come so far.
fn keep_failure(context: &Path, out: &Path, entry: &Entry, problem: &str, took: Duration) -> Result<(), String> {
    let text = crate::project::read(context)?;
    let known: serde_json::Value = serde_json::from_str(&text).map_err(|cause| cause.to_string())?;
    let failure = json!({
        "header": known["header"], "name": entry.name, "numbers": entry.numbers, "rows": [],
        "failures": [problem], "load": ["", ""], "took_s": took.as_secs_f64(),
    });
    crate::project::write(out, &failure.to_string())
}

fn wait(mut child: Child, limit: Duration) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("it ended with {status}")),
            Ok(None) if begun.elapsed() < limit => std::thread::sleep(TICK),
            Ok(None) => {
                end(&mut child);
                return Err(format!("it took longer than {:.0} s", limit.as_secs_f64()));
            }
            Err(cause) => return Err(cause.to_string()),
        }
    }
}

/// Ends the harness and whatever it had started.
fn end(child: &mut Child) {
    let family = descendants(child.id());
    // Errors mean that it has ended.
    let _ = child.kill();
    let _ = child.wait();
    let begun = Instant::now();
    let lives = |pid: &&u32| Path::new(&format!("/proc/{pid}")).exists();
    while family.iter().any(|pid| lives(&pid)) && begun.elapsed() < END_MAX {
        std::thread::sleep(TICK);
    }
    for pid in family.iter().filter(lives) {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
    }
}

/// All living descendants of `root`.
fn descendants(root: u32) -> Vec<u32> {
    let folder = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = folder
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let entry = |name: &str, numbers: &[&str]| Entry {
            name: name.to_owned(),
            limit_s: 1.0,
            numbers: numbers.iter().map(|number| (*number).to_owned()).collect(),
        };
        vec![entry("warm-python", &["1", "3"]), entry("burst-rust", &["8", "9"])]
    }

    #[test]
    fn rows_and_names_choose_measurements() {
        let all = entries();
        let chosen = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            choose(&all, &words).map(|chosen| chosen.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&[]).unwrap(), ["warm-python", "burst-rust"]);
        assert_eq!(chosen(&["9"]).unwrap(), ["burst-rust"]);
        assert_eq!(chosen(&["burst-rust", "3"]).unwrap(), ["warm-python", "burst-rust"]);
        assert!(chosen(&["99"]).unwrap_err().contains("99"));
    }

    #[test]
    fn what_hangs_is_ended_with_all_that_it_started() {
        let child = Command::new("sh").args(["-c", "sleep 300 & sleep 301"]).spawn().unwrap();
        let begun = Instant::now();
        while descendants(child.id()).len() < 2 && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(TICK);
        }
        let family = descendants(child.id());
        assert!(wait(child, Duration::ZERO).unwrap_err().contains("longer"));
        // They are killed now; nobody but init reaps them.
        let begun = Instant::now();
        let runs =
            |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while family.iter().any(runs) && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(TICK);
        }
        assert!(!family.is_empty() && !family.iter().any(runs));
    }
}
