//! Rows 4, 4b, 6 and 7: cold starts as the client sees them, code on the node.
//!
//! A change of the function's environment makes the next invocation cold; that the environment is new is proved by the
//! answer: the functions count their own invocations.

use super::{Context, spread, timed};
use crate::http::Connection;
use crate::report::{Better, Goal, Row};
use crate::target::{Function, Target, expect};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

const PYTHON_COUNTER: &[u8] =
    b"count = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count\n";
const BOTO3_COUNTER: &[u8] = b"import boto3\nclient = boto3.client('sts')\ncount = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count\n";
const BOTO3_BARE: &str = "import boto3; boto3.client('sts', region_name='us-east-1')";

const NODE_COUNTER: &[u8] = b"let count = 0; exports.handler = async () => (count += 1);\n";

/// How long a process started ahead may take to be there.
const SPARE_WAIT: Duration = Duration::from_secs(30);

/// Cold starts measured per round.
const STARTS_PER_ROUND: u32 = 6;

fn cold_start_ms(target: &Target, function: &str, round: u32, counted: bool) -> io::Result<f64> {
    target.refresh(function, round)?;
    first_invocation_ms(target, function, counted)
}

fn first_invocation_ms(target: &Target, function: &str, counted: bool) -> io::Result<f64> {
    let request = target.invocation(function, "RequestResponse", b"{}");
    let mut connection = Connection::open(target.address)?;
    let begun = Instant::now();
    let answer = connection.exchange(&request)?;
    let elapsed = begun.elapsed();
    expect(&answer, 200)?;
    if counted && answer.body != b"1" {
        return Err(io::Error::other("the environment was not new: the sample is void"));
    }
    Ok(elapsed.as_secs_f64() * 1e3)
}

/// The floor measures itself, so that its own start does not count.
fn spawn_ms(spawn: &Path, program: &str) -> io::Result<f64> {
    let output = std::process::Command::new(spawn).arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| io::Error::other(format!("no floor: {}", String::from_utf8_lossy(&output.stderr))))
}

fn interleaved(
    context: &Context,
    name: &str,
    mut value: impl FnMut(u32) -> io::Result<f64>,
    mut floor: impl FnMut() -> io::Result<f64>,
) -> io::Result<(Vec<f64>, Vec<f64>)> {
    value(0)?;
    floor()?;
    let (mut values, mut floors) = (Vec::new(), Vec::new());
    for round in 0..context.rounds * STARTS_PER_ROUND {
        floors.push(floor()?);
        values.push(value(round + 1)?);
    }
    context.keep(&format!("cold-{name}-ms"), &values)?;
    context.keep(&format!("cold-{name}-floor-ms"), &floors)?;
    Ok((values, floors))
}

/// Measures the rows.
pub fn rows(context: &Context) -> io::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let flags = context.flags()?;
    let target = Target::start(&context.gust, folder.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>())?;
    let create = |name, source: &[u8]| {
        let files: &[(&str, &[u8], u32)] = &[("app.py", source, 0o644)];
        target.create(&Function { name, runtime: &context.python_runtime, handler: "app.handler", files })
    };
    create("cold-python", PYTHON_COUNTER)?;
    let (values, floors) = interleaved(
        context,
        "python",
        |round| cold_start_ms(&target, "cold-python", round, true),
        || timed(&context.python, &["-c", "pass"]),
    )?;
    let what = "Python cold start, zygote, client view";
    let mut rows = vec![row("4", what, "x python3 -c pass", (0.45, 0.15), (&values, &floors))];
    if let Some(sdk) = &context.sdk {
        create("cold-boto3", BOTO3_COUNTER)?;
        let bare = format!("import sys; sys.path.append({:?}); {BOTO3_BARE}", sdk.display().to_string());
        let (values, floors) = interleaved(
            context,
            "boto3",
            |round| cold_start_ms(&target, "cold-boto3", round, true),
            || timed(&context.python, &["-c", &bare]),
        )?;
        let what = "Python cold start, handler imports boto3 and makes a client";
        rows.push(row("4b", what, "x bare process", (0.5, 0.1), (&values, &floors)));
    }
    if let Some(node) = &context.node {
        rows.extend(node_rows(context, &target, node)?);
    }
    if let (Some(bootstrap), Some(spawn)) = (&context.rust_bootstrap, &context.spawn_floor) {
        let bytes = std::fs::read(bootstrap)?;
        let files: &[(&str, &[u8], u32)] = &[("bootstrap", &bytes, 0o755)];
        target.create(&Function { name: "cold-rust", runtime: "provided.al2023", handler: "bootstrap", files })?;
        let program = bootstrap.display().to_string();
        let (values, floors) = interleaved(
            context,
            "rust",
            |round| cold_start_ms(&target, "cold-rust", round, false),
            || spawn_ms(spawn, &program),
        )?;
        rows.push(row("7", "Rust function cold start", "x spawn", (4.0, 2.0), (&values, &floors)));
    }
    Ok(rows)
}

/// Row 6: with a process that was started ahead, and without.
fn node_rows(context: &Context, target: &Target, node: &Path) -> io::Result<Vec<Row>> {
    let runtime = context.node_runtime(node)?;
    let files: &[(&str, &[u8], u32)] = &[("index.js", NODE_COUNTER, 0o644)];
    let floor = || timed(node, &["-e", "0"]);
    target.create(&Function { name: "cold-node", runtime: &runtime, handler: "index.handler", files })?;
    let hit = |round| {
        if round > 0 {
            wait_for_spare(target)?;
        }
        cold_start_ms(target, "cold-node", round, true)
    };
    let (values, floors) = interleaved(context, "node-hit", hit, floor)?;
    let what = "Node.js cold start, process started ahead, client view";
    let mut rows = vec![row("6", what, "x node -e 0", (0.2, 0.05), (&values, &floors))];
    target.create(&Function { name: "cold-node-miss", runtime: &runtime, handler: "index.handler", files })?;
    // A variable that Node.js reads at its start gets a new process.
    let miss = |round: u32| {
        let variables = serde_json::json!({"ROUND": round.to_string(), "UV_THREADPOOL_SIZE": "4"});
        target.refresh_with("cold-node-miss", &variables)?;
        first_invocation_ms(target, "cold-node-miss", true)
    };
    let (values, floors) = interleaved(context, "node-miss", miss, floor)?;
    rows.push(row("6", "Node.js cold start, new process, client view", "x node -e 0", (1.3, 1.1), (&values, &floors)));
    Ok(rows)
}

fn wait_for_spare(target: &Target) -> io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < SPARE_WAIT {
        let answer = target.send("GET", "/_gust/health", b"")?;
        let health: serde_json::Value = serde_json::from_slice(&answer.body)?;
        if health["environments"]["spare"].as_u64().unwrap_or(0) > 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(io::Error::other("no process was started ahead"))
}

fn row(
    number: &'static str,
    what: &str,
    unit: &'static str,
    (must, moon): (f64, f64),
    (values, floors): (&[f64], &[f64]),
) -> Row {
    let ((value, least, most), (floor, ..)) = (spread(values), spread(floors));
    let (goals, reached) = Goal { must, moon, better: Better::Lower, unit }.judge(value / floor);
    Row {
        number,
        what: what.to_owned(),
        value: format!("{value:.2} ms"),
        floor: format!("{floor:.2} ms"),
        ratio: Some(value / floor),
        goals,
        reached,
        detail: format!("best {least:.2} ms, worst {most:.2} ms of {}", values.len()),
    }
}
