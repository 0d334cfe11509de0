//! `gust doctor`: what this machine can do for functions, and what is wrong.

use crate::cli;
use crate::client::Client;
use crate::commands::ls::print_table;
use crate::failure::{EXIT_FAILED, EXIT_UNREACHABLE, Failure};
use crate::sdk::Sdk;
use crate::{folder, machine};
use gust_sandbox::{Capabilities, Choice, Enforcement, Interpreter, Language};
use owo_colors::OwoColorize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Less free space than this is reported as a problem, in bytes.
const FREE_BYTES_MIN: u64 = 1_073_741_824;

/// How one check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    /// Works, with a limitation.
    Note,
    /// gust cannot do its work.
    Bad,
}

struct Check {
    name: &'static str,
    verdict: Verdict,
    text: String,
}

impl Check {
    fn new(name: &'static str, verdict: Verdict, text: impl Into<String>) -> Check {
        Check { name, verdict, text: text.into() }
    }
}

/// Prints the report; fails if something essential does not work.
pub async fn run(arguments: cli::Doctor) -> Result<(), Failure> {
    let data = match &arguments.data {
        Some(path) => path.clone(),
        None => folder::default_path()?,
    };
    let interpreters = gust_sandbox::discover_interpreters();
    let capabilities = machine::probe().await;
    let mut checks = vec![sandbox_check(&capabilities)];
    checks.push(language_check("python", Language::Python, &interpreters));
    checks.push(language_check("node", Language::Node, &interpreters));
    checks.push(disk_check(&data));
    checks.extend(Sdk::ALL.map(|sdk| sdk_check(sdk, &data)));
    checks.push(endpoint_check(&arguments).await);
    if arguments.json {
        print_json(&checks, &interpreters, capabilities.as_ref().ok());
    } else {
        print_plain(&checks, &interpreters, capabilities.as_ref().ok());
    }
    match checks.iter().any(|check| check.verdict == Verdict::Bad) {
        true => Err(Failure::silent(EXIT_FAILED)),
        false => Ok(()),
    }
}

fn sandbox_check(capabilities: &Result<Capabilities, Failure>) -> Check {
    match capabilities {
        Err(cause) => Check::new("sandbox", Verdict::Bad, format!("no sandbox can be made: {cause}")),
        Ok(found) => {
            let weak = found.guarantees.iter().filter(|guarantee| guarantee.enforcement != Enforcement::Kernel).count();
            let verdict = if weak == 0 { Verdict::Good } else { Verdict::Note };
            let text = format!(
                "{}, {} of {} guarantees by the kernel",
                machine::mode_text(found.mode),
                found.guarantees.len() - weak,
                found.guarantees.len()
            );
            Check::new("sandbox", verdict, text)
        }
    }
}

fn language_check(name: &'static str, language: Language, interpreters: &[Interpreter]) -> Check {
    let oldest = match language {
        Language::Python => "Python 3.9",
        Language::Node => "Node.js 18",
    };
    match interpreters.iter().filter(|interpreter| interpreter.language == language).count() {
        0 => Check::new(name, Verdict::Note, format!("no {oldest} or newer was found: {name} runtimes cannot run")),
        count => Check::new(name, Verdict::Good, format!("{count} interpreters found")),
    }
}

fn disk_check(data: &Path) -> Check {
    let existing = data.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let shown = data.display();
    match machine::free_bytes(existing) {
        Err(cause) => Check::new("disk", Verdict::Bad, format!("{shown}: {cause}")),
        Ok(free) if free < FREE_BYTES_MIN => {
            Check::new("disk", Verdict::Bad, format!("{shown}: only {} MiB are free", free / 1_048_576))
        }
        Ok(free) => Check::new("disk", Verdict::Good, format!("{shown}: {} GiB are free", free / 1_073_741_824)),
    }
}

fn sdk_check(sdk: Sdk, data: &Path) -> Check {
    let mut folders: Vec<PathBuf> = vec![sdk.folder_in(data)];
    folders.extend(folder::cache_path().ok().map(|cache| sdk.folder_in(&cache)));
    let needs = match sdk {
        Sdk::Python => "pip and PyPI",
        Sdk::Node => "npm and its registry",
    };
    match folders.iter().find(|folder| sdk.is_in(folder)) {
        Some(folder) => Check::new(sdk.package(), Verdict::Good, format!("installed in {}", folder.display())),
        None => {
            let flag = sdk.flag();
            let text = format!("not installed yet: the first `gust up` does it (needs {needs}, or {flag} DIR)");
            Check::new(sdk.package(), Verdict::Note, text)
        }
    }
}

async fn endpoint_check(arguments: &cli::Doctor) -> Check {
    let client = match Client::new(&arguments.target) {
        Ok(client) => client,
        Err(cause) => return Check::new("endpoint", Verdict::Bad, cause.message),
    };
    let endpoint = client.endpoint().to_string();
    match client.get("/_gust/health").await {
        Ok(answer) if answer.head.status.is_success() => {
            let health: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let auth = match health["auth"].as_str() {
                Some("open") => ": every key is taken, policies are not evaluated (--auth open)",
                Some("strict") => ": signatures are verified, policies evaluated (--auth strict)",
                _ => "",
            };
            Check::new("endpoint", Verdict::Good, format!("gust answers at {endpoint}{auth}"))
        }
        Ok(answer) => {
            let status = answer.head.status;
            Check::new("endpoint", Verdict::Bad, format!("something else answers at {endpoint} ({status})"))
        }
        Err(cause) if cause.exit_code == EXIT_UNREACHABLE => {
            Check::new("endpoint", Verdict::Note, format!("nothing runs at {endpoint}: the port is free"))
        }
        Err(cause) => Check::new("endpoint", Verdict::Bad, format!("{endpoint}: {cause}")),
    }
}

/// The runtimes that gust knows, with what would run them.
fn runtimes(interpreters: &[Interpreter]) -> Vec<(String, &'static str, Option<Interpreter>)> {
    crate::interpreters::runtime_names()
        .map(|name| match gust_sandbox::choose(interpreters, &name, false) {
            Choice::Exact(found) => (name, "exact", Some(found)),
            Choice::Nearest(found) => (name, "nearest", Some(found)),
            Choice::Missing => (name, "missing", None),
        })
        .collect()
}

fn print_json(checks: &[Check], interpreters: &[Interpreter], capabilities: Option<&Capabilities>) {
    let verdict = |check: &Check| match check.verdict {
        Verdict::Good => "good",
        Verdict::Note => "note",
        Verdict::Bad => "bad",
    };
    let checks: Vec<Value> = checks
        .iter()
        .map(|check| json!({"check": check.name, "verdict": verdict(check), "text": check.text}))
        .collect();
    let runtimes: Vec<Value> = runtimes(interpreters)
        .into_iter()
        .map(|(name, fit, found)| {
            let (version, path) = found.map(|found| (found.version_text(), found.path)).unzip();
            json!({"runtime": name, "fit": fit, "version": version, "path": path})
        })
        .collect();
    let document = json!({
        "checks": checks,
        "mode": capabilities.map(|found| format!("{:?}", found.mode)),
        "guarantees": capabilities.map(|found| machine::guarantees_json(&found.guarantees)),
        "runtimes": runtimes,
    });
    anstream::println!("{document:#}");
}

fn print_plain(checks: &[Check], interpreters: &[Interpreter], capabilities: Option<&Capabilities>) {
    for check in checks {
        let mark = match check.verdict {
            Verdict::Good => "ok  ".green().to_string(),
            Verdict::Note => "note".yellow().to_string(),
            Verdict::Bad => "BAD ".red().bold().to_string(),
        };
        anstream::println!("{mark}  {:<9} {}", check.name, check.text);
    }
    anstream::println!();
    let rows: Vec<Vec<String>> = runtimes(interpreters)
        .into_iter()
        .map(|(name, fit, found)| {
            let (version, path) = found.map(|found| (found.version_text(), found.path.display().to_string())).unzip();
            vec![name, fit.to_owned(), version.unwrap_or_default(), path.unwrap_or_default()]
        })
        .collect();
    print_table(&["RUNTIME", "FIT", "VERSION", "INTERPRETER"], &rows);
    let Some(capabilities) = capabilities else { return };
    anstream::println!();
    let rows: Vec<Vec<String>> = capabilities
        .guarantees
        .iter()
        .map(|guarantee| {
            vec![
                guarantee.name.clone(),
                machine::enforcement_text(guarantee.enforcement).to_owned(),
                guarantee.how.clone(),
            ]
        })
        .collect();
    print_table(&["GUARANTEE", "KEPT", "HOW"], &rows);
}
