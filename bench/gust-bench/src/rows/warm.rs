//! Rows 1 to 3: warm invocations against the floor "hop".

use super::{Context, spread};
use crate::hop::Language;
use crate::load::{self, Samples};
use crate::process::{self, Usage};
use crate::report::{Better, Goal, Row};
use crate::target::{Function, Target};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

const EVENT: &[u8] = br#"{"hello":"world","number":42}"#;
const PYTHON_ECHO: &[u8] = b"def handler(event, context):\n    return event\n";

const NODE_ECHO: &[u8] = b"exports.handler = async (event) => event;\n";

/// A floor "hop" in a process of its own.
struct Hop {
    child: Child,
    address: SocketAddr,
}

impl Hop {
    fn start(context: &Context, language: Language, workers: usize) -> io::Result<Hop> {
        let name = match language {
            Language::Python => "python",
            Language::Node => "node",
            Language::Rust => "rust",
        };
        let mut child = Command::new(std::env::current_exe()?)
            .args(["hop", "--language", name, "--workers", &workers.to_string(), "--python"])
            .arg(&context.python)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port: u16 = line.trim().parse().map_err(io::Error::other)?;
        Ok(Hop { child, address: SocketAddr::from(([127, 0, 0, 1], port)) })
    }

    fn request(&self) -> Vec<u8> {
        let mut request =
            format!("POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n", self.address, EVENT.len());
        request.push_str(&String::from_utf8_lossy(EVENT));
        request.into_bytes()
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// One run of load with the CPU time that the server's processes took for it.
struct Run {
    samples: Samples,
    cpu_s: f64,
}

fn drive(context: &Context, address: SocketAddr, request: &[u8], pid: u32, connections: usize) -> io::Result<Run> {
    let before: Usage = process::usage(pid);
    let samples = load::run(address, request, 200, connections, context.load);
    let cpu = process::usage(pid).cpu.saturating_sub(before.cpu);
    if samples.errors > 0 {
        return Err(io::Error::other(format!("{} of the requests failed", samples.errors)));
    }
    Ok(Run { samples, cpu_s: cpu.as_secs_f64() })
}

/// The rounds of one function against the hop in its language.
struct Pair {
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
    floor_p50_us: Vec<f64>,
    per_cpu: Vec<f64>,
    floor_per_cpu: Vec<f64>,
    rate: Vec<f64>,
}

fn measure(context: &Context, target: &Target, function: &str, language: Language) -> io::Result<Pair> {
    let request = target.invocation(function, "RequestResponse", EVENT);
    let one = Hop::start(context, language, 1)?;
    let many = Hop::start(context, language, 16)?;
    load::run(target.address, &request, 200, 16, context.load);
    let mut pair = Pair {
        p50_us: Vec::new(),
        p99_us: Vec::new(),
        floor_p50_us: Vec::new(),
        per_cpu: Vec::new(),
        floor_per_cpu: Vec::new(),
        rate: Vec::new(),
    };
    let (mut raw, mut raw_floor) = (Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        let floor = drive(context, one.address, &one.request(), one.child.id(), 1)?;
        let value = drive(context, target.address, &request, target.pid(), 1)?;
        pair.floor_p50_us.push(floor.samples.quantile_us(0.5));
        pair.p50_us.push(value.samples.quantile_us(0.5));
        pair.p99_us.push(value.samples.quantile_us(0.99));
        raw.extend(value.samples.latencies_us);
        raw_floor.extend(floor.samples.latencies_us);
        let floor = drive(context, many.address, &many.request(), many.child.id(), 16)?;
        let value = drive(context, target.address, &request, target.pid(), 16)?;
        pair.floor_per_cpu.push(floor.samples.latencies_us.len() as f64 / floor.cpu_s.max(0.01));
        pair.per_cpu.push(value.samples.latencies_us.len() as f64 / value.cpu_s.max(0.01));
        pair.rate.push(value.samples.rate());
    }
    context.keep(&format!("warm-{function}-us"), &raw)?;
    context.keep(&format!("warm-{function}-hop-us"), &raw_floor)?;
    Ok(pair)
}

/// Measures the rows.
pub fn rows(context: &Context) -> io::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let flags = context.flags()?;
    let target = Target::start(&context.gust, folder.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>())?;
    target.create(&Function {
        name: "python-echo",
        runtime: &context.python_runtime,
        handler: "app.handler",
        files: &[("app.py", PYTHON_ECHO, 0o644)],
    })?;
    let python = measure(context, &target, "python-echo", Language::Python)?;
    let mut rows = vec![
        latency("1", "warm invoke, Python echo, 1 connection, p50", &python, (4.0, 2.0)),
        throughput("3", "warm invokes per CPU-second, Python echo, 16 connections", &python),
    ];
    if let Some(node) = &context.node {
        target.create(&Function {
            name: "node-echo",
            runtime: &context.node_runtime(node)?,
            handler: "index.handler",
            files: &[("index.js", NODE_ECHO, 0o644)],
        })?;
        let node = measure(context, &target, "node-echo", Language::Node)?;
        rows.insert(1, latency("1", "warm invoke, Node.js echo, 1 connection, p50", &node, (4.0, 2.0)));
        rows.push(throughput("3", "warm invokes per CPU-second, Node.js echo, 16 connections", &node));
    }
    if let Some(bootstrap) = &context.rust_bootstrap {
        let bytes = std::fs::read(bootstrap)?;
        target.create(&Function {
            name: "rust-echo",
            runtime: "provided.al2023",
            handler: "bootstrap",
            files: &[("bootstrap", &bytes, 0o755)],
        })?;
        let rust = measure(context, &target, "rust-echo", Language::Rust)?;
        rows.insert(
            1 + usize::from(context.node.is_some()),
            latency("2", "warm invoke, Rust over the HTTP Runtime API, 1 connection, p50", &rust, (5.0, 2.5)),
        );
        rows.push(throughput("3", "warm invokes per CPU-second, Rust echo, 16 connections", &rust));
    }
    Ok(rows)
}

fn latency(number: &'static str, what: &str, pair: &Pair, (must, moon): (f64, f64)) -> Row {
    let ((value, least, _), (floor, _, _), (p99, _, _)) =
        (spread(&pair.p50_us), spread(&pair.floor_p50_us), spread(&pair.p99_us));
    let ratio = value / floor;
    let (goals, reached) = Goal { must, moon, better: Better::Lower, unit: "x hop" }.judge(ratio);
    Row {
        number,
        what: what.to_owned(),
        value: format!("{value:.0} us"),
        floor: format!("{floor:.0} us"),
        ratio: Some(ratio),
        goals,
        reached,
        detail: format!("best round {least:.0} us, p99 {p99:.0} us"),
    }
}

fn throughput(number: &'static str, what: &str, pair: &Pair) -> Row {
    let ((value, ..), (floor, ..), (rate, ..)) =
        (spread(&pair.per_cpu), spread(&pair.floor_per_cpu), spread(&pair.rate));
    let ratio = value / floor;
    let (goals, reached) = Goal { must: 0.3, moon: 0.7, better: Better::Higher, unit: "x hop" }.judge(ratio);
    Row {
        number,
        what: what.to_owned(),
        value: format!("{value:.0}/CPU-s"),
        floor: format!("{floor:.0}/CPU-s"),
        ratio: Some(ratio),
        goals,
        reached,
        detail: format!("{:.0} us CPU an invoke, {rate:.0}/s", 1e6 / value),
    }
}
