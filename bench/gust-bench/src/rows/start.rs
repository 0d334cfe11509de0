//! Rows 15 to 17: start, recovery, idle cost, size of the binary.

use super::functions::{Gust, NODE_ECHO, PYTHON_ECHO};
use crate::context::{Context, timed};
use crate::http::Connection;
use crate::process;
use crate::row::{Against, Goal, Kind, Row, Series};
use crate::target::{Function, Target, expect};
use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an idle gust is watched.
const IDLE: Duration = Duration::from_secs(6);
/// After its start gust looks for interpreters and starts a zygote.
const SETTLE: Duration = Duration::from_secs(3);
/// Functions that a recovered folder holds.
const FUNCTIONS: usize = 1_000;
/// Log events of a megabyte that it holds.
const MEGABYTES: usize = 100;
/// Connections that fill it.
const FILLERS: usize = 8;
/// Processes that are to be started ahead when the idle memory is taken.
const SPARES: u64 = 2;
/// Longest that they may take.
const SPARE_WAIT: Duration = Duration::from_secs(20);

fn start(context: &Context, data: &Path) -> io::Result<(f64, Target)> {
    let flags = context.flags()?;
    let begun = Instant::now();
    let target = Target::start(&context.gust, data, &flags.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok((begun.elapsed().as_secs_f64() * 1e3, target))
}

/// Row 15, an empty folder.
pub fn start_times(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let (mut values, mut floors, mut first) = (Series::new("gust"), Series::new("`true`"), Series::new("gust"));
    for _ in 0..context.rounds {
        floors.push(vec![timed(Path::new("true"), &[])?]);
        let folder = tempfile::tempdir()?;
        let begun = Instant::now();
        let (elapsed, target) = start(context, folder.path())?;
        values.push(vec![elapsed]);
        let files: &[(&str, &[u8], u32)] = &[("app.py", PYTHON_ECHO, 0o644)];
        target.create(&Function::new("first", &context.python_runtime, "app.handler", files))?;
        expect(&target.send("POST", "/2015-03-31/functions/first/invocations", b"{}")?, 200)?;
        first.push(vec![begun.elapsed().as_secs_f64() * 1e3]);
    }
    let goal = Goal::at_most(150.0, 20.0, Against::Nothing);
    rows.push(
        Row::new("15", "empty folder: start to first answer", Kind::Figures, "ms", values)
            .floor(floors)
            .goal(goal)
            .note("the goal is absolute; the floor shows what starting any process costs"),
    );
    let what = "empty folder: start, make a Python function, its first answer (zygote included)";
    let goal = Goal::at_most(600.0, 150.0, Against::Nothing);
    rows.push(Row::new("15", what, Kind::Figures, "ms", first).goal(goal));
    Ok(())
}

/// Row 15, a folder with a thousand functions and 100 MB of log events, killed and started again.
pub fn recovery(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let (_, target) = start(context, folder.path())?;
    fill(context, &target)?;
    target.kill()?;
    let mut values = Series::new("gust");
    for _ in 0..context.rounds {
        let (elapsed, target) = start(context, folder.path())?;
        expect(&target.send("GET", "/2015-03-31/functions/function-999", b"")?, 200)?;
        values.push(vec![elapsed]);
        target.kill()?;
    }
    let what =
        format!("after kill -9: start to first answer with {FUNCTIONS} functions and {MEGABYTES} MB of log events");
    rows.push(Row::new("15", &what, Kind::Figures, "ms", values).goal(Goal::at_most(2_000.0, 300.0, Against::Nothing)));
    Ok(())
}

fn fill(context: &Context, target: &Target) -> io::Result<()> {
    target.ensure_role()?;
    std::thread::scope(|scope| {
        let fill_some = |filler: usize| {
            for number in (filler..FUNCTIONS).step_by(FILLERS) {
                let name = format!("function-{number}");
                let source = format!("# {number}\ndef handler(event, context):\n    return {number}\n");
                let files: &[(&str, &[u8], u32)] = &[("app.py", source.as_bytes(), 0o644)];
                target.begin_to_create(&Function::new(&name, &context.python_runtime, "app.handler", files))?;
            }
            Ok::<_, io::Error>(())
        };
        let fillers: Vec<_> = (0..FILLERS).map(|filler| scope.spawn(move || fill_some(filler))).collect();
        for filler in fillers {
            filler.join().map_err(|_| io::Error::other("a filler panicked"))??;
        }
        Ok::<_, io::Error>(())
    })?;
    target.settle(&format!("function-{}", FUNCTIONS - 1))?;
    let mut connection = Connection::open(target.address)?;
    let group = serde_json::json!({"logGroupName": "filled"});
    target.logs(&mut connection, "CreateLogGroup", &group)?;
    let stream = serde_json::json!({"logGroupName": "filled", "logStreamName": "s"});
    target.logs(&mut connection, "CreateLogStream", &stream)?;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..MEGABYTES {
        let body = megabyte(&mut random);
        target.logs(&mut connection, "PutLogEvents", &body)?;
    }
    Ok(())
}

/// A megabyte of hexadecimal noise, so that compression does not do away with what is to be recovered.
fn megabyte(random: &mut u64) -> serde_json::Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(0);
    let mut word = || {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{random:016x}")
    };
    let events: Vec<_> = (0..100)
        .map(|_| serde_json::json!({"timestamp": now_ms, "message": (0..625).map(|_| word()).collect::<String>()}))
        .collect();
    serde_json::json!({"logGroupName": "filled", "logStreamName": "s", "logEvents": events})
}

/// Rows 16 and 17.
pub fn idle_cost(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    rows.push(size(&context.gust)?);
    let mut idle = Idle::default();
    let outcome = (0..context.rounds).try_for_each(|_| idle.round(context));
    if !idle.bare.is_empty() {
        idle.report(rows);
    }
    outcome
}

/// What an idle gust costs, by round.
#[derive(Default)]
struct Idle {
    bare: Vec<f64>,
    ready: Vec<f64>,
    wakes: Vec<f64>,
    with_spares: Vec<f64>,
    spares: Vec<u64>,
}

impl Idle {
    fn round(&mut self, context: &Context) -> io::Result<()> {
        let gust = Gust::start(context, &[])?;
        let target = &gust.target;
        std::thread::sleep(SETTLE);
        let family = process::family(target.pid());
        // gust and its spawner are the same program; whatever else is there was started ahead.
        let own: HashSet<u32> = family.iter().copied().filter(|pid| is_gust(context, *pid)).collect();
        self.bare.push(mib(&own));
        self.ready.push(mib(&family));
        self.wakes.push(wakes_per_second(target.pid(), IDLE));
        if let Some(node) = &context.node {
            self.spares.push(two_spares(target, &node.runtime)?);
            self.with_spares.push(mib(&process::family(target.pid())));
        }
        Ok(())
    }

    fn report(&self, rows: &mut Vec<Row>) {
        rows.push(
            figures("16", "idle memory (PSS), bare: gust and its spawner", "MiB", &self.bare)
                .goal(Goal::at_most(40.0, 15.0, Against::Nothing))
                .note(format!(
                    "what was started ahead is left out: {:.1} MiB with it",
                    crate::row::median(&self.ready)
                )),
        );
        let what = format!("idle wake-ups per second of all processes, over {} s", IDLE.as_secs());
        rows.push(
            figures("16", &what, "/s", &self.wakes)
                .goal(Goal { must: None, ..Goal::at_most(0.0, 0.0, Against::Nothing) }),
        );
        if let Some(spares) = self.spares.iter().min() {
            let what = "idle memory (PSS) with a Python zygote and 2 spare Node.js";
            rows.push(
                figures("16", what, "MiB", &self.with_spares)
                    .goal(Goal::at_most(120.0, 60.0, Against::Nothing))
                    .note(format!("at least {spares} Node.js started ahead, no function's environment")),
            );
        }
    }
}

fn figures(number: &str, what: &str, unit: &str, values: &[f64]) -> Row {
    Row::new(number, what, Kind::Figures, unit, Series::of_figures("gust", values))
}

fn mib(pids: &HashSet<u32>) -> f64 {
    pids.iter().map(|pid| process::pss_kib(*pid)).sum::<u64>() as f64 / 1024.0
}

fn is_gust(context: &Context, pid: u32) -> bool {
    let same = |path: &Path| path.canonicalize().ok();
    let executable = std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    executable.is_some() && executable.and_then(|path| same(&path)) == same(&context.gust)
}

fn wakes_per_second(pid: u32, watch: Duration) -> f64 {
    let family = process::family(pid);
    let before = process::switches(&family);
    std::thread::sleep(watch);
    process::switches(&family).saturating_sub(before) as f64 / watch.as_secs_f64()
}

/// Has processes started ahead by using some, and removes the functions again. Returns how many there are.
fn two_spares(target: &Target, runtime: &str) -> io::Result<u64> {
    let files: &[(&str, &[u8], u32)] = &[("index.js", NODE_ECHO, 0o644)];
    let names = ["spare-1", "spare-2"];
    for name in names {
        target.create(&Function::new(name, runtime, "index.handler", files))?;
    }
    std::thread::scope(|scope| {
        for name in names {
            scope.spawn(move || target.send("POST", &format!("/2015-03-31/functions/{name}/invocations"), b"{}"));
        }
    });
    let (begun, mut spares) = (Instant::now(), 0);
    while spares < SPARES && begun.elapsed() < SPARE_WAIT {
        std::thread::sleep(Duration::from_millis(100));
        spares = target.health()?["environments"]["spare"].as_u64().unwrap_or(0);
    }
    for name in names {
        target.delete(name)?;
    }
    // The functions' own environments end.
    std::thread::sleep(SETTLE);
    Ok(target.health()?["environments"]["spare"].as_u64().unwrap_or(spares))
}

fn size(binary: &Path) -> io::Result<Row> {
    let megabytes = std::fs::metadata(binary)?.len() as f64 / 1e6;
    Ok(figures("17", "release binary", "MB", &[megabytes])
        .goal(Goal::at_most(60.0, 30.0, Against::Nothing))
        .note("debug information stripped"))
}
