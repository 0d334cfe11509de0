//! Measures how long sandboxes take on this machine: `measure [count]`, as root.
//!
//! Cold: from the call of `create` to the first answer of a trivial handler, one after the other. Burst: all at once.
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
    runtime.block_on(measure(count));
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
