//! Measures gust against its floors and its rivals. See bench/README.md.

mod burst;
mod clock;
mod context;
mod fifo;
mod hop;
mod http;
mod load;
mod plot;
mod process;
mod report;
mod rivals;
mod row;
mod rows;
mod soak;
mod svg;
mod target;

use clap::{Parser, Subcommand};
use context::Context;
use hop::Language;
use std::io;
use std::path::{Path, PathBuf};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the floor "hop" until standard input ends.
    Hop {
        /// The workers' language.
        #[arg(long, value_enum)]
        language: Language,
        /// How many workers.
        #[arg(long, default_value_t = 1)]
        workers: usize,
        /// The Python interpreter.
        #[arg(long, default_value = "python3")]
        python: String,
    },
    /// List the measurements: name, limit in seconds, rows of the goals.
    List,
    /// Make one measurement and keep what it gives.
    Measure {
        /// Its name.
        name: String,
        /// What `cargo xtask bench` found on this machine.
        #[arg(long)]
        context: PathBuf,
        /// Where its samples go.
        #[arg(long)]
        out: PathBuf,
    },
    /// Make tables and plots out of kept measurements; prints the table.
    Report {
        /// The folder with the samples.
        measurements: PathBuf,
        /// The document to write.
        #[arg(long)]
        results: PathBuf,
        /// The folder for plots.
        #[arg(long)]
        plots: PathBuf,
    },
    /// Invoke for long while functions change, and judge whether memory, handles and latency stay flat.
    Soak {
        /// What `cargo xtask bench` found on this machine.
        #[arg(long)]
        context: PathBuf,
        /// How often to invoke.
        #[arg(long)]
        invokes: u64,
        /// The folder for its samples.
        #[arg(long)]
        raw: PathBuf,
        /// The document to write.
        #[arg(long)]
        results: PathBuf,
        /// The plot to write.
        #[arg(long)]
        plot: PathBuf,
    },
    /// A worker of the floor "hop".
    RustWorker {
        /// Its socket.
        socket: PathBuf,
    },
    /// Drive a server with one raw request from a file.
    Drive {
        /// 127.0.0.1:port
        address: std::net::SocketAddr,
        /// The complete request as bytes.
        request: PathBuf,
        /// Connections.
        #[arg(long, default_value_t = 1)]
        connections: usize,
        /// Seconds.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
        /// Requests per second of an open loop; a closed loop without it.
        #[arg(long)]
        rate: Option<f64>,
    },
}

fn main() -> io::Result<()> {
    match Arguments::parse().command {
        Command::Hop { language, workers, python } => hop::serve(language, workers, &python),
        Command::List => {
            for entry in rows::ENTRIES {
                println!("{} {} {}", entry.name, entry.limit_s, entry.numbers.join(","));
            }
            Ok(())
        }
        Command::Measure { name, context, out } => measure(&Context::read(&context)?, &name, &out),
        Command::Report { measurements, results, plots } => report::write(&measurements, &results, &plots),
        Command::Soak { context, invokes, raw, results, plot } => {
            let places = soak::Places { raw, results, plot };
            soak::run(&Context::read(&context)?, invokes, &places)
        }
        Command::RustWorker { socket } => hop::rust_worker(&socket),
        Command::Drive { address, request, connections, seconds, rate } => {
            let request = std::fs::read(request)?;
            let duration = std::time::Duration::from_secs(seconds);
            let samples = match rate {
                Some(rate) => {
                    let open = load::Open { address, request: &request, status: 200, rate, connections };
                    load::run_open(&open, duration)
                }
                None => load::run(address, &request, 200, connections, duration),
            };
            let [p50, p99] = [0.5, 0.99].map(|fraction| samples.quantile_us(fraction));
            println!("{:.0}/s p50 {p50:.0} us p99 {p99:.0} us errors {}", samples.rate(), samples.errors);
            Ok(())
        }
    }
}

/// What was measured before something failed is kept as well.
fn measure(context: &Context, name: &str, out: &Path) -> io::Result<()> {
    let measurement = rows::run(context, name)?;
    std::fs::write(out, serde_json::to_vec(&measurement)?)?;
    match measurement.failures.is_empty() {
        true => Ok(()),
        false => Err(io::Error::other(measurement.failures.join("; "))),
    }
}
