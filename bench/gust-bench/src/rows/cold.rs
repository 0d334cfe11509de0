//! Rows 4, 4b, 6 and 7: cold starts as the client sees them, each named after its kind.
//!
//! The kinds: (a) code not on the node, (b) code on the node and no process started ahead, (c) from a zygote, (d) from
//! an initialised copy of the function (SnapStart: not there yet), (e) in a process that was started ahead.
//!
//! A change of the function's environment makes the next invocation cold; that the environment is new is proved by the
//! answer: the functions count their own invocations.

use super::functions::{BOTO3_COUNTER, Gust, NODE_COUNTER, PYTHON_COUNTER};
use crate::context::{Context, timed};
use crate::http::{Answer, Connection};
use crate::process;
use crate::rivals;
use crate::row::{Against, Goal, Kind, Row, Series};
use crate::target::{Function, Target, expect};
use base64::Engine;
use std::cell::Cell;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Forked from an interpreter that was started ahead.
pub const ZYGOTE: &str = "(c) zygote";
/// Everything from the start of a process on.
pub const NO_ZYGOTE: &str = "(b) code on the node, no zygote";
const NOT_ON_NODE: &str = "(a) code not on the node";
const POOL_HIT: &str = "(e) process started ahead";
const FORKED_AHEAD: &str = "(e) forked from the zygote ahead";
const SANDBOX_AHEAD: &str = "(b) code on the node, sandbox made ahead";

/// Cold starts measured per round.
const STARTS_PER_ROUND: u32 = 6;
/// Cold starts of a rival per round: they are slow.
const RIVAL_STARTS_PER_ROUND: u32 = 2;
/// How long a sandbox made ahead may take to be there; without one a start is still a start.
const PREPARED_WAIT: Duration = Duration::from_millis(500);
/// How long a process started ahead may take to be there.
const SPARE_WAIT: Duration = Duration::from_secs(30);
/// A client of the SDK in a process that does nothing else.
const BOTO3_BARE: &str = "import boto3; boto3.client('sts', region_name='us-east-1')";

/// What a function's first answer says.
enum Proof {
    /// It counts: 1.
    Counted,
    /// Nothing: it does not count.
    None,
}

/// One cold invocation: what the client waited, and what the function's own start took.
struct Sample {
    client_ms: f64,
    init_ms: Option<f64>,
}

fn first_invocation(target: &Target, function: &str, proof: &Proof) -> io::Result<Sample> {
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let request = target.signed("POST", &path, &[("x-amz-log-type", "Tail")], b"{}");
    let mut connection = Connection::open(target.address)?;
    let begun = Instant::now();
    let answer = connection.exchange(&request)?;
    let client_ms = begun.elapsed().as_secs_f64() * 1e3;
    expect(&answer, 200)?;
    if matches!(proof, Proof::Counted) && answer.body != b"1" {
        return Err(io::Error::other("the environment was not new: the sample is void"));
    }
    Ok(Sample { client_ms, init_ms: init_ms(&answer) })
}

/// `Init Duration` of the REPORT line, as Lambda defines it.
fn init_ms(answer: &Answer) -> Option<f64> {
    let log = base64::engine::general_purpose::STANDARD.decode(answer.header("x-amz-log-result")?).ok()?;
    let text = String::from_utf8_lossy(&log).into_owned();
    text.split_once("Init Duration: ")?.1.split(' ').next()?.parse().ok()
}

fn cold(target: &Target, function: &str, round: u32) -> io::Result<Sample> {
    target.refresh(function, round)?;
    first_invocation(target, function, &Proof::Counted)
}

/// Runs value, floor and rival in turns and makes the row out of them.
struct Turns<'a> {
    context: &'a Context,
    target: &'a Target,
    starts_per_round: u32,
}

impl Turns<'_> {
    fn row(
        &self,
        (number, what, kind): (&str, &str, &str),
        mut value: impl FnMut(u32) -> io::Result<Sample>,
        (floor_name, mut floor): (&str, impl FnMut() -> io::Result<f64>),
        mut rival: Option<&mut dyn FnMut(u32) -> io::Result<f64>>,
    ) -> io::Result<Row> {
        value(0)?;
        floor()?;
        let mut series = (Series::new("gust"), Series::new(floor_name), Series::new("ministack"));
        let (mut inits, mut number_of_start) = (Vec::new(), 0);
        for round in 0..self.context.rounds {
            let (mut values, mut floors, cpu) = (Vec::new(), Vec::new(), process::cpu(self.target.pid()));
            for _ in 0..self.starts_per_round {
                floors.push(floor()?);
                number_of_start += 1;
                let sample = value(number_of_start)?;
                values.push(sample.client_ms);
                inits.extend(sample.init_ms);
            }
            let cpu = process::cpu(self.target.pid()).saturating_sub(cpu);
            series.0.cpu_us.push(cpu.as_secs_f64() * 1e6 / f64::from(self.starts_per_round));
            series.0.push(values);
            series.1.push(floors);
            let starts = round * RIVAL_STARTS_PER_ROUND..(round + 1) * RIVAL_STARTS_PER_ROUND;
            let outcome: Option<io::Result<Vec<f64>>> = rival.as_mut().map(|rival| starts.map(rival).collect());
            match outcome {
                Some(Ok(samples)) => series.2.push(samples),
                Some(Err(error)) => {
                    eprintln!("ministack: {error}");
                    rival = None;
                }
                None => {}
            }
        }
        let row = Row::new(number, what, Kind::Times, "ms", series.0).floor(series.1).rival(Some(series.2)).cold(kind);
        let init = crate::row::median(&inits);
        Ok(match inits.is_empty() {
            true => row,
            false => row.note(format!(
                "Init Duration p50 {init:.2} ms; CPU includes the change of configuration that makes it cold"
            )),
        })
    }
}

/// Counts the starts that found a sandbox made ahead, and names the row after what most of them were.
#[derive(Default)]
struct Prepared {
    found: Cell<u32>,
    all: Cell<u32>,
}

impl Prepared {
    /// Waits for a moment until there is one; the first start of all cannot find one.
    fn wait(&self, target: &Target, round: u32) -> io::Result<()> {
        if round == 0 {
            return Ok(());
        }
        self.all.set(self.all.get() + 1);
        let begun = Instant::now();
        while begun.elapsed() < PREPARED_WAIT {
            if target.health()?["environments"]["prepared"].as_u64().unwrap_or(0) > 0 {
                self.found.set(self.found.get() + 1);
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn name(&self, row: Row, ahead: &str, otherwise: &str) -> Row {
        let (found, all) = (self.found.get(), self.all.get());
        let kind = if found * 2 > all { ahead } else { otherwise };
        row.cold(kind).note(format!("{found} of {all} starts found a sandbox made ahead"))
    }
}

/// A rival's cold start of the same function; `None` where it does not run.
fn rival(context: &Context, function: &Function<'_>) -> Option<impl FnMut(u32) -> io::Result<f64> + use<>> {
    let (target, folder) = rivals::ministack(context)?;
    if let Err(error) = target.create(function) {
        eprintln!("ministack makes no {} function: {error}", function.runtime);
        return None;
    }
    let name = function.name.to_owned();
    Some(move |round| {
        // It lives as long as this closure.
        let _ = &folder;
        cold(&target, &name, round).map(|sample| sample.client_ms)
    })
}

/// Row 4 in its kinds.
pub fn python(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let gust = Gust::start(context, &[])?;
    let files: &[(&str, &[u8], u32)] = &[("app.py", PYTHON_COUNTER, 0o644)];
    let function = Function::new("cold", &context.python_runtime, "app.handler", files);
    gust.target.create(&function)?;
    let turns = Turns { context, target: &gust.target, starts_per_round: STARTS_PER_ROUND };
    let floor = || timed(&context.python, &["-c", "pass"]);
    let floor_name = "python3 -c pass";
    let mut beside = rival(context, &function);
    let what = "Python cold start, client view";
    let prepared = Prepared::default();
    let row = turns.row(
        ("4", what, ZYGOTE),
        |round| {
            prepared.wait(&gust.target, round)?;
            cold(&gust.target, "cold", round)
        },
        (floor_name, floor),
        beside.as_mut().map(|rival| rival as &mut dyn FnMut(u32) -> io::Result<f64>),
    )?;
    let row = prepared.name(row, FORKED_AHEAD, ZYGOTE);
    rows.push(row.goal(Goal::at_most(0.45, 0.15, Against::TimesFloor)));
    drop(beside);
    // A variable that Python reads at its start gets a fresh interpreter.
    let fresh = |round: u32| {
        let variables = serde_json::json!({"ROUND": round.to_string(), "PYTHONUNBUFFERED": "1"});
        gust.target.refresh_with("cold", &variables)?;
        first_invocation(&gust.target, "cold", &Proof::Counted)
    };
    rows.push(turns.row(("4", what, NO_ZYGOTE), fresh, (floor_name, floor), None)?);
    drop(gust);
    not_on_node(context, what, (floor_name, floor), rows)
}

/// Kind (a): the unpacked code is gone (it is restored from the package, as on a node that never had it), and nothing
/// of gust's folder is in the page cache.
fn not_on_node(
    context: &Context,
    what: &str,
    (floor_name, mut floor): (&str, impl FnMut() -> io::Result<f64>),
    rows: &mut Vec<Row>,
) -> io::Result<()> {
    // In this order, so that gust ends before its folder goes.
    let Gust { folder, mut target } = Gust::start(context, &[])?;
    let other = [PYTHON_COUNTER, &b"# Not the same package.\n"[..]].concat();
    for (name, source) in [("cold", PYTHON_COUNTER), ("other", &other[..])] {
        let files: &[(&str, &[u8], u32)] = &[("app.py", source, 0o644)];
        target.create(&Function::new(name, &context.python_runtime, "app.handler", files))?;
    }
    let (mut value, mut floors, mut dropped) = (Series::new("gust"), Series::new(floor_name), true);
    let flags = context.flags()?;
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    for _ in 0..context.rounds {
        floors.push(vec![floor()?]);
        drop(target);
        std::fs::remove_dir_all(folder.path().join("code"))?;
        dropped &= drop_page_cache();
        target = Target::start(&context.gust, folder.path(), &flags)?;
        // Another function with another package has its interpreter's zygote started.
        first_invocation(&target, "other", &Proof::Counted)?;
        value.push(vec![first_invocation(&target, "cold", &Proof::Counted)?.client_ms]);
    }
    let row = Row::new("4", what, Kind::Times, "ms", value).floor(floors).cold(NOT_ON_NODE);
    rows.push(row.note(match dropped {
        true => "after a restart without the unpacked code, page cache dropped; no goal",
        false => "after a restart without the unpacked code; the page cache could not be dropped; no goal",
    }));
    Ok(())
}

/// Whether the kernel dropped its page cache: needs root.
fn drop_page_cache() -> bool {
    std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}

/// Row 4b.
pub fn boto3(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let sdk = context.sdk.as_ref().ok_or_else(|| io::Error::other("no AWS SDK for Python"))?;
    let gust = Gust::start(context, &[])?;
    let files: &[(&str, &[u8], u32)] = &[("app.py", BOTO3_COUNTER, 0o644)];
    gust.target.create(&Function::new("cold", &context.python_runtime, "app.handler", files))?;
    let turns = Turns { context, target: &gust.target, starts_per_round: STARTS_PER_ROUND };
    let bare = format!("import sys; sys.path.append({:?}); {BOTO3_BARE}", sdk.display().to_string());
    let prepared = Prepared::default();
    let row = turns.row(
        ("4b", "Python cold start, handler imports boto3 and makes a client, client view", ZYGOTE),
        |round| {
            prepared.wait(&gust.target, round)?;
            cold(&gust.target, "cold", round)
        },
        ("the same in a bare process", || timed(&context.python, &["-c", &bare])),
        None,
    )?;
    let row = prepared.name(row, FORKED_AHEAD, ZYGOTE);
    rows.push(row.goal(Goal::at_most(0.5, 0.1, Against::TimesFloor)));
    Ok(())
}

/// Row 6: in a process that was started ahead, and without one.
pub fn node(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let node = context.node.as_ref().ok_or_else(|| io::Error::other("no Node.js"))?;
    let gust = Gust::start(context, &[])?;
    let target = &gust.target;
    let files: &[(&str, &[u8], u32)] = &[("index.js", NODE_COUNTER, 0o644)];
    let floor = || timed(&node.path, &["-e", "0"]);
    let turns = Turns { context, target, starts_per_round: STARTS_PER_ROUND };
    let function = Function::new("cold", &node.runtime, "index.handler", files);
    target.create(&function)?;
    let hit = |round| {
        if round > 0 {
            wait_for_spare(target)?;
        }
        cold(target, "cold", round)
    };
    let what = "Node.js cold start, client view";
    let row = turns.row(("6", what, POOL_HIT), hit, ("node -e 0", floor), None)?;
    rows.push(row.goal(Goal::at_most(0.2, 0.05, Against::TimesFloor)));
    let mut beside = rival(context, &function);
    // A variable that Node.js reads at its start gets a new process.
    let miss = |round: u32| {
        let variables = serde_json::json!({"ROUND": round.to_string(), "UV_THREADPOOL_SIZE": "4"});
        target.refresh_with("cold", &variables)?;
        first_invocation(target, "cold", &Proof::Counted)
    };
    let row = turns.row(
        ("6", what, NO_ZYGOTE),
        miss,
        ("node -e 0", floor),
        beside.as_mut().map(|rival| rival as &mut dyn FnMut(u32) -> io::Result<f64>),
    )?;
    rows.push(row.goal(Goal::at_most(1.3, 1.1, Against::TimesFloor)));
    Ok(())
}

fn wait_for_spare(target: &Target) -> io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < SPARE_WAIT {
        if target.health()?["environments"]["spare"].as_u64().unwrap_or(0) > 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(io::Error::other("no process was started ahead"))
}

/// Row 7.
pub fn rust(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let (Some(bootstrap), Some(spawn)) = (&context.rust_bootstrap, &context.spawn_floor) else {
        return Err(io::Error::other("no Rust function or no floor"));
    };
    let gust = Gust::start(context, &[])?;
    let bytes = std::fs::read(bootstrap)?;
    let files: &[(&str, &[u8], u32)] = &[("bootstrap", &bytes, 0o755)];
    gust.target.create(&Function::new("cold", "provided.al2023", "bootstrap", files))?;
    let turns = Turns { context, target: &gust.target, starts_per_round: STARTS_PER_ROUND };
    let prepared = Prepared::default();
    let value = |round| {
        prepared.wait(&gust.target, round)?;
        gust.target.refresh("cold", round)?;
        first_invocation(&gust.target, "cold", &Proof::None)
    };
    let program = bootstrap.display().to_string();
    let row = turns.row(
        ("7", "Rust function cold start over the HTTP Runtime API, client view", NO_ZYGOTE),
        value,
        ("spawn", || spawn_ms(spawn, &program)),
        None,
    )?;
    let row = prepared.name(row, SANDBOX_AHEAD, NO_ZYGOTE);
    rows.push(row.goal(Goal::at_most(4.0, 2.0, Against::TimesFloor)));
    Ok(())
}

/// The floor measures itself, so that its own start does not count.
fn spawn_ms(spawn: &Path, program: &str) -> io::Result<f64> {
    let output = std::process::Command::new(spawn).arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| io::Error::other(format!("no floor: {}", String::from_utf8_lossy(&output.stderr))))
}
