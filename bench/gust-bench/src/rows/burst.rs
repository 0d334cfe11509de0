//! Rows 8 and 9: from nothing to a thousand environments at once, and what a thousand idle ones need.
//!
//! The handler says through a pipe that it has begun and then waits for another one to be opened, which is done when all
//! of them have begun: no environment can serve twice. The answers name their environments, and all must differ.

use super::cold::{NO_ZYGOTE, ZYGOTE};
use super::functions::{Gust, NODE_BARRIER, PYTHON_BARRIER};
use crate::burst::{Burst, BurstAnswer};
use crate::context::Context;
use crate::process;
use crate::row::{Against, Goal, Kind, Row, Series};
use crate::target::{Function, expect};
use crate::{fifo, row};
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How many at once.
const ENVIRONMENTS: usize = 1_000;
/// Concurrent executions of the account: none of the thousand is throttled.
const CONCURRENCY: &str = "1100";
/// MemorySize.
const MEMORY_MB: u32 = 128;
/// Longest that all of them may take to begin.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(150);
/// Longest until all of them are frozen.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(20);
/// The part of the available memory that a burst may take.
const MEMORY_SHARE: f64 = 0.7;
/// What gust prepares after its first function (processes started ahead) may take so long.
const PREPARE: Duration = Duration::from_secs(2);
/// A burst that takes longer is not repeated in every round.
const LONG: Duration = Duration::from_secs(20);
/// Rounds of a long one.
const LONG_ROUNDS: u32 = 2;

struct Subject<'a> {
    language: &'static str,
    /// Which cold start it is.
    cold: &'static str,
    runtime: &'a str,
    handler: &'static str,
    file: (&'static str, &'a [u8], u32),
    /// Guess of what an environment needs, to fit the burst into the machine.
    memory_mib: f64,
    /// Seconds for all, "must" and "moon".
    seconds: (Option<f64>, f64),
    /// Environments per GiB, "must" and "moon".
    density: (f64, f64),
}

/// Python.
pub fn python(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let subject = Subject {
        language: "Python",
        cold: ZYGOTE,
        runtime: &context.python_runtime,
        handler: "app.handler",
        file: ("app.py", PYTHON_BARRIER, 0o644),
        memory_mib: 8.0,
        seconds: (Some(3.0), 1.0),
        density: (300.0, 700.0),
    };
    measure(context, &subject, rows)
}

/// Rust, over the HTTP Runtime API.
pub fn rust(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let bootstrap = context.rust_bootstrap.as_deref().ok_or_else(|| io::Error::other("no Rust function"))?;
    let bytes = std::fs::read(bootstrap)?;
    let subject = Subject {
        language: "Rust",
        cold: NO_ZYGOTE,
        runtime: "provided.al2023",
        handler: "barrier",
        file: ("bootstrap", &bytes, 0o755),
        memory_mib: 8.0,
        seconds: (Some(3.0), 1.2),
        density: (600.0, 1_500.0),
    };
    measure(context, &subject, rows)
}

/// Node.js. The goals have no "must" for its time; the aim is 10 s.
pub fn node(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let node = context.node.as_ref().ok_or_else(|| io::Error::other("no Node.js"))?;
    let subject = Subject {
        language: "Node.js",
        cold: NO_ZYGOTE,
        runtime: &node.runtime,
        handler: "index.handler",
        file: ("index.js", NODE_BARRIER, 0o644),
        memory_mib: 14.0,
        seconds: (None, 10.0),
        density: (90.0, 140.0),
    };
    measure(context, &subject, rows)
}

/// What one burst gave.
struct Outcome {
    /// When each handler began, in milliseconds.
    begun_ms: Vec<f64>,
    /// When each answer was there.
    answered_ms: Vec<f64>,
    cpu_us: f64,
    /// Environments a GiB by MemAvailable, and KiB of one by proportional set sizes.
    per_gib: f64,
    pss_kib: f64,
    frozen: u64,
}

fn measure(context: &Context, subject: &Subject<'_>, rows: &mut Vec<Row>) -> io::Result<()> {
    raise_descriptor_limit();
    let fitting = process::memory_available_kib() as f64 / 1024.0 * MEMORY_SHARE / subject.memory_mib;
    let count = ENVIRONMENTS.min(fitting as usize);
    let (mut outcomes, mut floors, mut failure) = (Vec::new(), Vec::new(), None);
    let mut rounds = context.rounds;
    while (outcomes.len() as u32) < rounds {
        if let Some(floor) = spawns_s(context, count)? {
            floors.push(floor);
        }
        match burst(context, subject, count) {
            Ok(outcome) => {
                if outcome.answered_ms.last().is_some_and(|last| *last > LONG.as_secs_f64() * 1e3) {
                    rounds = rounds.min(LONG_ROUNDS);
                }
                outcomes.push(outcome);
            }
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    if !outcomes.is_empty() {
        rows.push(time_row(subject, count, &outcomes, &floors));
        rows.push(density_row(subject, count, &outcomes));
    }
    failure.map_or(Ok(()), Err)
}

fn time_row(subject: &Subject<'_>, count: usize, outcomes: &[Outcome], floors: &[f64]) -> Row {
    let seconds: Vec<f64> = outcomes.iter().map(|outcome| at(&outcome.answered_ms, 1.0) / 1e3).collect();
    let mut value = Series::of_figures("gust", &seconds);
    value.cpu_us = outcomes.iter().map(|outcome| outcome.cpu_us).collect();
    let middle = |fraction: f64, of: fn(&Outcome) -> &Vec<f64>| {
        row::median(&outcomes.iter().map(|outcome| at(of(outcome), fraction)).collect::<Vec<_>>())
    };
    let three = |of: fn(&Outcome) -> &Vec<f64>| {
        format!("{:.0} / {:.0} / {:.0} ms", middle(0.5, of), middle(0.99, of), middle(1.0, of))
    };
    let goal = Goal {
        must: subject.seconds.0,
        moon: Some(subject.seconds.1),
        better: row::Better::Lower,
        against: Against::Nothing,
    };
    let what = format!("burst 0 -> {count} {} environments at once, last answer", subject.language);
    let mut row = Row::new("8", &what, Kind::Figures, "s", value)
        .cold(subject.cold)
        .goal(goal)
        .note(format!("50 / 99 / 100 % of handlers begun after {}", three(|outcome| &outcome.begun_ms)))
        .note(format!("of answers after {} (all wait for the last handler)", three(|outcome| &outcome.answered_ms)))
        .note(format!("{count} different environments answered in each of {} rounds, no error", outcomes.len()))
        .note("CPU is that of one environment, from request to frozen");
    if !floors.is_empty() {
        row = row.floor(Series::of_figures(&format!("spawn x {count}, its own last end"), floors));
    }
    if count < ENVIRONMENTS {
        row = row.note(format!("the machine has memory for {count} only, not for {ENVIRONMENTS}"));
    }
    let mut curve = |name: &str, of: fn(&Outcome) -> &Vec<f64>| {
        let mut series = Series::new(name);
        outcomes.iter().for_each(|outcome| series.push(of(outcome).clone()));
        row.curves.push(series);
    };
    curve("handlers begun", |outcome| &outcome.begun_ms);
    curve("answers", |outcome| &outcome.answered_ms);
    row
}

fn density_row(subject: &Subject<'_>, count: usize, outcomes: &[Outcome]) -> Row {
    let densities: Vec<f64> = outcomes.iter().map(|outcome| outcome.per_gib).collect();
    let pss_kib = row::median(&outcomes.iter().map(|outcome| outcome.pss_kib).collect::<Vec<_>>());
    let frozen = outcomes.iter().map(|outcome| outcome.frozen).min().unwrap_or(0);
    let what = format!("idle warm {} environments per GiB (MemAvailable, {count} of them)", subject.language);
    let (must, moon) = subject.density;
    Row::new("9", &what, Kind::Figures, "/GiB", Series::of_figures("gust", &densities))
        .goal(Goal::at_least(must, moon, Against::Nothing))
        .note(format!(
            "{:.2} MiB each; their processes' proportional set sizes alone: {:.2} MiB each",
            1024.0 / row::median(&densities).max(1.0),
            pss_kib / 1024.0
        ))
        .note(format!("at least {frozen} of {count} were frozen when it was taken"))
}

fn at(sorted: &[f64], fraction: f64) -> f64 {
    row::quantile(sorted, fraction)
}

/// One burst against a gust of its own that has served the function once.
fn burst(context: &Context, subject: &Subject<'_>, count: usize) -> io::Result<Outcome> {
    let gust = Gust::start(context, &["--concurrency", CONCURRENCY])?;
    let target = &gust.target;
    let files = [subject.file];
    let mut function = Function::new("burst", subject.runtime, subject.handler, &files);
    (function.memory_mb, function.timeout_s) = (MEMORY_MB, 300);
    target.create(&function)?;
    let warm = target.invocation("burst", "RequestResponse", br#"{"warm":true}"#);
    expect(&crate::http::Connection::open(target.address)?.exchange(&warm)?, 200)?;
    let [arrived, release] =
        ["arrived", "release"].map(|name| fifo::beside(&gust.folder.path().join("code"), subject.file.0, name));
    // The environment that was just used is not one of the thousand.
    target.refresh("burst", 1)?;
    std::thread::sleep(PREPARE);
    let before = (process::memory_available_kib(), process::holdings(&process::family(target.pid())).pss_kib);
    let cpu_before = process::cpu(target.pid());
    let mut lines = fifo::reader(&arrived?)?;
    let request = target.invocation("burst", "RequestResponse", b"{}");
    let burst = Burst::send(target.address, request, count)?;
    let begun_ms = gather(&burst, &mut lines, count)?;
    let opened = fifo::release(&release?)?;
    let answers = burst.answers()?;
    drop(opened);
    let answered_ms = judge(&answers, count)?;
    let frozen = wait_until_frozen(&gust, count)?;
    let cpu_us = process::cpu(target.pid()).saturating_sub(cpu_before).as_secs_f64() * 1e6 / count as f64;
    let taken_kib = before.0.saturating_sub(process::memory_available_kib()).max(1);
    let pss_kib = process::holdings(&process::family(target.pid())).pss_kib.saturating_sub(before.1);
    Ok(Outcome {
        begun_ms,
        answered_ms,
        cpu_us,
        per_gib: count as f64 / (taken_kib as f64 / 1_048_576.0),
        pss_kib: pss_kib as f64 / count as f64,
        frozen,
    })
}

/// Reads arrivals until all that can come have come. Returns when they came, in milliseconds, sorted.
fn gather(burst: &Burst, lines: &mut fifo::Lines, count: usize) -> io::Result<Vec<f64>> {
    let (mut names, mut begun_ms) = (HashSet::new(), Vec::with_capacity(count));
    while begun_ms.len() + burst.failed.load(Ordering::Relaxed) < count {
        let elapsed = burst.begun.elapsed();
        if elapsed > BEGIN_TIMEOUT || burst.is_answered() {
            let text =
                format!("only {} of {count} handlers began within {:.0} s", begun_ms.len(), elapsed.as_secs_f64());
            return Err(io::Error::other(text));
        }
        lines.wait(Duration::from_millis(100))?;
        let now_ms = burst.begun.elapsed().as_secs_f64() * 1e3;
        for name in lines.take()? {
            begun_ms.push(now_ms);
            if !names.insert(name) {
                return Err(io::Error::other("an environment began twice"));
            }
        }
    }
    Ok(begun_ms)
}

/// Checks that all answered from different environments. Returns when, in milliseconds, sorted.
fn judge(answers: &[BurstAnswer], count: usize) -> io::Result<Vec<f64>> {
    let is_good = |answer: &&BurstAnswer| answer.status == 200 && !answer.text.contains("x-amz-function-error");
    let good = answers.iter().filter(is_good).count();
    if good < count {
        let example = answers.iter().find(|answer| !is_good(answer)).map_or("", |answer| answer.text.as_str());
        let body = example.rsplit("\r\n\r\n").next().unwrap_or_default();
        return Err(io::Error::other(format!("{} of {count} requests failed, one with {body:?}", count - good)));
    }
    let body = |answer: &BurstAnswer| answer.text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
    let names: HashSet<String> = answers.iter().map(body).collect();
    if names.len() < count {
        return Err(io::Error::other(format!("{count} answers came from {} environments", names.len())));
    }
    let mut times: Vec<f64> = answers.iter().map(|answer| answer.elapsed.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn wait_until_frozen(gust: &Gust, count: usize) -> io::Result<u64> {
    let begun = Instant::now();
    loop {
        let frozen = gust.target.health()?["environments"]["frozen"].as_u64().unwrap_or(0);
        if frozen >= count as u64 || begun.elapsed() > FREEZE_TIMEOUT {
            // What ended meanwhile is reaped, what was cached is settled.
            std::thread::sleep(Duration::from_millis(500));
            return Ok(frozen);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Seconds for `count` processes with the namespaces of a sandbox, made one after the other and all reaped.
fn spawns_s(context: &Context, count: usize) -> io::Result<Option<f64>> {
    let Some(spawn) = &context.spawn_floor else { return Ok(None) };
    let program = context.rust_bootstrap.as_deref().unwrap_or(Path::new("/bin/true"));
    let output = Command::new(spawn).arg(program).arg(count.to_string()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let ms: f64 =
        text.trim().parse().map_err(|_| io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))?;
    Ok(Some(ms / 1e3))
}

/// A thousand connections need more descriptors than most machines give a process at first.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it fails, connecting says so.
    let _ = setrlimit(Resource::Nofile, limit);
}
