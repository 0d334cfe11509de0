//! A sandbox starts, works, freezes, ends, and leaves nothing behind.
#![allow(missing_docs)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use gust_sandbox::{SandboxError, Spawner};
use serde_json::json;

#[tokio::test]
async fn a_custom_binary_runs_and_its_exit_is_reported() {
    let world = World::new().await;
    let mut function = world.script("echo hello from $$; id -u; pwd; exit 7", |_| {}).await;
    let output = function.output_to_end().await;
    assert_eq!(output, "hello from 2\n993\n/var/task\n");
    let exit = function.sandbox.wait().await;
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (Some(7), None, false));
}

#[tokio::test]
async fn a_python_function_is_forked_from_the_zygote() {
    let world = World::new().await;
    let mut function = world.python("def handler(event, context):\n    return {'got': event}\n").await;
    assert_eq!(function.invoke(json!({"a": 1})).await, Ok(json!({"got": {"a": 1}})));
    assert_eq!(function.invoke(json!([2])).await, Ok(json!({"got": [2]})));
}

#[tokio::test]
async fn a_python_function_that_exits_is_reported_with_its_status() {
    let world = World::new().await;
    let mut function = world.python("import sys\ndef handler(event, context):\n    sys.exit(3)\n").await;
    function.send(b"1", json!({})).await;
    assert_eq!(tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.unwrap().code, Some(3));
    let mut function = world.python("import os\ndef handler(event, context):\n    os.kill(os.getpid(), 11)\n").await;
    function.send(b"1", json!({})).await;
    assert_eq!(tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.unwrap().signal, Some(11));
}

#[tokio::test]
async fn a_missing_program_is_an_error_of_create() {
    let world = World::new().await;
    let folder = package(&[("other", "")]);
    let error = world.spawner.create(spec(folder.path(), exec_program())).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SandboxError::NotExecuted(_)), "{text}");
    assert_eq!(text, "fork/exec /var/task/bootstrap: no such file or directory");
    let missing = world.spawner.create(spec(&folder.path().join("absent"), exec_program())).await.unwrap_err();
    assert!(missing.to_string().contains("absent"), "{missing}");
    eventually("cgroups gone", || cgroups_of(&world.data_id).is_empty()).await;
}

#[tokio::test]
async fn kill_removes_processes_and_cgroups_even_when_frozen() {
    let world = World::new().await;
    let code = r#"
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        while True:
            pass
def handler(event, context):
    return 1
"#;
    let function = world.python(code).await;
    let pid = world.spawner.pid();
    assert!(sandbox_processes_below(pid).len() >= 6 && !cgroups_of(&world.data_id).is_empty());
    function.sandbox.freeze().await.unwrap();
    function.sandbox.kill().await.unwrap();
    assert_eq!(cgroups_of(&world.data_id), Vec::<std::path::PathBuf>::new());
    assert_eq!(sandbox_processes_below(pid).len(), 1, "only the zygote is left");
    assert_eq!(function.sandbox.wait().await.signal, Some(9));
    function.sandbox.kill().await.unwrap();
}

#[tokio::test]
async fn a_frozen_function_does_not_run_and_a_thawed_one_does() {
    let world = World::new().await;
    let code = r#"
import threading, time
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        time.sleep(0.001)
threading.Thread(target=tick, daemon=True).start()
def handler(event, context):
    return ticks
"#;
    let mut function = world.python(code).await;
    function.invoke(json!(0)).await.unwrap();
    function.sandbox.freeze().await.unwrap();
    // Stopping takes effect when a thread next leaves the kernel.
    let mut before = 0;
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < deadline, "a frozen function goes on using the processor");
        let now = function.sandbox.stats().await.unwrap().cpu_ns;
        if now == before {
            break;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A question sent to a frozen function waits in its socket.
    function.send(b"0", json!({})).await;
    let early = tokio::time::timeout(Duration::from_millis(100), function.frame()).await;
    assert!(early.is_err(), "answered while frozen");
    assert_eq!(function.sandbox.stats().await.unwrap().cpu_ns, before);
    function.sandbox.thaw().await.unwrap();
    assert_eq!(function.frame().await.unwrap().0, b'O');
}

#[tokio::test]
async fn dropping_a_sandbox_removes_it() {
    let world = World::new().await;
    drop(world.script("sleep 60 & sleep 60", |_| {}).await);
    let pid = world.spawner.pid();
    eventually("everything gone", || cgroups_of(&world.data_id).is_empty() && sandbox_processes_below(pid).is_empty())
        .await;
}

#[tokio::test]
async fn the_end_of_the_main_process_ends_all_others() {
    let world = World::new().await;
    let function = world.script("(setsid sleep 60 &) ; exit 0", |_| {}).await;
    assert_eq!(function.sandbox.wait().await.code, Some(0));
    let pid = world.spawner.pid();
    eventually("everything gone", || sandbox_processes_below(pid).is_empty() && cgroups_of(&world.data_id).is_empty())
        .await;
}

#[tokio::test]
async fn many_sandboxes_at_once() {
    let world = std::sync::Arc::new(World::new().await);
    let mut tasks = Vec::new();
    for number in 0..40 {
        let world = world.clone();
        tasks.push(tokio::spawn(async move {
            let mut function = world.python("def handler(event, context):\n    return event\n").await;
            assert_eq!(function.invoke(json!(number)).await, Ok(json!(number)));
            function
        }));
    }
    let mut functions = Vec::new();
    for task in tasks {
        functions.push(task.await.unwrap());
    }
    assert_eq!(functions.len(), 40);
    for function in &functions {
        function.sandbox.kill().await.unwrap();
    }
    assert!(cgroups_of(&world.data_id).is_empty());
}

#[tokio::test]
async fn shutdown_ends_everything() {
    let world = World::new().await;
    let function = world.script("sleep 60", |_| {}).await;
    world.spawner.shutdown().await.unwrap();
    assert_eq!(function.sandbox.wait().await.signal, Some(9));
    assert!(cgroups_of(&world.data_id).is_empty());
    assert!(!std::path::Path::new(&format!("/proc/{}", world.spawner.pid())).exists());
    let folder = package(&[("bootstrap", "")]);
    let error = world.spawner.create(spec(folder.path(), exec_program())).await.unwrap_err();
    assert!(matches!(error, SandboxError::SpawnerGone), "{error}");
}

/// Not a test by itself: the daemon that [`killing_the_daemon_leaves_nothing`] kills.
#[tokio::test]
async fn act_as_daemon() {
    let Ok(data_id) = std::env::var("GUST_TEST_DAEMON") else { return };
    let state = tempfile::TempDir::new().unwrap();
    let spawner = Spawner::start(config(state.path(), &data_id)).await.unwrap();
    let world = World { spawner, data_id, state };
    let _python = world.python(EVALUATE).await;
    let _script = world.script("sleep 600 & sleep 600", |_| {}).await;
    println!("\nspawner={} state={}", world.spawner.pid(), world.state.path().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn killing_the_daemon_leaves_nothing() {
    use std::io::BufRead;
    assert!(is_root(), "the sandbox tests need root");
    let data_id = unique("daemon");
    let mut daemon = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "act_as_daemon", "--nocapture", "--test-threads=1"])
        .env("GUST_TEST_DAEMON", &data_id)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(daemon.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("spawner=")).unwrap();
    let (pid, state) = line.strip_prefix("spawner=").unwrap().split_once(" state=").unwrap();
    let pid: u32 = pid.parse().unwrap();
    let mut processes = sandbox_processes_below(pid);
    processes.push(pid);
    assert!(processes.len() >= 6, "{processes:?}");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    gone(&processes).await;
    eventually("cgroups gone", || cgroups_of(&data_id).is_empty()).await;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&data_id) && !mounts.contains(state), "{mounts}");
    std::fs::remove_dir_all(state).unwrap();
}

#[tokio::test]
async fn killing_the_spawner_leaves_nothing_after_the_next_start() {
    let world = World::new().await;
    let function = world.python(EVALUATE).await;
    let script = world.script("sleep 600 & sleep 600", |_| {}).await;
    let mut processes = sandbox_processes_below(world.spawner.pid());
    assert!(processes.len() >= 5, "{processes:?}");
    processes.retain(|pid| *pid != world.spawner.pid());
    kill_hard(world.spawner.pid());
    world.spawner.ended().await;
    assert_eq!(function.sandbox.wait().await.signal, Some(9));
    assert_eq!(script.sandbox.wait().await.signal, Some(9));
    gone(&processes).await;
    assert!(!cgroups_of(&world.data_id).is_empty(), "nobody was left to remove the cgroups");
    let next = Spawner::start(config(world.state.path(), &world.data_id)).await.unwrap();
    assert!(cgroups_of(&world.data_id).is_empty());
    next.shutdown().await.unwrap();
}

#[tokio::test]
async fn killing_the_zygote_ends_its_functions_and_the_next_one_gets_a_new_zygote() {
    let world = World::new().await;
    let function = world.python(EVALUATE).await;
    let zygote = sandbox_processes_below(world.spawner.pid())
        .into_iter()
        .find(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default().contains("Uid:\t0\t"))
        .unwrap();
    kill_hard(zygote);
    assert_eq!(tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.unwrap().signal, Some(9));
    let mut next = world.python(EVALUATE).await;
    assert_eq!(next.evaluate("result = 5").await, json!(5));
}

#[tokio::test]
async fn killing_the_cradle_hurts_nobody_who_is_born() {
    let world = World::new().await;
    let mut function = world.python(EVALUATE).await;
    let children = format!("/proc/{0}/task/{0}/children", world.spawner.pid());
    let cradle = std::fs::read_to_string(children).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    kill_hard(cradle);
    // Until the spawner has noticed, a start may still fail.
    let mut next = None;
    for _ in 0..100 {
        let folder = package(&[("bootstrap", "#!/bin/sh\nsleep 60\n")]);
        match world.spawner.create(spec(folder.path(), exec_program())).await {
            Ok(sandbox) => next = Some((sandbox, folder)),
            Err(error) => assert!(matches!(error, SandboxError::Setup { .. }), "{error}"),
        }
        if next.is_some() {
            break;
        }
    }
    assert!(next.is_some());
    assert_eq!(function.evaluate("result = 5").await, json!(5));
}

fn kill_hard(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

async fn gone(processes: &[u32]) {
    // A zombie whose parent is not reaping (a container without an init) has ended, too.
    let alive =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    eventually("processes gone", || !processes.iter().any(alive)).await;
}
