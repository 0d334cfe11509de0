//! One file per group of rows of the goals.

pub mod accept;
pub mod cold;
pub mod start;
pub mod warm;

use crate::report::Row;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What every row needs.
pub struct Context {
    /// The gust binary, built for release.
    pub gust: PathBuf,
    /// The Python interpreter that functions and floors use.
    pub python: PathBuf,
    /// Its runtime's name, for example `python3.11`.
    pub python_runtime: String,
    /// The Node.js that functions and floors use.
    pub node: Option<PathBuf>,
    /// A `bootstrap` built on the crate lambda_runtime that echoes its event.
    pub rust_bootstrap: Option<PathBuf>,
    /// The folder with the provided SDK.
    pub sdk: Option<PathBuf>,
    /// Makes the same namespaces, executes the program it is given, waits: the floor "spawn".
    pub spawn_floor: Option<PathBuf>,
    /// Interleaved rounds.
    pub rounds: u32,
    /// How long one run of load lasts.
    pub load: Duration,
    /// Where raw samples go.
    pub raw: PathBuf,
}

impl Context {
    /// More flags for `gust up`.
    pub fn flags(&self) -> io::Result<Vec<String>> {
        let mut flags: Vec<String> =
            self.sdk.iter().flat_map(|sdk| ["--sdk".to_owned(), sdk.display().to_string()]).collect();
        // No row uses the SDK for JavaScript: an empty one keeps npm from running during measurements.
        let empty = self.raw.join("sdk-node");
        let landmark = empty.join("node_modules/@aws-sdk/client-s3");
        std::fs::create_dir_all(&landmark)?;
        std::fs::write(landmark.join("package.json"), "{}")?;
        flags.extend(["--sdk-node".to_owned(), empty.display().to_string()]);
        Ok(flags)
    }

    /// The runtime that this Node.js is exact for.
    pub fn node_runtime(&self, node: &Path) -> io::Result<String> {
        let output = std::process::Command::new(node).arg("--version").output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = text.trim().trim_start_matches('v').split('.').next().unwrap_or_default().to_owned();
        Ok(format!("nodejs{major}.x"))
    }

    /// Keeps raw samples, one a line.
    pub fn keep(&self, name: &str, samples: &[f64]) -> io::Result<()> {
        std::fs::create_dir_all(&self.raw)?;
        let text: String = samples.iter().map(|sample| format!("{sample:.1}\n")).collect();
        std::fs::write(self.raw.join(format!("{name}.txt")), text)
    }
}

/// The rows called `numbers`; all when it is empty.
pub fn run(context: &Context, numbers: &[String]) -> io::Result<Vec<Row>> {
    type Group = (&'static [&'static str], fn(&Context) -> io::Result<Vec<Row>>);
    let groups: [Group; 4] = [
        (&["1", "2", "3"], warm::rows),
        (&["4", "4b", "6", "7"], cold::rows),
        (&["10"], accept::rows),
        (&["15", "16", "17"], start::rows),
    ];
    let mut rows = Vec::new();
    for (names, group) in groups {
        if numbers.is_empty() || names.iter().any(|name| numbers.iter().any(|number| number == name)) {
            eprintln!("rows {}", names.join(", "));
            rows.extend(group(context)?);
        }
    }
    Ok(rows)
}

/// The median, minimum and maximum of values.
pub fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |fraction| crate::load::quantile(&sorted, fraction);
    (at(0.5), at(0.0), at(1.0))
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
