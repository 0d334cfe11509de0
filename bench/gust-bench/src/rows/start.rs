//! Rows 15 to 17: start, idle cost, size of the binary.

use super::{Context, spread, timed};
use crate::process;
use crate::report::{Better, Goal, Row};
use crate::target::{Function, Target};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an idle gust is watched.
const IDLE: Duration = Duration::from_secs(10);

/// Measures the rows.
pub fn rows(context: &Context) -> io::Result<Vec<Row>> {
    let mut rows = start_times(context)?;
    rows.push(recovery(context)?);
    rows.extend(idle_cost(context)?);
    rows.push(size(&context.gust)?);
    Ok(rows)
}

fn start_ms(context: &Context, data: &Path) -> io::Result<(f64, Target)> {
    let flags = context.flags()?;
    let begun = Instant::now();
    let target = Target::start(&context.gust, data, &flags.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok((begun.elapsed().as_secs_f64() * 1e3, target))
}

fn start_times(context: &Context) -> io::Result<Vec<Row>> {
    let (mut values, mut floors, mut first_invoke) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        floors.push(timed(Path::new("true"), &[])?);
        let folder = tempfile::tempdir()?;
        let begun = Instant::now();
        let (elapsed, target) = start_ms(context, folder.path())?;
        values.push(elapsed);
        let files: &[(&str, &[u8], u32)] = &[("app.py", b"def handler(event, context):\n    return 1\n", 0o644)];
        target.create(&Function { name: "first", runtime: &context.python_runtime, handler: "app.handler", files })?;
        let path = "/2015-03-31/functions/first/invocations";
        crate::target::expect(&target.send("POST", path, b"{}")?, 200)?;
        first_invoke.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    context.keep("start-ms", &values)?;
    let ((value, least, most), (floor, ..)) = (spread(&values), spread(&floors));
    let (goals, reached) = Goal { must: 150.0, moon: 20.0, better: Better::Lower, unit: "ms" }.judge(value);
    let answer = Row {
        number: "15",
        what: "empty folder: start to first answer".to_owned(),
        value: format!("{value:.0} ms"),
        floor: format!("{floor:.2} ms (`true`)"),
        ratio: None,
        goals,
        reached,
        detail: format!("best {least:.0} ms, worst {most:.0} ms"),
    };
    let (value, least, most) = spread(&first_invoke);
    let (goals, reached) = Goal { must: 600.0, moon: 150.0, better: Better::Lower, unit: "ms" }.judge(value);
    let invoked = Row {
        number: "15",
        what: "empty folder: start, create a Python function, its first answer (zygote included)".to_owned(),
        value: format!("{value:.0} ms"),
        floor: "-".to_owned(),
        ratio: None,
        goals,
        reached,
        detail: format!("best {least:.0} ms, worst {most:.0} ms"),
    };
    Ok(vec![answer, invoked])
}

/// Functions that a recovered folder holds.
const FUNCTIONS: usize = 1_000;
/// Log events of a megabyte that it holds.
const MEGABYTES: usize = 100;
/// Connections that fill it.
const FILLERS: usize = 8;

/// A folder with a thousand functions and 100 MB of log events, killed and started again.
fn recovery(context: &Context) -> io::Result<Row> {
    let folder = tempfile::tempdir()?;
    let (_, target) = start_ms(context, folder.path())?;
    fill(context, &target)?;
    target.kill()?;
    let mut values = Vec::new();
    for _ in 0..context.rounds {
        let (elapsed, target) = start_ms(context, folder.path())?;
        let answer = target.send("GET", "/2015-03-31/functions/function-999", b"")?;
        crate::target::expect(&answer, 200)?;
        values.push(elapsed);
        target.kill()?;
    }
    context.keep("recovery-ms", &values)?;
    let (value, least, most) = spread(&values);
    let (goals, reached) = Goal { must: 2_000.0, moon: 300.0, better: Better::Lower, unit: "ms" }.judge(value);
    Ok(Row {
        number: "15",
        what: format!(
            "after kill -9: start to first answer with {FUNCTIONS} functions and {MEGABYTES} MB of log events"
        ),
        value: format!("{value:.0} ms"),
        floor: "-".to_owned(),
        ratio: None,
        goals,
        reached,
        detail: format!("best {least:.0} ms, worst {most:.0} ms"),
    })
}

fn fill(context: &Context, target: &Target) -> io::Result<()> {
    std::thread::scope(|scope| {
        let fillers: Vec<_> = (0..FILLERS)
            .map(|filler| {
                scope.spawn(move || {
                    for number in (filler..FUNCTIONS).step_by(FILLERS) {
                        let (name, source) = (
                            format!("function-{number}"),
                            format!("# {number}\ndef handler(event, context):\n    return {number}\n"),
                        );
                        let files: &[(&str, &[u8], u32)] = &[("app.py", source.as_bytes(), 0o644)];
                        target.create(&Function {
                            name: &name,
                            runtime: &context.python_runtime,
                            handler: "app.handler",
                            files,
                        })?;
                    }
                    Ok::<_, io::Error>(())
                })
            })
            .collect();
        for filler in fillers {
            filler.join().map_err(|_| io::Error::other("a filler panicked"))??;
        }
        Ok::<_, io::Error>(())
    })?;
    let mut connection = crate::http::Connection::open(target.address)?;
    target.logs(&mut connection, "CreateLogGroup", &serde_json::json!({"logGroupName": "filled"}))?;
    target.logs(
        &mut connection,
        "CreateLogStream",
        &serde_json::json!({"logGroupName": "filled", "logStreamName": "s"}),
    )?;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..MEGABYTES {
        let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
        let events: Vec<_> = (0..100)
            .map(|_| {
                // Hexadecimal noise, so that compression does not do away with what is to be recovered.
                let message: String = (0..625)
                    .map(|_| {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        format!("{random:016x}")
                    })
                    .collect();
                serde_json::json!({"timestamp": u64::try_from(now_ms).unwrap_or(0), "message": message})
            })
            .collect();
        let body = serde_json::json!({"logGroupName": "filled", "logStreamName": "s", "logEvents": events});
        target.logs(&mut connection, "PutLogEvents", &body)?;
    }
    Ok(())
}

fn idle_cost(context: &Context) -> io::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let (_, target) = start_ms(context, folder.path())?;
    std::thread::sleep(Duration::from_secs(3));
    let before = process::usage(target.pid());
    std::thread::sleep(IDLE);
    let after = process::usage(target.pid());
    let mib = after.pss_kib as f64 / 1024.0;
    let wakes = after.switches.saturating_sub(before.switches) as f64 / IDLE.as_secs_f64();
    let (goals, reached) = Goal { must: 120.0, moon: 60.0, better: Better::Lower, unit: "MiB" }.judge(mib);
    Ok(vec![Row {
        number: "16",
        what: format!("idle memory (PSS) of gust, spawner and zygotes: {} processes", after.processes),
        value: format!("{mib:.1} MiB"),
        floor: "-".to_owned(),
        ratio: None,
        goals,
        reached,
        detail: format!(
            "{wakes:.1} wake-ups/s over {} s, CPU {} ms; goals are those of a gust with its zygote",
            IDLE.as_secs(),
            after.cpu.saturating_sub(before.cpu).as_millis()
        ),
    }])
}

fn size(binary: &Path) -> io::Result<Row> {
    let megabytes = std::fs::metadata(binary)?.len() as f64 / 1e6;
    let (goals, reached) = Goal { must: 60.0, moon: 30.0, better: Better::Lower, unit: "MB" }.judge(megabytes);
    Ok(Row {
        number: "17",
        what: "release binary".to_owned(),
        value: format!("{megabytes:.1} MB"),
        floor: "-".to_owned(),
        ratio: None,
        goals,
        reached,
        detail: "debug information stripped".to_owned(),
    })
}
