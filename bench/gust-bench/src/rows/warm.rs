//! Rows 1 to 3: warm invocations against the floor "hop", and ministack beside.

use super::functions::{EVENT, Gust, NODE_ECHO, PYTHON_ECHO};
use crate::context::Context;
use crate::hop::Language;
use crate::load;
use crate::process;
use crate::rivals;
use crate::row::{Against, Goal, Kind, Row, Series};
use crate::target::{Function, Target};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// Connections of the throughput rows.
const CONNECTIONS: usize = 16;

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

    fn server(&self) -> Server {
        Server { address: self.address, request: self.request(), pid: self.child.id() }
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What is driven: an address, a request, and the process whose family is charged.
struct Server {
    address: SocketAddr,
    request: Vec<u8>,
    pid: u32,
}

impl Server {
    fn of(target: &Target, function: &str) -> Server {
        let request = target.invocation(function, "RequestResponse", EVENT);
        Server { address: target.address, request, pid: target.pid() }
    }
}

/// The series of one server.
struct Tracks {
    latency: Series,
    per_cpu: Series,
    rate: Series,
}

impl Tracks {
    fn new(name: &str) -> Tracks {
        let [latency, per_cpu, rate] = [Series::new(name), Series::new(name), Series::new(name)];
        Tracks { latency, per_cpu, rate }
    }

    /// One round at one connection.
    fn one(&mut self, context: &Context, server: &Server) -> io::Result<()> {
        let before = process::cpu(server.pid);
        let samples = load::run(server.address, &server.request, 200, 1, context.load()).all_good()?;
        let cpu = process::cpu(server.pid).saturating_sub(before);
        self.latency.cpu_us.push(cpu.as_secs_f64() * 1e6 / samples.latencies_us.len().max(1) as f64);
        self.latency.push(samples.latencies_us);
        Ok(())
    }

    /// One round at sixteen.
    fn many(&mut self, context: &Context, server: &Server) -> io::Result<()> {
        let before = process::cpu(server.pid);
        let samples = load::run(server.address, &server.request, 200, CONNECTIONS, context.load()).all_good()?;
        let cpu_s = process::cpu(server.pid).saturating_sub(before).as_secs_f64().max(0.01);
        let count = samples.latencies_us.len().max(1) as f64;
        self.per_cpu.cpu_us.push(cpu_s * 1e6 / count);
        self.per_cpu.push(vec![count / cpu_s]);
        self.rate.push(vec![samples.rate()]);
        Ok(())
    }
}

/// Python's echo.
pub fn python(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let files: &[(&str, &[u8], u32)] = &[("app.py", PYTHON_ECHO, 0o644)];
    let function = Function::new("echo", &context.python_runtime, "app.handler", files);
    let pair = measure(context, &function, Language::Python, true)?;
    let goal = Goal::at_most(4.0, 2.0, Against::TimesFloor);
    report(rows, "1", "warm invoke, Python echo, 1 connection, p50", goal, pair);
    Ok(())
}

/// Node.js's echo.
pub fn node(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let node = context.node.as_ref().ok_or_else(|| io::Error::other("no Node.js"))?;
    let files: &[(&str, &[u8], u32)] = &[("index.js", NODE_ECHO, 0o644)];
    let function = Function::new("echo", &node.runtime, "index.handler", files);
    let pair = measure(context, &function, Language::Node, true)?;
    let goal = Goal::at_most(4.0, 2.0, Against::TimesFloor);
    report(rows, "1", "warm invoke, Node.js echo, 1 connection, p50", goal, pair);
    Ok(())
}

/// Rust's echo over the HTTP Runtime API.
pub fn rust(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let bootstrap = context.rust_bootstrap.as_deref().ok_or_else(|| io::Error::other("no Rust function"))?;
    let bytes = std::fs::read(bootstrap)?;
    let files: &[(&str, &[u8], u32)] = &[("bootstrap", &bytes, 0o755)];
    let function = Function::new("echo", "provided.al2023", "echo", files);
    let pair = measure(context, &function, Language::Rust, false)?;
    let goal = Goal::at_most(5.0, 2.5, Against::TimesFloor);
    report(rows, "2", "warm invoke, Rust over the HTTP Runtime API, 1 connection, p50", goal, pair);
    Ok(())
}

struct Outcome {
    gust: Tracks,
    hop: Tracks,
    ministack: Option<Tracks>,
}

/// Floor, gust and rival in turns.
fn measure(context: &Context, function: &Function<'_>, language: Language, has_rival: bool) -> io::Result<Outcome> {
    let gust = Gust::start(context, &[])?;
    gust.target.create(function)?;
    let server = Server::of(&gust.target, function.name);
    let (one, many) = (Hop::start(context, language, 1)?, Hop::start(context, language, CONNECTIONS)?);
    let ministack = if has_rival { ministack(context, function) } else { None };
    load::run(server.address, &server.request, 200, CONNECTIONS, context.load()).all_good()?;
    let mut outcome = Outcome {
        gust: Tracks::new("gust"),
        hop: Tracks::new("hop"),
        ministack: ministack.as_ref().map(|_| Tracks::new("ministack")),
    };
    for _ in 0..context.rounds {
        outcome.hop.one(context, &one.server())?;
        outcome.gust.one(context, &server)?;
        outcome.hop.many(context, &many.server())?;
        outcome.gust.many(context, &server)?;
        if let (Some((target, _)), Some(tracks)) = (&ministack, &mut outcome.ministack) {
            let server = Server::of(target, function.name);
            if let Err(error) = tracks.one(context, &server).and_then(|()| tracks.many(context, &server)) {
                eprintln!("ministack: {error}");
            }
        }
    }
    Ok(outcome)
}

fn ministack(context: &Context, function: &Function<'_>) -> Option<(Target, tempfile::TempDir)> {
    let (target, folder) = rivals::ministack(context)?;
    if let Err(error) = target.create(function) {
        eprintln!("ministack makes no {} function: {error}", function.runtime);
        return None;
    }
    let server = Server::of(&target, function.name);
    load::run(server.address, &server.request, 200, CONNECTIONS, context.load());
    Some((target, folder))
}

fn report(rows: &mut Vec<Row>, number: &str, what: &str, goal: Goal, outcome: Outcome) {
    let Outcome { gust, hop, ministack } = outcome;
    let (rival_latency, rival_per_cpu, rival_rate) = match ministack {
        Some(tracks) => (Some(tracks.latency), Some(tracks.per_cpu), Some(tracks.rate)),
        None => (None, None, None),
    };
    rows.push(
        Row::new(number, what, Kind::Times, "us", gust.latency).floor(hop.latency).rival(rival_latency).goal(goal),
    );
    let subject = what.trim_start_matches("warm invoke, ").split(',').next().unwrap_or_default();
    let what = format!("warm invokes per CPU-second of server and runtime, {subject}, {CONNECTIONS} connections");
    let rival = rival_rate.filter(|rate| rate.count() > 0);
    let beside = rival.map_or_else(String::new, |rate| format!(", ministack {:.0}/s", rate.typical(0.5)));
    rows.push(
        Row::new("3", &what, Kind::Figures, "/CPU-s", gust.per_cpu)
            .floor(hop.per_cpu)
            .rival(rival_per_cpu)
            .goal(Goal::at_least(0.3, 0.7, Against::TimesFloor))
            .note(format!(
                "served: gust {:.0}/s, hop {:.0}/s{beside}, the client on the same cores",
                gust.rate.typical(0.5),
                hop.rate.typical(0.5)
            )),
    );
}
