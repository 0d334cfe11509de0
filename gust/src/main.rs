//! gust: a serverless cloud in one binary. Flags, configuration and wiring; the work is done in the crates.

mod admin;
mod archive;
mod banner;
mod cli;
mod client;
mod commands;
mod config;
mod dev;
mod door;
mod duration;
mod endpoint;
mod failure;
mod folder;
mod forward;
mod interpreters;
mod machine;
mod progress;
mod sdk;
mod stats;
mod up;
mod world;

use clap::Parser;
use cli::Command;
use failure::Failure;
use owo_colors::OwoColorize;
use std::process::ExitCode;

/// Serves many small allocations of many threads faster than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all: the spawner is this same binary and must not have a second thread.
    gust_sandbox::run_if_spawner();
    match run(cli::Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    start_log(&command);
    match command {
        Command::Up(arguments) => up::run(arguments),
        Command::Dev(arguments) => commands::block_on(dev::run(*arguments)),
        Command::Invoke(arguments) => commands::block_on(commands::invoke::run(arguments)),
        Command::Logs(arguments) => commands::block_on(commands::logs::run(arguments)),
        Command::Stats(arguments) => commands::block_on(commands::stats::run(arguments)),
        Command::Ls(arguments) => commands::block_on(commands::ls::run(arguments)),
        Command::Doctor(arguments) => commands::block_on(commands::doctor::run(arguments)),
        Command::Export(arguments) => commands::block_on(commands::export::run(arguments)),
        Command::Import(arguments) => commands::import::run(&arguments),
        Command::Env(arguments) => commands::env::run(&arguments),
    }
}

fn report(failure: &Failure) {
    if failure.message.is_empty() {
        return;
    }
    anstream::eprintln!("{} {failure}", "error:".red().bold());
    if let Some(hint) = &failure.hint {
        anstream::eprintln!("{} {hint}", "hint:".cyan());
    }
}

/// gust's own log goes to standard error; `GUST_LOG` sets what is shown, for example `debug` or `gust_invoke=trace`.
fn start_log(command: &Command) {
    use std::io::IsTerminal;
    let default = if matches!(command, Command::Up(_)) { "info" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("GUST_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .init();
}
