//! `cargo xtask bench`: builds for release, installs the rivals, measures each row of the goals beside its floor, writes
//! `bench/RESULTS.md` and `bench/plots/`; `cargo xtask bench soak` writes `bench/SOAK.md`.

mod builds;
mod header;
mod measure;
mod programs;

use crate::{project, run};
use programs::Programs;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The word in place of rows that asks for the soak.
const SOAK: &str = "soak";
/// A soak that is long enough to be kept as a result.
const SOAK_INVOKES: u64 = 1_000_000;

/// Its flags.
#[derive(clap::Args)]
pub struct Options {
    /// Only these rows of the goals or measurements, for example `1 4` or `burst-rust`; `soak` for the soak.
    rows: Vec<String>,
    /// Interleaved rounds.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of each run of load.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Invokes of the soak.
    #[arg(long, default_value_t = SOAK_INVOKES)]
    invokes: u64,
    /// Measure a clean and an incremental release build as well (takes minutes).
    #[arg(long)]
    build_times: bool,
    /// Measure this gust, and do not build one.
    #[arg(long, value_name = "FILE")]
    gust: Option<PathBuf>,
    /// Use this gust-bench, and do not build one.
    #[arg(long, value_name = "FILE")]
    gust_bench: Option<PathBuf>,
}

impl Options {
    /// The folder below `target/bench` with the samples: those of all rows are not overwritten by some.
    fn samples_folder(&self) -> &'static str {
        match self.rows.first().map(String::as_str) {
            None => "measurements",
            Some(SOAK) => "soak",
            Some(_) => "some-measurements",
        }
    }
}

/// Runs it; the error is a message for the user.
pub fn run(options: &Options) -> Result<(), String> {
    if options.rows.len() > 1 && options.rows.iter().any(|word| word == SOAK) {
        return Err(format!("`{SOAK}` is run by itself"));
    }
    let folder = project::root().join("target/bench");
    make(&folder)?;
    let programs = Programs::prepare(options.gust.as_deref(), options.gust_bench.as_deref())?;
    let mut header = header::header(options, &programs)?;
    if options.build_times {
        header.insert("build times".to_owned(), builds::measure()?);
    }
    let context = folder.join("context.json");
    project::write(&context, &programs.context(options, &folder, &json!(header)).to_string())?;
    match options.rows.first().map(String::as_str) {
        Some(SOAK) => soak(options, &programs, &context, &folder),
        _ => rows(options, &programs, &context, &folder),
    }
}

/// Measures all rows, or some: then the results stay below `target`.
fn rows(options: &Options, programs: &Programs, context: &Path, folder: &Path) -> Result<(), String> {
    let entries = measure::entries(&programs.bench)?;
    let chosen = measure::choose(&entries, &options.rows)?;
    let is_all = options.rows.is_empty();
    let samples = folder.join(options.samples_folder());
    if samples.exists() {
        std::fs::remove_dir_all(&samples).map_err(|cause| format!("{}: {cause}", samples.display()))?;
    }
    make(&samples)?;
    let extent = f64::from(options.rounds) * options.seconds;
    let failed = measure::run_all(&programs.bench, context, &samples, &chosen, extent)?;
    let (results, plots) = match is_all {
        true => (project::root().join("bench/RESULTS.md"), project::root().join("bench/plots")),
        false => (folder.join("RESULTS.md"), folder.join("plots")),
    };
    let mut report = Command::new(&programs.bench);
    report.arg("report").arg(&samples).arg("--results").arg(&results).arg("--plots").arg(&plots);
    run::run(&mut report)?;
    println!("written: {} and {}", results.display(), plots.display());
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn soak(options: &Options, programs: &Programs, context: &Path, folder: &Path) -> Result<(), String> {
    let is_whole = options.invokes >= SOAK_INVOKES;
    let home = if is_whole { project::root().join("bench") } else { folder.to_path_buf() };
    let mut soak = Command::new(&programs.bench);
    soak.arg("soak").arg("--context").arg(context).args(["--invokes", &options.invokes.to_string()]);
    soak.arg("--raw").arg(folder.join(options.samples_folder())).arg("--results").arg(home.join("SOAK.md"));
    soak.arg("--plot").arg(home.join("plots/soak.svg"));
    run::run(&mut soak)
}

fn make(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|cause| format!("{}: {cause}", folder.display()))
}
