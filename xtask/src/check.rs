//! `cargo xtask check`: what must hold before a change is handed in, besides the tests.

use crate::{coverage, run, tidy};

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
    sections.section("coverage", || coverage::run(&coverage::Options { check: true }));
    sections.finish()
}
