//! What every measurement needs to know, written by `cargo xtask bench` into one file.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Programs, folders and the extent of the run.
#[derive(Debug, Clone, Deserialize)]
pub struct Context {
    /// The gust binary, built for release.
    pub gust: PathBuf,
    /// The Python interpreter that functions and floors use.
    pub python: PathBuf,
    /// Its runtime's name, for example `python3.11`.
    pub python_runtime: String,
    /// The Node.js that functions and floors use, with its runtime's name.
    pub node: Option<Node>,
    /// A `bootstrap` built on the crate lambda_runtime: `tests/functions/rust-echo`.
    pub rust_bootstrap: Option<PathBuf>,
    /// The folder with the AWS SDK for Python.
    pub sdk: Option<PathBuf>,
    /// Makes the same namespaces, executes the program it is given, waits: the floor "spawn".
    pub spawn_floor: Option<PathBuf>,
    /// The interpreter that the end-to-end tests run with.
    pub test_python: PathBuf,
    /// The workspace.
    pub workspace: PathBuf,
    /// ministack's program.
    pub ministack: Option<PathBuf>,
    /// An interpreter that has uvicorn.
    pub uvicorn_python: Option<PathBuf>,
    /// A folder with serverless-offline and osls in its `node_modules`.
    pub serverless: Option<PathBuf>,
    /// Interleaved rounds.
    pub rounds: u32,
    /// Seconds of each run of load.
    pub seconds: f64,
    /// Where samples go.
    pub raw: PathBuf,
    /// Kernel, cores, commit, versions.
    pub header: BTreeMap<String, String>,
}

/// A Node.js.
#[derive(Debug, Clone, Deserialize)]
pub struct Node {
    /// Its executable.
    pub path: PathBuf,
    /// The runtime that it is exact for.
    pub runtime: String,
}

impl Context {
    /// Reads it.
    pub fn read(path: &Path) -> io::Result<Context> {
        serde_json::from_slice(&std::fs::read(path)?).map_err(io::Error::other)
    }

    /// How long one run of load lasts.
    pub fn load(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Flags for `gust up` that keep it from fetching SDKs during measurements.
    pub fn flags(&self) -> io::Result<Vec<String>> {
        let mut flags: Vec<String> =
            self.sdk.iter().flat_map(|sdk| ["--sdk".to_owned(), sdk.display().to_string()]).collect();
        // No row uses the SDK for JavaScript: an empty one keeps npm from running.
        let empty = self.raw.join("sdk-node");
        let landmark = empty.join("node_modules/@aws-sdk/client-s3");
        std::fs::create_dir_all(&landmark)?;
        std::fs::write(landmark.join("package.json"), "{}")?;
        flags.extend(["--sdk-node".to_owned(), empty.display().to_string()]);
        Ok(flags)
    }
}

/// Runs a command to its end and returns the milliseconds it took.
pub fn timed(program: &Path, arguments: &[&str]) -> io::Result<f64> {
    let begun = Instant::now();
    std::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
