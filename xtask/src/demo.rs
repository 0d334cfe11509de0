//! `cargo xtask demo`: builds gust, starts it and runs `examples/thumbnails` against it.

use crate::{project, python, run};
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long gust may take to answer, in milliseconds.
const START_MS_MAX: u64 = 30_000;

/// Its flags.
#[derive(clap::Args)]
pub struct Options {
    /// Port to listen on.
    #[arg(long, default_value_t = 4566)]
    port: u16,
    /// Stop gust when the demo has run (always so when the output is no terminal).
    #[arg(long)]
    once: bool,
    /// Internal: run the demo against a gust that is about to start.
    #[arg(long, hide = true)]
    steps: bool,
}

/// Runs the demo; the error is a message for the user.
pub fn run(options: &Options) -> Result<(), String> {
    let root = project::root();
    let requirements = root.join("examples/thumbnails/requirements-dev.txt");
    if options.steps {
        return steps(&python::environment("demo-python", &requirements)?, options.port);
    }
    if connects(options.port) {
        return Err(format!("port {} is in use: stop what runs there, or choose another with --port", options.port));
    }
    println!("building gust (release; the first time takes some minutes)");
    run::run(run::cargo().args(["build", "--release", "--quiet", "--package", "gust"]))?;
    println!("preparing Python with boto3 and Pillow");
    let python = python::environment("demo-python", &requirements)?;
    let mut gust = Command::new(root.join("target/release/gust"));
    gust.args(["up", "--ephemeral", "--port"]).arg(options.port.to_string());
    if options.once || !std::io::stdout().is_terminal() {
        return once(&mut gust, &python, options.port);
    }
    // gust takes this process's place, so that Ctrl-C reaches it alone and it can drain; the demo runs beside it.
    let this = std::env::current_exe().map_err(|cause| format!("cannot find xtask itself: {cause}"))?;
    let mut steps = Command::new(this);
    steps.args(["demo", "--steps", "--port"]).arg(options.port.to_string());
    steps.spawn().map_err(|cause| format!("cannot start the demo: {cause}"))?;
    Err(format!("cannot start gust: {}", gust.exec()))
}

fn once(gust: &mut Command, python: &Path, port: u16) -> Result<(), String> {
    let mut child = gust.spawn().map_err(|cause| format!("cannot start gust: {cause}"))?;
    let outcome = steps(python, port);
    let stopped = stop(&mut child);
    outcome.and(stopped)
}

fn stop(child: &mut Child) -> Result<(), String> {
    run::run(Command::new("kill").args(["-TERM", &child.id().to_string()]))?;
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("gust ended with {status}")),
        Err(cause) => Err(format!("cannot wait for gust: {cause}")),
    }
}

/// Deploys, invokes, shows.
fn steps(python: &Path, port: u16) -> Result<(), String> {
    wait_until_served(port)?;
    let example = project::root().join("examples/thumbnails");
    for script in ["deploy.py", "run.py"] {
        let mut command = Command::new(python);
        command.arg(script).current_dir(&example).env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
        run::run(command.env("PYTHONDONTWRITEBYTECODE", "1"))?;
    }
    Ok(())
}

fn wait_until_served(port: u16) -> Result<(), String> {
    let begun = Instant::now();
    while !connects(port) {
        if begun.elapsed() > Duration::from_millis(START_MS_MAX) {
            return Err(format!("gust does not answer on port {port}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn connects(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}
