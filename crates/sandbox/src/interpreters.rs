//! Finds the Python interpreters of this machine, also outside `/usr` (pyenv, uv), and picks one for a runtime name.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Oldest minor version of Python 3 that is looked for.
const MINOR_MIN: u8 = 9;
/// Newest one; a bound for names to try, not a statement of support.
const MINOR_MAX: u8 = 20;
/// How long one interpreter may take to tell its version.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long all together may take.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Candidates looked at, at most.
const CANDIDATES_MAX: usize = 64;

/// A Python interpreter found on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Interpreter {
    /// Major, minor, micro.
    pub version: (u8, u8, u8),
    /// The executable, symlinks resolved.
    pub path: PathBuf,
    /// `sys.base_prefix`, symlinks resolved.
    pub prefix: PathBuf,
}

/// The answer of [`choose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The runtime's own minor version.
    Exact(Interpreter),
    /// The nearest minor version there is; the caller warns once.
    Nearest(Interpreter),
    /// No Python 3.9 or newer, or, with `strict`, not this one.
    Missing,
}

/// Finds every Python 3.9+ on PATH, in pyenv and uv folders, /usr/bin, /usr/local/bin and /opt. Runs each once
/// (a few tens of milliseconds each, at most 2 s each and 10 s in all), so callers keep the answer. Blocking.
/// Newest first; of several with the same minor version, the newest micro is first.
pub fn discover_interpreters() -> Vec<Interpreter> {
    let deadline = Instant::now() + DISCOVERY_TIMEOUT;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for candidate in candidates() {
        let Ok(path) = fs::canonicalize(&candidate) else { continue };
        if seen.len() >= CANDIDATES_MAX || Instant::now() > deadline {
            break;
        }
        if seen.insert(path.clone())
            && let Some(interpreter) = probe(&path)
        {
            found.push(interpreter);
        }
    }
    found.sort_by(|one, other| other.version.cmp(&one.version).then_with(|| one.path.cmp(&other.path)));
    found
}

/// Picks the interpreter for a runtime name such as `python3.12`: exact, else (unless `strict`) the nearest minor
/// version, newer preferred on a tie.
pub fn choose(found: &[Interpreter], runtime: &str, strict: bool) -> Choice {
    let Some(wanted) = runtime.strip_prefix("python3.").and_then(|minor| minor.parse::<u8>().ok()) else {
        return Choice::Missing;
    };
    let distance = |interpreter: &&Interpreter| {
        let minor = interpreter.version.1;
        (minor.abs_diff(wanted), minor < wanted, std::cmp::Reverse(interpreter.version))
    };
    match found.iter().min_by_key(distance) {
        Some(nearest) if nearest.version.1 == wanted => Choice::Exact(nearest.clone()),
        Some(nearest) if !strict => Choice::Nearest(nearest.clone()),
        _ => Choice::Missing,
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(path) = std::env::var_os("PATH") {
        folders.extend(std::env::split_paths(&path).filter(|folder| folder.is_absolute()));
    }
    // A shim of pyenv is a script that picks a version by the current folder: never what is meant here.
    folders.retain(|folder| !folder.ends_with("shims"));
    folders.extend(["/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    let mut parents = vec![PathBuf::from("/opt"), PathBuf::from("/opt/python")];
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        parents.push(home.join(".pyenv/versions"));
        parents.push(home.join(".local/share/uv/python"));
    }
    for (variable, below) in [("PYENV_ROOT", "versions"), ("UV_PYTHON_INSTALL_DIR", ""), ("XDG_DATA_HOME", "uv/python")]
    {
        if let Some(root) = std::env::var_os(variable) {
            parents.push(PathBuf::from(root).join(below));
        }
    }
    for parent in parents {
        let Ok(entries) = fs::read_dir(parent) else { continue };
        folders.extend(entries.flatten().map(|entry| entry.path().join("bin")));
    }
    let mut candidates = Vec::new();
    for folder in folders {
        for minor in (MINOR_MIN..=MINOR_MAX).rev() {
            let path = folder.join(format!("python3.{minor}"));
            if path.exists() {
                candidates.push(path);
            }
        }
    }
    candidates
}

fn probe(path: &Path) -> Option<Interpreter> {
    const QUESTION: &str = "import sys; print(*sys.version_info[:3], sys.base_prefix, sep='\\n')";
    let mut child = Command::new(path)
        .args(["-I", "-S", "-c", QUESTION])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let deadline = Instant::now() + PROBE_TIMEOUT;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            _ => {
                drop(child.kill());
                drop(child.wait());
                return None;
            }
        }
    };
    let mut answer = String::new();
    child.stdout.take()?.take(8192).read_to_string(&mut answer).ok()?;
    let mut lines = answer.lines();
    let mut number = || lines.next()?.parse::<u8>().ok();
    let version = (number()?, number()?, number()?);
    let prefix = fs::canonicalize(lines.next()?).ok()?;
    (status.success() && version.0 == 3 && version.1 >= MINOR_MIN).then(|| Interpreter {
        version,
        path: path.to_owned(),
        prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(minor: u8, micro: u8) -> Interpreter {
        Interpreter { version: (3, minor, micro), path: "/p".into(), prefix: "/".into() }
    }

    #[test]
    fn exact_then_nearest_then_missing() {
        let found = [interpreter(13, 0), interpreter(11, 7), interpreter(11, 2), interpreter(9, 1)];
        assert_eq!(choose(&found, "python3.11", true), Choice::Exact(interpreter(11, 7)));
        assert_eq!(choose(&found, "python3.12", false), Choice::Nearest(interpreter(13, 0)));
        assert_eq!(choose(&found, "python3.14", false), Choice::Nearest(interpreter(13, 0)));
        assert_eq!(choose(&found, "python3.12", true), Choice::Missing);
        assert_eq!(choose(&[], "python3.12", false), Choice::Missing);
        assert_eq!(choose(&found, "nodejs20.x", false), Choice::Missing);
    }
}
