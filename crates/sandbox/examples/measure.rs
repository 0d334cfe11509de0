//! Measures how long sandboxes take on this machine: `measure [count] [all|exec|python|burst-exec|burst-python]`, as root.
//!
//! Cold: from the call of `create` to the first answer of a trivial handler, one after the other. Burst: all at once.
//! The CPU time is that of spawner, supervisors, zygotes and functions together, in user and kernel mode, for each sandbox.
#![allow(missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::*;
use gust_sandbox::{Interpreter, Language, Program, RuntimeTransport, Spawner, SpawnerConfig, discover_interpreters};
use serde_json::json;

fn main() {
    gust_sandbox::run_if_spawner();
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match std::env::args().nth(2).as_deref() {
        None | Some("all") => runtime.block_on(measure(count)),
        Some(what) => runtime.block_on(one_kind(count, what)),
    }
}

/// CPU time of all children that were waited for, in microseconds, by the kernel's clock of 10 ms.
fn children_cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> =
        stat.rsplit_once(')').unwrap().1.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0)).collect();
    (fields[12] + fields[13]) * 10_000
}

async fn one_kind(count: usize, what: &str) {
    let interpreter = any_python();
    let state = tempfile::TempDir::new().unwrap();
    let spawner = Spawner::start(SpawnerConfig::new(state.path().join("s"), unique("measure"))).await.unwrap();
    let package = package(&[("lambda_function.py", "def handler(event, context):\n    return event\n")]);
    let sleep = package.path().join("bootstrap");
    std::fs::copy("/bin/sleep", &sleep).unwrap();
    let program = Program::Exec { path: "/var/task/bootstrap".to_owned(), args: vec!["60".to_owned()] };
    if what.ends_with("python") {
        spawner.warm(&interpreter).await.unwrap();
        drop(cold(&spawner, package.path(), &interpreter).await);
    } else {
        drop(spawner.create(spec(package.path(), program.clone())).await.unwrap());
    }
    let start = Instant::now();
    let mut times = Vec::new();
    match what {
        "exec" => {
            for _ in 0..count {
                let start = Instant::now();
                let sandbox = spawner.create(spec(package.path(), program.clone())).await.unwrap();
                times.push(start.elapsed());
                sandbox.kill().await.unwrap();
            }
        }
        "python" => {
            for _ in 0..count {
                let start = Instant::now();
                let function = cold(&spawner, package.path(), &interpreter).await;
                times.push(start.elapsed());
                function.sandbox.kill().await.unwrap();
            }
        }
        "burst-exec" | "burst-python" => {
            let mut tasks = Vec::new();
            for _ in 0..count {
                let (spawner, package, interpreter) = (spawner.clone(), package.path().to_owned(), interpreter.clone());
                let program = program.clone();
                let is_python = what == "burst-python";
                tasks.push(tokio::spawn(async move {
                    let start = Instant::now();
                    let function = if is_python {
                        cold(&spawner, &package, &interpreter).await
                    } else {
                        let sandbox = spawner.create(spec(&package, program)).await.unwrap();
                        Function::new(sandbox, tempfile::TempDir::new().unwrap())
                    };
                    (function, start.elapsed())
                }));
            }
            let mut functions = Vec::new();
            for task in tasks {
                let (function, time) = task.await.unwrap();
                functions.push(function);
                times.push(time);
            }
            println!("{what}: {count} in {:?}", start.elapsed());
            let available = available_kib();
            drop(functions);
            spawner.shutdown().await.unwrap();
            println!("memory of each: {} KiB", available_kib().saturating_sub(available) / count as u64);
        }
        _ => panic!("unknown: {what}"),
    }
    let wall = start.elapsed();
    drop(spawner.shutdown().await);
    println!("{what}: {}, CPU {} us each, wall {wall:?}", summary(&mut times), children_cpu_us() / count as u64);
}

fn available_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn measure(count: usize) {
    let start = Instant::now();
    let interpreters = discover_interpreters();
    println!("discovery: {} interpreters in {:?}", interpreters.len(), start.elapsed());
    let state = tempfile::TempDir::new().unwrap();
    let start = Instant::now();
    let spawner = Spawner::start(SpawnerConfig::new(state.path().join("s"), unique("measure"))).await.unwrap();
    println!("spawner: {:?}, {:?}", start.elapsed(), spawner.capabilities().mode);
    let package = package(&[
        ("lambda_function.py", "def handler(event, context):\n    return event\n"),
        ("bootstrap", "#!/bin/sh\nexec sleep 60\n"),
    ]);
    for interpreter in interpreters.iter().filter(|found| found.language == Language::Python) {
        let start = Instant::now();
        spawner.warm(interpreter).await.unwrap();
        let started = start.elapsed();
        let mut times = Vec::new();
        let mut cpu = Vec::new();
        for _ in 0..count {
            let start = Instant::now();
            let function = cold(&spawner, package.path(), interpreter).await;
            times.push(start.elapsed());
            cpu.push(function.sandbox.stats().await.unwrap().cpu_ns / 1000);
            function.sandbox.kill().await.unwrap();
        }
        cpu.sort_unstable();
        println!(
            "python {:?}: zygote {started:?}, rss {}; cold {}; function's own cpu p50 {} us",
            interpreter.version,
            zygote_memory(spawner.pid(), interpreter),
            summary(&mut times),
            cpu[cpu.len() / 2]
        );
    }
    let interpreter = interpreters.first().unwrap();
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        let sandbox = spawner.create(spec(package.path(), exec_program())).await.unwrap();
        times.push(start.elapsed());
        sandbox.kill().await.unwrap();
    }
    println!("exec /bin/sh: created {}", summary(&mut times));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..count {
        let (spawner, package, interpreter) = (spawner.clone(), package.path().to_owned(), interpreter.clone());
        tasks.push(tokio::spawn(async move { cold(&spawner, &package, &interpreter).await }));
    }
    let mut functions = Vec::new();
    for task in tasks {
        functions.push(task.await.unwrap());
    }
    println!("burst of {count}: {:?}", start.elapsed());
    let mut warm = Vec::new();
    let function = &mut functions[0];
    for _ in 0..2000 {
        let start = Instant::now();
        function.invoke(json!({"a": 1})).await.unwrap();
        warm.push(start.elapsed());
    }
    println!("warm invoke: {}", summary(&mut warm));
    let mut control = Vec::new();
    for _ in 0..500 {
        let start = Instant::now();
        function.sandbox.freeze().await.unwrap();
        function.sandbox.thaw().await.unwrap();
        control.push(start.elapsed());
    }
    println!("freeze + thaw: {}", summary(&mut control));
    let start = Instant::now();
    drop(functions);
    spawner.shutdown().await.unwrap();
    println!("shutdown of {count}: {:?}", start.elapsed());
}

async fn cold(spawner: &Spawner, package: &std::path::Path, interpreter: &Interpreter) -> Function {
    let program = Program::Python { interpreter: interpreter.clone(), transport: RuntimeTransport::Channel };
    let mut spec = spec(package, program);
    spec.env.push(("_HANDLER".to_owned(), "lambda_function.handler".to_owned()));
    let sandbox = spawner.create(spec).await.unwrap();
    let mut function = Function::new(sandbox, tempfile::TempDir::new().unwrap());
    assert_eq!(function.frame().await.unwrap().0, b'R');
    function.invoke(json!(1)).await.unwrap();
    function
}

fn summary(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    format!("min {:?} p50 {:?} p99 {:?}", times[0], at(50), at(99))
}

fn zygote_memory(spawner: u32, interpreter: &Interpreter) -> String {
    for pid in sandbox_processes_below(spawner) {
        let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if command.starts_with(&interpreter.path.display().to_string()) {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            return status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon")).collect();
        }
    }
    "?".to_owned()
}
