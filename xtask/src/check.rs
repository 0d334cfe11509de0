//! `cargo xtask check`: what must hold before a change is handed in, besides the tests.

use crate::{run, tidy};
use std::process::Command;

/// Its flags.
#[derive(clap::Args)]
pub struct Options {}

/// Runs every check, also after one failed; the error names those that did.
pub fn run(_options: &Options) -> Result<(), String> {
    let mut sections = run::Sections::new();
    sections.section("format", || run::run(run::cargo().args(["fmt", "--all", "--check"])));
    sections.section("clippy", || {
        run::run(run::cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
    });
    sections.section("tidy", tidy::run);
    sections.section("coverage", || {
        let this = std::env::current_exe().map_err(|cause| format!("cannot find xtask itself: {cause}"))?;
        run::run(Command::new(this).args(["coverage", "--check"]))
    });
    sections.finish()
}
