//! Running other programs: shown, timed, and judged by their exit status.

use crate::project;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs `command` with its output shown; the error names it.
pub fn run(command: &mut Command) -> Result<(), String> {
    let shown = shown(command);
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` failed: {status}")),
        Err(cause) => Err(format!("`{shown}` could not be started: {cause}")),
    }
}

/// Whether `command` can be run and succeeds; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Runs `command` and returns what it printed; the error carries its complaint.
pub fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    match command.output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => Err(format!("`{shown}` failed: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))),
        Err(cause) => Err(format!("`{shown}` could not be started: {cause}")),
    }
}

/// cargo, in the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(project::root());
    cargo
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let text = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    text.chars().take(300).collect()
}

/// Sections of a long run, with the time that each took.
pub struct Sections {
    begun: Instant,
    done: Vec<(String, Duration, Result<(), String>)>,
}

impl Sections {
    /// None yet.
    pub fn new() -> Sections {
        Sections { begun: Instant::now(), done: Vec::new() }
    }

    /// Runs one section; its failure is kept, so that the following ones run as well.
    pub fn section(&mut self, name: &str, work: impl FnOnce() -> Result<(), String>) -> bool {
        println!("\n== {name}");
        flush();
        let begun = Instant::now();
        let outcome = work();
        let good = outcome.is_ok();
        if let Err(message) = &outcome {
            println!("== {name} FAILED: {message}");
        }
        flush();
        self.done.push((name.to_owned(), begun.elapsed(), outcome));
        good
    }

    /// Prints the table of all sections; the error counts the failed ones.
    pub fn finish(self) -> Result<(), String> {
        println!("\n== summary");
        let mut failed = Vec::new();
        for (name, took, outcome) in &self.done {
            let word = if outcome.is_ok() { "ok    " } else { "FAILED" };
            println!("{word} {:>7.1} s  {name}", took.as_secs_f64());
            if outcome.is_err() {
                failed.push(name.as_str());
            }
        }
        println!("       {:>7.1} s  in all", self.begun.elapsed().as_secs_f64());
        flush();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(format!("failed: {}", failed.join(", "))),
        }
    }
}

/// What was printed appears before what a child prints next. A closed standard output is no reason to stop.
fn flush() {
    if std::io::stdout().flush().is_err() {
        eprintln!("standard output is closed");
    }
}
