//! `cargo xtask bench`: builds for release, measures the goals' rows against their floors, writes `bench/RESULTS.md`.

use crate::{project, python, run};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The row that counts what `kill -9` lost: it is an end-to-end test, not a load.
const KILL_ROW: &str = "19";
/// What the end-to-end test prints about a run.
const KILL_MARK: &str = "durability:";
/// Its flags.
#[derive(clap::Args)]
pub struct Options {
    /// Only these rows of the goals, for example `1 4`.
    rows: Vec<String>,
    /// Interleaved rounds.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of each run of load.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Measure a clean and an incremental release build as well (takes minutes).
    #[arg(long)]
    build_times: bool,
}

/// What was built.
struct Built {
    gust: PathBuf,
    bench: PathBuf,
    bootstrap: PathBuf,
    spawn_floor: PathBuf,
}

/// Runs it; the error is a message for the user.
pub fn run(options: &Options) -> Result<(), String> {
    let root = project::root();
    let python = python::environment("test-python", &root.join("tests/requirements.txt"))?;
    let build_times = if options.build_times { measure_builds()? } else { String::new() };
    let built = build()?;
    let wants_kill = options.rows.is_empty() || options.rows.iter().any(|row| row == KILL_ROW);
    let others: Vec<&String> = options.rows.iter().filter(|row| *row != KILL_ROW).collect();
    let mut table = String::new();
    if options.rows.is_empty() || !others.is_empty() {
        table = measure(options, &built, &python, &others)?;
    }
    if wants_kill {
        table.push_str(&kill_row(&built.gust, &python)?);
    }
    println!("{table}");
    if !options.rows.is_empty() {
        println!("(bench/RESULTS.md is written by a run of all rows)");
        return Ok(());
    }
    project::write(&root.join("bench/RESULTS.md"), &results(options, &table, &build_times)?)
}

fn build() -> Result<Built, String> {
    let root = project::root();
    run::run(run::cargo().args(["build", "--release", "--quiet", "--package", "gust", "--package", "gust-bench"]))?;
    let floor = ["build", "--release", "--quiet", "--package", "gust-sandbox", "--example", "spawn_floor"];
    run::run(run::cargo().args(floor))?;
    let mut echo = run::cargo();
    echo.args(["build", "--release", "--quiet", "--locked", "--manifest-path"]);
    echo.arg(root.join("tests/functions/rust-echo/Cargo.toml")).env("CARGO_TARGET_DIR", root.join("target/standalone"));
    run::run(&mut echo)?;
    let release = root.join("target/release");
    Ok(Built {
        gust: release.join("gust"),
        bench: release.join("gust-bench"),
        bootstrap: root.join("target/standalone/release/rust-echo"),
        spawn_floor: release.join("examples/spawn_floor"),
    })
}

/// The table of all rows but the one about `kill -9`.
fn measure(options: &Options, built: &Built, python: &Path, rows: &[&String]) -> Result<String, String> {
    let raw = project::root().join("target/bench");
    std::fs::create_dir_all(&raw).map_err(|cause| format!("{}: {cause}", raw.display()))?;
    let ask =
        |question: &str| run::output(Command::new(python).args(["-c", question])).map(|text| text.trim().to_owned());
    // The interpreter itself and not the environment's link to it: that is what functions run on.
    let base = ask("import os, sys; print(os.path.realpath(sys._base_executable))")?;
    let runtime = ask("import sys; print('python%d.%d' % sys.version_info[:2])")?;
    let sdk = ask("import os, boto3; print(os.path.dirname(os.path.dirname(boto3.__file__)))")?;
    let mut bench = Command::new(&built.bench);
    bench.arg("rows").arg("--gust").arg(&built.gust).args([
        "--python",
        &base,
        "--python-runtime",
        &runtime,
        "--sdk",
        &sdk,
    ]);
    let node = run::output(Command::new("node").args(["-p", "process.execPath"])).unwrap_or_default();
    if !node.trim().is_empty() {
        bench.args(["--node", node.trim()]);
    }
    bench
        .arg("--rust-bootstrap")
        .arg(&built.bootstrap)
        .arg("--spawn-floor")
        .arg(&built.spawn_floor)
        .arg("--raw")
        .arg(&raw);
    bench.args(["--rounds", &options.rounds.to_string(), "--seconds", &options.seconds.to_string()]).args(rows);
    bench.stderr(std::process::Stdio::inherit());
    run::output(&mut bench)
}

/// Row 19, from the end-to-end test that kills gust under load.
fn kill_row(gust: &Path, python: &Path) -> Result<String, String> {
    eprintln!("rows {KILL_ROW}");
    let mut pytest = Command::new(python);
    pytest.args([
        "-m",
        "pytest",
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "tests/e2e/test_durability.py",
        "-k",
        "nothing_acknowledged",
    ]);
    pytest.current_dir(project::root()).env("GUST_BINARY", gust).env("PYTHONDONTWRITEBYTECODE", "1");
    let printed = run::output(&mut pytest)?;
    let line = printed.lines().find_map(|line| line.split_once(KILL_MARK)).map(|(_, text)| text.trim());
    let text = line.ok_or("the durability test printed no result")?;
    Ok(format!(
        "| {KILL_ROW} | kill -9 under load: accepted and lost | 0 | - | - | 0: reached | 0: reached | {text} |\n"
    ))
}

/// A clean release build in a folder of its own, and one after a change in the store.
fn measure_builds() -> Result<String, String> {
    let folder = project::root().join("target/bench-build");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
    }
    let build = || {
        let begun = Instant::now();
        let mut command = run::cargo();
        command.args(["build", "--release", "--quiet", "--package", "gust"]).env("CARGO_TARGET_DIR", &folder);
        run::run(&mut command).map(|()| begun.elapsed().as_secs_f64())
    };
    let clean_s = build()?;
    let touched = project::root().join("services/lambda/src/lib.rs");
    let file = std::fs::File::options().append(true).open(&touched).map_err(|cause| cause.to_string())?;
    file.set_modified(std::time::SystemTime::now()).map_err(|cause| cause.to_string())?;
    let incremental_s = build()?;
    std::fs::remove_dir_all(&folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
    Ok(format!("- clean release build: {clean_s:.0} s; after a change in services/lambda: {incremental_s:.0} s\n"))
}

fn results(options: &Options, table: &str, build_times: &str) -> Result<String, String> {
    let mut text = String::from(
        "# Results\n\nWritten by `cargo xtask bench`; goals and floors are explained in [README.md](README.md).\n\n",
    );
    let mut line =
        |name: &str, value: &str| writeln!(text, "- {name}: {}", value.trim()).map_err(|cause| cause.to_string());
    line("date", &run::output(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?)?;
    line("machine", &machine())?;
    line(
        "load average after the run, its own included",
        &std::fs::read_to_string("/proc/loadavg").unwrap_or_default(),
    )?;
    line("toolchain", &run::output(Command::new("rustc").arg("--version"))?)?;
    let method = format!(
        "{} rounds of {} s, value and floor in turns; signatures verified, sandbox and logs on; CPU time is that of gust and all its children",
        options.rounds, options.seconds
    );
    line("method", &method)?;
    line("raw samples", "target/bench/")?;
    text.push_str(build_times);
    write!(text, "\n{table}").map_err(|cause| cause.to_string())?;
    Ok(text)
}

/// Processor, cores, memory, kernel.
fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| line.split_once(':').map(|(_, value)| value.trim().to_owned())).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (model, memory) = (field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal"));
    format!("{model}, {cores} cores, {memory} of memory, Linux {}", kernel.trim())
}
