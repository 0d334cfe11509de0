//! The soak: very many invocations while functions change, and whether what gust holds stays flat.
//!
//! Workers invoke a mix (Python, Node.js and Rust; warm ones, errors, time limits, asynchronous events); meanwhile one
//! thread updates code and configuration and makes and deletes functions. A sampler takes what all processes hold. What is
//! taken over the last four fifths must not rise: see [`flat`].

mod flat;
mod report;
mod sample;
mod world;

use crate::context::Context;
use crate::http::Connection;
use sample::Sample;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use world::World;

/// Connections that invoke.
const WORKERS: usize = 8;
/// How many samples are taken over the whole run, about.
const SAMPLES: u64 = 100;
/// Between two looks at the progress.
const TICK: Duration = Duration::from_millis(50);
/// The first fifth warms up: pools fill, tables are written out for the first time.
const WARM_PART: f64 = 0.2;

/// Where its results go.
pub struct Places {
    /// The folder for samples.
    pub raw: PathBuf,
    /// The document.
    pub results: PathBuf,
    /// The plot.
    pub plot: PathBuf,
}

/// What workers count.
#[derive(Default)]
pub struct Counters {
    started: AtomicU64,
    done: AtomicU64,
    changes: AtomicU64,
    stop: AtomicBool,
    /// Latencies in microseconds of warm synchronous invocations since the last sample.
    latencies: Mutex<Vec<f64>>,
    /// Answers that were not what the function gives, by what they were.
    wrong: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    fn count_wrong(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Bounded: kinds of mistakes, not mistakes.
        if wrong.len() < 50 || wrong.contains_key(&what) {
            *wrong.entry(what).or_default() += 1;
        }
    }
}

/// Runs it. Fails if something was not flat, or if answers were wrong.
pub fn run(context: &Context, invokes: u64, places: &Places) -> io::Result<()> {
    let world = World::open(context)?;
    let counters = Counters::default();
    let begun = Instant::now();
    let samples = std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (world, counters) = (&world, &counters);
            scope.spawn(move || work(world, counters, worker as u64, invokes));
        }
        let changer = scope.spawn(|| world.change(context, &counters.stop, &counters.changes));
        let samples = watch(&world, &counters, invokes, begun);
        // Also if no more can be watched.
        counters.started.store(invokes, Ordering::Relaxed);
        counters.stop.store(true, Ordering::Relaxed);
        match changer.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => counters.count_wrong(format!("a change failed: {error}")),
            Err(_) => counters.count_wrong("the thread that changes panicked".to_owned()),
        }
        samples
    })?;
    let after = world.settle_and_sample(&counters)?;
    let outcome = report::Outcome {
        samples,
        after,
        warm_part: WARM_PART,
        changes: counters.changes.load(Ordering::Relaxed),
        wrong: counters.wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
        took: begun.elapsed(),
    };
    report::write(context, invokes, &outcome, places)
}

/// Samples at equal distances until all invocations are done.
fn watch(world: &World, counters: &Counters, invokes: u64, begun: Instant) -> io::Result<Vec<Sample>> {
    let step = (invokes / SAMPLES).max(1);
    let (mut samples, mut next, mut last) = (Vec::new(), step, (0, Instant::now()));
    loop {
        let done = counters.done.load(Ordering::Relaxed);
        if done >= next || done >= invokes {
            let latencies =
                std::mem::take(&mut *counters.latencies.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
            let now = Instant::now();
            let rate = (done - last.0) as f64 / (now - last.1).as_secs_f64();
            samples.push(world.sample(done, begun.elapsed(), rate, latencies)?);
            eprintln!("{done} of {invokes} invokes after {:.0} s", begun.elapsed().as_secs_f64());
            next = done + step;
            last = (done, now);
        }
        if done >= invokes {
            return Ok(samples);
        }
        std::thread::sleep(TICK);
    }
}

/// Invokes the mix until all invocations are begun.
fn work(world: &World, counters: &Counters, worker: u64, invokes: u64) {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(worker + 1);
    let mut connection = None;
    while counters.started.fetch_add(1, Ordering::Relaxed) < invokes {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let call = world.call(random >> 33);
        let request = call.request();
        let begun = Instant::now();
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(world.address()),
        };
        let answer = open.and_then(|mut open: Connection| open.exchange(&request).map(|answer| (answer, open)));
        let us = begun.elapsed().as_secs_f64() * 1e6;
        match answer {
            Ok((answer, open)) => {
                connection = Some(open);
                match call.judge(&answer) {
                    Ok(true) => counters.latencies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(us),
                    Ok(false) => {}
                    Err(what) => counters.count_wrong(what),
                }
            }
            Err(error) => counters.count_wrong(format!("{}: {error}", call.name)),
        }
        counters.done.fetch_add(1, Ordering::Relaxed);
    }
}
