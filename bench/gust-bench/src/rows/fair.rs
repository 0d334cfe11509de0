//! Row 18: a quiet function beside one that is driven far above its limit.
//!
//! The noisy function's capacity C is measured in a closed loop without a limit. Then it gets one reserved execution,
//! what it serves with that (L) is measured, and it is driven in an open loop at L + C / 2: half of the capacity more than
//! its limit lets through. The quiet function gets a low constant rate, alone and beside it, in turns.

use super::functions::{EVENT, Gust, PYTHON_ECHO};
use crate::context::Context;
use crate::load::{self, Open, Samples};
use crate::process;
use crate::row::{Against, Goal, Kind, Row, Series};
use crate::target::Function;
use std::io;
use std::time::{Duration, Instant};

/// Connections with which the capacity is measured.
const CONNECTIONS: usize = 16;
/// The noisy function's reserved concurrency.
const RESERVED: u32 = 1;
/// Connections of the open load.
const NOISY_CONNECTIONS: usize = 32;
/// Requests per second to the quiet function.
const QUIET_RATE: f64 = 100.0;
/// Its connections.
const QUIET_CONNECTIONS: usize = 4;
/// At least so long a run: a 99th percentile needs samples.
const RUN_MIN: Duration = Duration::from_secs(4);
/// The noise begins so long before the quiet function is measured beside it.
const LEAD: Duration = Duration::from_millis(300);

struct Noise {
    offered: f64,
    served: Vec<f64>,
    throttled: u64,
    gust_cpu: Duration,
    elapsed: Duration,
}

/// Measures the row.
pub fn rows(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let gust = Gust::start(context, &[])?;
    let target = &gust.target;
    let files: &[(&str, &[u8], u32)] = &[("app.py", PYTHON_ECHO, 0o644)];
    for name in ["noisy", "quiet"] {
        target.create(&Function::new(name, &context.python_runtime, "app.handler", files))?;
    }
    let [noisy, quiet] = ["noisy", "quiet"].map(|name| target.invocation(name, "RequestResponse", EVENT));
    let closed = |connections| load::run(target.address, &noisy, 200, connections, context.load()).all_good();
    closed(CONNECTIONS)?;
    let capacity = closed(CONNECTIONS)?.rate();
    target.reserve("noisy", RESERVED)?;
    let limit = closed(RESERVED as usize)?.rate();
    let run = context.load().max(RUN_MIN);
    let quiet = Open {
        address: target.address,
        request: &quiet,
        status: 200,
        rate: QUIET_RATE,
        connections: QUIET_CONNECTIONS,
    };
    load::run_open(&quiet, Duration::from_secs(1)).all_good()?;
    let (mut alone, mut beside) = (Series::new("the quiet function alone"), Series::new("gust"));
    let offered = limit + capacity / 2.0;
    let mut noise =
        Noise { offered, served: Vec::new(), throttled: 0, gust_cpu: Duration::ZERO, elapsed: Duration::ZERO };
    for _ in 0..context.rounds {
        alone.push(in_ms(load::run_open(&quiet, run).all_good()?));
        let open = Open {
            address: target.address,
            request: &noisy,
            status: 200,
            rate: offered,
            connections: NOISY_CONNECTIONS,
        };
        let (cpu, begun) = (process::cpu(target.pid()), Instant::now());
        let (quiet_samples, noisy_samples) = std::thread::scope(|scope| {
            let noisy = scope.spawn(|| load::run_open(&open, run + LEAD * 2));
            std::thread::sleep(LEAD);
            (load::run_open(&quiet, run), noisy.join())
        });
        noise.gust_cpu += process::cpu(target.pid()).saturating_sub(cpu);
        noise.elapsed += begun.elapsed();
        beside.push(in_ms(quiet_samples.all_good()?));
        let samples = noisy_samples.map_err(|_| io::Error::other("the noise panicked"))?;
        noise.throttled += throttled(&samples)?;
        noise.served.push(samples.rate());
    }
    rows.push(row(alone, beside, &noise, (capacity, limit)));
    Ok(())
}

fn in_ms(samples: Samples) -> Vec<f64> {
    samples.latencies_us.into_iter().map(|us| us / 1e3).collect()
}

/// How many were throttled; whatever else is not good is an error.
fn throttled(samples: &Samples) -> io::Result<u64> {
    let count = samples.statuses.get(&429).copied().unwrap_or(0);
    if count == samples.errors {
        return Ok(count);
    }
    Err(io::Error::other(format!("the noisy function's requests failed: {:?}", samples.statuses)))
}

fn row(alone: Series, beside: Series, noise: &Noise, (capacity, limit): (f64, f64)) -> Row {
    let served = crate::row::median(&noise.served);
    let mut row = Row::new("18", "p99 of a quiet function beside one at its limit and half of its capacity more", Kind::Times, "ms", beside)
        .floor(alone)
        .goal(Goal::at_most(3.0, 1.3, Against::TimesFloor))
        .note(format!(
            "capacity {capacity:.0}/s at {CONNECTIONS} connections, limit {limit:.0}/s with {RESERVED} reserved execution, offered {:.0}/s, served {served:.0}/s, {} throttled",
            noise.offered, noise.throttled
        ))
        .note(format!(
            "open loop, latency from the moment each request is due; quiet {QUIET_RATE}/s; gust used {:.0} % of a core beside",
            noise.gust_cpu.as_secs_f64() / noise.elapsed.as_secs_f64() * 100.0
        ));
    row.judged = 0.99;
    row
}
