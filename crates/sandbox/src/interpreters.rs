//! The interpreters of this machine: finds them, and picks one for a runtime name.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::interpreter_folders;

/// Oldest minor version of Python 3 that is looked for.
pub(crate) const PYTHON_MINOR_MIN: u8 = 9;
/// Newest one; a bound for names to try, not a statement of support.
pub(crate) const PYTHON_MINOR_MAX: u8 = 20;
/// Oldest major version of Node.js that is used.
const NODE_MAJOR_MIN: u8 = 18;
/// How long one interpreter may take to tell its version.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long all together may take.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Candidates looked at, at most.
const CANDIDATES_MAX: usize = 64;

/// What an interpreter interprets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Language {
    /// Python 3.
    Python,
    /// JavaScript, on Node.js.
    Node,
}

impl Language {
    /// Its name as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Language::Python => "Python",
            Language::Node => "Node.js",
        }
    }
}

/// An interpreter found on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Interpreter {
    /// What it interprets.
    pub language: Language,
    /// Major, minor, micro.
    pub version: (u8, u8, u8),
    /// The executable, symlinks resolved.
    pub path: PathBuf,
    /// The folder that it is installed in, symlinks resolved: `sys.base_prefix`, or what `bin/node` lies in.
    pub prefix: PathBuf,
}

impl Interpreter {
    /// The part of its version that a runtime's name has: 12 of Python 3.12.1, 20 of Node.js 20.9.0.
    fn release(&self) -> u8 {
        match self.language {
            Language::Python => self.version.1,
            Language::Node => self.version.0,
        }
    }

    /// `3.12.1`
    pub fn version_text(&self) -> String {
        let (major, minor, micro) = self.version;
        format!("{major}.{minor}.{micro}")
    }
}

/// The answer of [`choose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The runtime's own version.
    Exact(Interpreter),
    /// The nearest version there is; the caller warns once.
    Nearest(Interpreter),
    /// None of the language or, with `strict`, not this version.
    Missing,
}

/// Finds every Python 3.9+ and Node.js 18+ on PATH, in /usr, /usr/local and /opt, and where version managers keep
/// them (pyenv, uv; nvm, fnm, volta, n, asdf, mise, nodenv), also those of the user who called sudo. Runs each once (a
/// few tens of milliseconds each, at most 5 s each and 20 s in all), so callers keep the answer. Blocking.
/// By language, newest first.
pub fn discover_interpreters() -> Vec<Interpreter> {
    let deadline = Instant::now() + DISCOVERY_TIMEOUT;
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for (language, candidate) in interpreter_folders::candidates() {
        let Ok(path) = fs::canonicalize(&candidate) else { continue };
        if seen.len() >= CANDIDATES_MAX || Instant::now() > deadline {
            break;
        }
        if seen.insert(path.clone())
            && let Some(interpreter) = probe(language, &path)
        {
            found.push(interpreter);
        }
    }
    found.sort_by(|one, other| {
        let by_version = other.version.cmp(&one.version);
        one.language.cmp(&other.language).then(by_version).then_with(|| one.path.cmp(&other.path))
    });
    found
}

/// Picks the interpreter for a runtime name such as `python3.12` or `nodejs22.x`: exact, else (unless `strict`) the
/// nearest version, newer preferred on a tie.
pub fn choose(found: &[Interpreter], runtime: &str, strict: bool) -> Choice {
    let Some((language, wanted)) = parse(runtime) else { return Choice::Missing };
    let distance = |interpreter: &&Interpreter| {
        let release = interpreter.release();
        (release.abs_diff(wanted), release < wanted, std::cmp::Reverse(interpreter.version))
    };
    match found.iter().filter(|interpreter| interpreter.language == language).min_by_key(distance) {
        Some(nearest) if nearest.release() == wanted => Choice::Exact(nearest.clone()),
        Some(nearest) if !strict => Choice::Nearest(nearest.clone()),
        _ => Choice::Missing,
    }
}

/// The language of a managed runtime, and the version in its name.
fn parse(runtime: &str) -> Option<(Language, u8)> {
    if let Some(minor) = runtime.strip_prefix("python3.") {
        return Some((Language::Python, minor.parse().ok()?));
    }
    let major = runtime.strip_prefix("nodejs")?.strip_suffix(".x")?;
    Some((Language::Node, major.parse().ok()?))
}

/// Asks an executable what it is. Three lines with numbers, then the prefix (Python), or whether it needs libraries of
/// its own besides the system's (Node.js).
fn probe(language: Language, path: &Path) -> Option<Interpreter> {
    const PYTHON: &str = "import sys; print(*sys.version_info[:3], sys.base_prefix, sep='\\n')";
    const NODE: &str = "const all = process.config.variables; const needs = Object.keys(all).some((name) => \
        name.startsWith('node_shared') && String(all[name]) === 'true'); \
        console.log([...process.versions.node.split('.'), needs].join('\\n'))";
    let arguments: &[&str] = match language {
        Language::Python => &["-I", "-S", "-c", PYTHON],
        Language::Node => &["-e", NODE],
    };
    let answer = ask(path, arguments)?;
    let mut lines = answer.lines();
    let mut number = || lines.next()?.parse::<u8>().ok();
    let version = (number()?, number()?, number()?);
    let last = lines.next()?;
    let prefix = match language {
        Language::Python if version.0 == 3 && version.1 >= PYTHON_MINOR_MIN => fs::canonicalize(last).ok()?,
        // A sandbox shows the executable alone, and /usr.
        Language::Node if version.0 >= NODE_MAJOR_MIN && (last == "false" || path.starts_with("/usr")) => {
            path.parent()?.parent()?.to_owned()
        }
        Language::Python | Language::Node => return None,
    };
    Some(Interpreter { language, version, path: path.to_owned(), prefix })
}

/// Runs an executable and returns what it prints, if that ends well and in time.
fn ask(path: &Path, arguments: &[&str]) -> Option<String> {
    let mut child = Command::new(path)
        .args(arguments)
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
    status.success().then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(minor: u8, micro: u8) -> Interpreter {
        Interpreter { language: Language::Python, version: (3, minor, micro), path: "/p".into(), prefix: "/".into() }
    }

    fn node(major: u8, minor: u8) -> Interpreter {
        Interpreter { language: Language::Node, version: (major, minor, 0), path: "/n".into(), prefix: "/".into() }
    }

    #[test]
    fn exact_then_nearest_then_missing() {
        let found = [python(13, 0), python(11, 7), python(11, 2), python(9, 1), node(22, 1), node(18, 3), node(18, 20)];
        assert_eq!(choose(&found, "python3.11", true), Choice::Exact(python(11, 7)));
        assert_eq!(choose(&found, "python3.12", false), Choice::Nearest(python(13, 0)));
        assert_eq!(choose(&found, "python3.14", false), Choice::Nearest(python(13, 0)));
        assert_eq!(choose(&found, "python3.12", true), Choice::Missing);
        assert_eq!(choose(&[], "python3.12", false), Choice::Missing);
        assert_eq!(choose(&found[..4], "nodejs20.x", false), Choice::Missing);
        assert_eq!(choose(&found, "nodejs18.x", true), Choice::Exact(node(18, 20)));
        assert_eq!(choose(&found, "nodejs20.x", false), Choice::Nearest(node(22, 1)));
        assert_eq!(choose(&found, "nodejs24.x", true), Choice::Missing);
        assert_eq!(choose(&found, "nodejs22", false), Choice::Missing);
    }
}
