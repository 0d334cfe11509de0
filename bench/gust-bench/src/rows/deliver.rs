//! Row 11: from the request that hands an event in to the start of its handler, against one commit.
//!
//! The handler takes its time on CLOCK_MONOTONIC, which has no namespace here and is the benchmark's as well, and says it
//! through a pipe. One event at a time, and the next one only when the settlement of the last must be over.

use super::commit;
use super::functions::{Gust, PYTHON_STAMP};
use crate::context::Context;
use crate::http::Connection;
use crate::row::{Against, Goal, Kind, Row, Series};
use crate::target::{Function, expect};
use crate::{clock, fifo};
use std::io;
use std::time::{Duration, Instant};

/// What the second row adds to every sync.
const SLOW_SYNC_MS: u64 = 5;
/// Longest that an event may take to begin.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two events, besides the syncs of a settlement.
const PAUSE: Duration = Duration::from_millis(3);

/// Measures the row, and again with slow syncs.
pub fn rows(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    rows.push(row(context, 0, context.rounds)?);
    rows.push(row(context, SLOW_SYNC_MS, 1)?);
    Ok(())
}

fn row(context: &Context, sync_delay_ms: u64, rounds: u32) -> io::Result<Row> {
    let gust = Gust::start(context, &["--sync-delay-ms", &sync_delay_ms.to_string()])?;
    let target = &gust.target;
    let files: &[(&str, &[u8], u32)] = &[("app.py", PYTHON_STAMP, 0o644)];
    target.create(&Function::new("deliver", &context.python_runtime, "app.handler", files))?;
    let pipe = fifo::beside(&gust.folder.path().join("code"), "app.py", "arrived")?;
    let mut lines = fifo::reader(&pipe)?;
    let mut connection = Connection::open(target.address)?;
    let mut numbers = 0..;
    let mut next = || -> io::Result<(f64, f64)> {
        let number = numbers.next().unwrap_or(0);
        let request = target.invocation("deliver", "Event", format!("{{\"number\":{number}}}").as_bytes());
        let times = one(&mut connection, &request, &mut lines, number)?;
        std::thread::sleep(PAUSE + Duration::from_millis(sync_delay_ms) * 3);
        Ok(times)
    };
    for _ in 0..20 {
        next()?;
    }
    let (mut value, mut floor) = (Series::new("gust"), Series::new("commit"));
    let mut after_answer = Series::new("gust: from the answer 202");
    for _ in 0..rounds {
        floor.push(commit::run(1, Duration::from_millis(sync_delay_ms), context.load() / 2)?.1);
        let (begun, mut from_request, mut from_answer) = (Instant::now(), Vec::new(), Vec::new());
        while begun.elapsed() < context.load() {
            let (request_ms, answer_ms) = next()?;
            from_request.push(request_ms);
            from_answer.push(answer_ms);
        }
        value.push(from_request);
        after_answer.push(from_answer);
    }
    let slow = if sync_delay_ms > 0 { format!(", {sync_delay_ms} ms added to every sync") } else { String::new() };
    let what = format!("asynchronous event: request sent -> handler starts, p50, its commit included{slow}");
    let mut row = Row::new("11", &what, Kind::Times, "ms", value)
        .floor(floor)
        .goal(Goal::at_most(2.0, 0.4, Against::FloorPlus))
        .note(format!(
            "counted from the answer 202: p50 {:.2} ms, p99 {:.2} ms",
            after_answer.typical(0.5),
            after_answer.typical(0.99)
        ));
    row.curves = vec![after_answer];
    Ok(row)
}

/// Hands in one event. Returns the milliseconds from the request and from its answer to the handler's start.
fn one(connection: &mut Connection, request: &[u8], lines: &mut fifo::Lines, number: i64) -> io::Result<(f64, f64)> {
    let sent_ns = clock::monotonic_ns();
    expect(&connection.exchange(request)?, 202)?;
    let answered_ns = clock::monotonic_ns();
    let begun = Instant::now();
    while begun.elapsed() < BEGIN_TIMEOUT {
        for line in lines.take()? {
            let (said, started) = line.split_once(' ').ok_or_else(|| io::Error::other("a broken line"))?;
            if said.parse::<i64>().map_err(io::Error::other)? == number {
                let started_ns: i64 = started.parse().map_err(io::Error::other)?;
                let ms = |since_ns: i64| (started_ns - since_ns) as f64 / 1e6;
                return Ok((ms(sent_ns), ms(answered_ns)));
            }
        }
        lines.wait(Duration::from_millis(100))?;
    }
    Err(io::Error::other("the event's handler did not start"))
}
