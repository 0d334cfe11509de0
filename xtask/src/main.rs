//! The project's own tool: `cargo xtask <command>`.

mod api;
mod bench;
mod check;
mod coverage;
mod demo;
mod leftovers;
mod node;
mod project;
mod python;
mod run;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// gust's development tool.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write services/<service>/api.json from the pinned botocore and services/<service>/operations.txt.
    Api(api::Options),
    /// Write COVERAGE.md from the models and the code.
    Coverage(coverage::Options),
    /// Check the invariants of the architecture that a program can check.
    Tidy,
    /// Run every test on a fresh machine.
    Test(test::Options),
    /// Format, lint and tidy.
    Check(check::Options),
    /// Build gust, start it and run examples/thumbnails against it.
    Demo(demo::Options),
    /// Measure, against floors measured in the same run.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Api(options) => api::run(&options),
        Command::Coverage(options) => coverage::run(&options),
        Command::Tidy => tidy::run(),
        Command::Test(options) => test::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
