//! Row 14: requests per second through a function URL to an echo function, against a plain server in the same language
//! and against serverless-offline.

use super::functions::Gust;
use crate::context::Context;
use crate::rivals::{NODE_URL_ECHO, PYTHON_URL_ECHO, Server};
use crate::row::{Against, Better, Goal, Kind, Row, Series};
use crate::target::{Function, Target, expect};
use crate::{load, process};
use std::io;
use std::net::SocketAddr;

const CONNECTIONS: usize = 16;
const BODY: &str = "hello from the other side";

/// What is driven.
struct Subject {
    address: SocketAddr,
    request: Vec<u8>,
    pid: u32,
}

impl Subject {
    fn of(server: &Server) -> Subject {
        Subject { address: server.address, request: server.post(BODY), pid: server.pid() }
    }
}

/// Rates, and the latencies behind them in milliseconds.
struct Track {
    rate: Series,
    latency: Series,
}

impl Track {
    fn new(name: &str) -> Track {
        Track { rate: Series::new(name), latency: Series::new(name) }
    }

    fn round(&mut self, context: &Context, subject: &Subject) -> io::Result<()> {
        let before = process::cpu(subject.pid);
        let samples = load::run(subject.address, &subject.request, 200, CONNECTIONS, context.load()).all_good()?;
        let cpu = process::cpu(subject.pid).saturating_sub(before);
        self.rate.cpu_us.push(cpu.as_secs_f64() * 1e6 / samples.latencies_us.len().max(1) as f64);
        self.rate.push(vec![samples.rate()]);
        self.latency.push(samples.latencies_us.iter().map(|us| us / 1e3).collect());
        Ok(())
    }
}

/// Measures the row for Node.js and Python. What cannot be started is said and left out.
pub fn rows(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let gust = Gust::start(context, &[])?;
    let mut failures = Vec::new();
    if let Some(node) = &context.node {
        let files: &[(&str, &[u8], u32)] = &[("index.js", NODE_URL_ECHO, 0o644)];
        let function = Function::new("node-url", &node.runtime, "index.handler", files);
        let rival = context.serverless.as_ref().map(|folder| Server::serverless(&node.path, folder)).transpose();
        let rival = rival.unwrap_or_else(|error| {
            eprintln!("serverless-offline does not run here: {error}");
            None
        });
        let outcome = Server::node(&node.path)
            .and_then(|floor| pair(context, &gust, &function, (&floor, "node:http"), rival.as_ref()));
        match outcome {
            Ok(tracks) => node_rows(rows, tracks),
            Err(error) => failures.push(format!("Node.js: {error}")),
        }
    }
    if let Some(python) = &context.uvicorn_python {
        let files: &[(&str, &[u8], u32)] = &[("app.py", PYTHON_URL_ECHO, 0o644)];
        let function = Function::new("python-url", &context.python_runtime, "app.handler", files);
        let outcome =
            Server::uvicorn(python).and_then(|floor| pair(context, &gust, &function, (&floor, "uvicorn"), None));
        match outcome {
            Ok((value, floor, _)) => {
                rows.push(row("Python", value, floor, Goal::at_least(1.0, 2.0, Against::TimesFloor)))
            }
            Err(error) => failures.push(format!("Python: {error}")),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(io::Error::other(failures.join("; "))) }
}

type Tracks = (Track, Track, Option<Track>);

fn node_rows(rows: &mut Vec<Row>, (value, floor, rival): Tracks) {
    if let Some(rival) = rival {
        let against = Track { rate: value.rate.clone(), latency: value.latency.clone() };
        let goal = Goal { must: Some(5.0), moon: None, better: Better::Higher, against: Against::TimesFloor };
        rows.push(row("Node.js", value, floor, Goal::at_least(0.25, 0.6, Against::TimesFloor)));
        let mut compared = row("Node.js", against, rival, goal);
        compared.what.push_str(", against serverless-offline");
        rows.push(compared);
        return;
    }
    rows.push(row("Node.js", value, floor, Goal::at_least(0.25, 0.6, Against::TimesFloor)));
}

fn pair(
    context: &Context,
    gust: &Gust,
    function: &Function<'_>,
    (floor, floor_name): (&Server, &str),
    rival: Option<&Server>,
) -> io::Result<Tracks> {
    let target = &gust.target;
    target.create(function)?;
    let subject = Subject { address: target.address, request: url_request(target, function.name)?, pid: target.pid() };
    let (floor, rival) = (Subject::of(floor), rival.map(Subject::of));
    load::run(subject.address, &subject.request, 200, CONNECTIONS, context.load()).all_good()?;
    let mut tracks =
        (Track::new("gust"), Track::new(floor_name), rival.as_ref().map(|_| Track::new("serverless-offline")));
    for _ in 0..context.rounds {
        tracks.1.round(context, &floor)?;
        tracks.0.round(context, &subject)?;
        if let (Some(rival), Some(track)) = (&rival, &mut tracks.2) {
            track.round(context, rival)?;
        }
    }
    Ok(tracks)
}

/// Gives the function a URL that everybody may call, and makes a request to it.
fn url_request(target: &Target, function: &str) -> io::Result<Vec<u8>> {
    let path = format!("/2021-10-31/functions/{function}/url");
    let answer = target.send("POST", &path, br#"{"AuthType":"NONE"}"#)?;
    expect(&answer, 201)?;
    let said: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let permissions = [
        serde_json::json!({"StatementId": "url", "Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE"}),
        serde_json::json!({"StatementId": "invoke", "Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": true}),
    ];
    for permission in permissions {
        let path = format!("/2015-03-31/functions/{function}/policy");
        expect(&target.send("POST", &path, permission.to_string().as_bytes())?, 201)?;
    }
    let url = said["FunctionUrl"].as_str().ok_or_else(|| io::Error::other("no URL"))?;
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let head = "content-type: text/plain\r\naccept: */*";
    Ok(format!("POST / HTTP/1.1\r\nhost: {host}\r\n{head}\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len())
        .into_bytes())
}

fn row(language: &str, value: Track, floor: Track, goal: Goal) -> Row {
    let what = format!("function URL -> {language} echo, requests per second, {CONNECTIONS} connections");
    let quantiles = |track: &Track| {
        let [p50, p99] = [0.5, 0.99].map(|fraction| track.latency.typical(fraction));
        format!("{} p50 {p50:.2} ms, p99 {p99:.2} ms", track.rate.name)
    };
    let note = format!("{}; {}; the client on the same cores", quantiles(&value), quantiles(&floor));
    let mut row = Row::new("14", &what, Kind::Figures, "/s", value.rate).floor(floor.rate).goal(goal).note(note);
    row.curves = vec![value.latency, floor.latency];
    row
}
