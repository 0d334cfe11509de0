//! Row 10: asynchronous invocations accepted durably per second, against the store's own group commit.

use super::commit;
use super::functions::{EVENT, Gust};
use crate::context::Context;
use crate::row::{Against, Goal, Kind, Row, Series};
use crate::target::Function;
use crate::{load, process};
use std::io;
use std::time::Duration;

const CONNECTIONS: usize = 256;
/// What the second row adds to every sync.
const SLOW_SYNC_MS: u64 = 5;

/// Measures the row, and again with slow syncs.
pub fn rows(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    rows.push(row(context, 0, context.rounds)?);
    // Once is enough: it shows the shape, and the disk has no part in it.
    rows.push(row(context, SLOW_SYNC_MS, 1)?);
    Ok(())
}

fn row(context: &Context, sync_delay_ms: u64, rounds: u32) -> io::Result<Row> {
    let gust = Gust::start(context, &["--sync-delay-ms", &sync_delay_ms.to_string()])?;
    let target = &gust.target;
    let files: &[(&str, &[u8], u32)] = &[("app.py", b"def handler(event, context):\n    return None\n", 0o644)];
    target.create(&Function::new("accept", &context.python_runtime, "app.handler", files))?;
    let request = target.invocation("accept", "Event", EVENT);
    let (mut value, mut floor) = (Series::new("gust"), Series::new("commit"));
    let (mut answers, mut commits) = (Series::new("gust: answer"), Series::new("commit"));
    for _ in 0..rounds {
        let (rate, times_ms) = commit::run(CONNECTIONS, Duration::from_millis(sync_delay_ms), context.load())?;
        floor.push(vec![rate]);
        commits.push(times_ms);
        let cpu = process::cpu(target.pid());
        let samples = load::run(target.address, &request, 202, CONNECTIONS, context.load()).all_good()?;
        let cpu = process::cpu(target.pid()).saturating_sub(cpu);
        value.cpu_us.push(cpu.as_secs_f64() * 1e6 / samples.latencies_us.len().max(1) as f64);
        value.push(vec![samples.rate()]);
        answers.push(samples.latencies_us.iter().map(|us| us / 1e3).collect());
    }
    let queued = target.health()?["invocations"]["queued"].as_u64().unwrap_or(0);
    let slow = if sync_delay_ms > 0 { format!(", {sync_delay_ms} ms added to every sync") } else { String::new() };
    let what =
        format!("asynchronous invokes accepted durably per second, {CONNECTIONS} connections, while they run{slow}");
    let mut row = Row::new("10", &what, Kind::Figures, "/s", value)
        .floor(floor)
        .goal(Goal::at_least(0.25, 0.6, Against::TimesFloor))
        .note(format!("answer p50 {:.1} ms, p99 {:.1} ms", answers.typical(0.5), answers.typical(0.99)))
        .note(format!(
            "CPU includes the invocations that ran meanwhile; {queued} events were loaded and waiting at the end"
        ));
    row.curves = vec![answers, commits];
    Ok(row)
}
