//! One file per group of rows of the goals, and the list of all measurements.
//!
//! A measurement is run in a process of its own, starts what it needs and ends it: one that fails loses no other.

pub mod accept;
pub mod burst;
pub mod cold;
pub mod commit;
pub mod deliver;
pub mod fair;
pub mod functions;
pub mod kill;
pub mod start;
pub mod url;
pub mod warm;

use crate::context::Context;
use crate::row::{Measurement, Row};
use std::io;
use std::time::Instant;

/// Measures some rows. What is pushed counts even if the rest fails.
type Measure = fn(&Context, &mut Vec<Row>) -> io::Result<()>;

/// A measurement's name, the rows it is about, and how it is made.
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Rows of the goals.
    pub numbers: &'static [&'static str],
    /// Longest it may take, in seconds, at five rounds of two seconds.
    pub limit_s: u64,
    measure: Measure,
}

/// All measurements, in the order in which they are run.
pub const ENTRIES: &[Entry] = &[
    Entry { name: "warm-python", numbers: &["1", "3"], limit_s: 240, measure: warm::python },
    Entry { name: "warm-node", numbers: &["1", "3"], limit_s: 240, measure: warm::node },
    Entry { name: "warm-rust", numbers: &["2", "3"], limit_s: 240, measure: warm::rust },
    Entry { name: "cold-python", numbers: &["4"], limit_s: 240, measure: cold::python },
    Entry { name: "cold-boto3", numbers: &["4b"], limit_s: 240, measure: cold::boto3 },
    Entry { name: "cold-node", numbers: &["6"], limit_s: 240, measure: cold::node },
    Entry { name: "cold-rust", numbers: &["7"], limit_s: 120, measure: cold::rust },
    Entry { name: "burst-python", numbers: &["8", "9"], limit_s: 400, measure: burst::python },
    Entry { name: "burst-rust", numbers: &["8", "9"], limit_s: 400, measure: burst::rust },
    Entry { name: "burst-node", numbers: &["8", "9"], limit_s: 600, measure: burst::node },
    Entry { name: "accept", numbers: &["10"], limit_s: 240, measure: accept::rows },
    Entry { name: "deliver", numbers: &["11"], limit_s: 240, measure: deliver::rows },
    Entry { name: "url", numbers: &["14"], limit_s: 300, measure: url::rows },
    Entry { name: "start", numbers: &["15"], limit_s: 240, measure: start::start_times },
    Entry { name: "recover", numbers: &["15"], limit_s: 300, measure: start::recovery },
    Entry { name: "idle", numbers: &["16", "17"], limit_s: 240, measure: start::idle_cost },
    Entry { name: "fair", numbers: &["18"], limit_s: 240, measure: fair::rows },
    Entry { name: "kill", numbers: &["19"], limit_s: 400, measure: kill::rows },
];

/// Runs the measurement called `name`.
pub fn run(context: &Context, name: &str) -> io::Result<Measurement> {
    let entry = ENTRIES.iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| io::Error::other(format!("there is no measurement {name}")))?;
    let (load_before, begun) = (load_average(), Instant::now());
    let mut rows = Vec::new();
    let outcome = (entry.measure)(context, &mut rows);
    Ok(Measurement {
        header: context.header.clone(),
        name: name.to_owned(),
        numbers: entry.numbers.iter().map(|number| (*number).to_owned()).collect(),
        rows,
        failures: outcome.err().map(|error| error.to_string()).into_iter().collect(),
        load: [load_before, load_average()],
        took_s: begun.elapsed().as_secs_f64(),
    })
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
