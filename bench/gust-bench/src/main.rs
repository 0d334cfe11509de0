//! Measures gust against its floors. See bench/README.md.

mod hop;
mod http;
mod load;
mod process;
mod report;
mod rows;
mod target;

use clap::{Parser, Subcommand};
use hop::Language;
use std::path::PathBuf;

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
    /// Measure rows of the goals and print them as a Markdown table.
    Rows {
        /// The gust binary, built for release.
        #[arg(long)]
        gust: PathBuf,
        /// The Python interpreter of functions and floors.
        #[arg(long)]
        python: PathBuf,
        /// Its runtime's name.
        #[arg(long)]
        python_runtime: String,
        /// The Node.js of functions and floors.
        #[arg(long)]
        node: Option<PathBuf>,
        /// A `bootstrap` that echoes, built on the crate lambda_runtime.
        #[arg(long)]
        rust_bootstrap: Option<PathBuf>,
        /// The folder with the provided SDK.
        #[arg(long)]
        sdk: Option<PathBuf>,
        /// The program that makes the same namespaces and executes its argument.
        #[arg(long)]
        spawn_floor: Option<PathBuf>,
        /// Interleaved rounds.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Seconds of each run of load.
        #[arg(long, default_value_t = 2)]
        seconds: u64,
        /// Where raw samples go.
        #[arg(long)]
        raw: PathBuf,
        /// The rows; all when none is named.
        numbers: Vec<String>,
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
    },
}

fn main() -> std::io::Result<()> {
    match Arguments::parse().command {
        Command::Hop { language, workers, python } => hop::serve(language, workers, &python),
        Command::Rows {
            gust,
            python,
            python_runtime,
            node,
            rust_bootstrap,
            sdk,
            spawn_floor,
            rounds,
            seconds,
            raw,
            numbers,
        } => {
            let load = std::time::Duration::from_secs(seconds);
            let context = rows::Context {
                gust,
                python,
                python_runtime,
                node,
                rust_bootstrap,
                sdk,
                spawn_floor,
                rounds,
                load,
                raw,
            };
            print!("{}", report::table(&rows::run(&context, &numbers)?));
            Ok(())
        }
        Command::RustWorker { socket } => hop::rust_worker(&socket),
        Command::Drive { address, request, connections, seconds } => {
            let request = std::fs::read(request)?;
            let duration = std::time::Duration::from_secs(seconds);
            let samples = load::run(address, &request, 200, connections, duration);
            let [p50, p99] = [0.5, 0.99].map(|fraction| samples.quantile_us(fraction));
            println!("{:.0}/s p50 {p50:.0} us p99 {p99:.0} us errors {}", samples.rate(), samples.errors);
            Ok(())
        }
    }
}
