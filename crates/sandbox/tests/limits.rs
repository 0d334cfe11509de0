//! Resource limits hold, are reported, and hit the function only.
#![allow(missing_docs)]

mod common;

use common::*;
use serde_json::json;

#[tokio::test]
async fn too_much_memory_kills_the_function_and_is_reported() {
    let world = World::new().await;
    let mut function = world.python_with(EVALUATE, |spec| spec.memory_mb = 128).await;
    function.send(b"\"x = bytearray(300 * 1024 * 1024)\"", json!({})).await;
    let exit = tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.unwrap();
    assert_eq!((exit.signal, exit.oom_killed), (Some(9), true));
}

#[tokio::test]
async fn memory_of_all_processes_counts_together() {
    let world = World::new().await;
    let mut function = world.python_with(EVALUATE, |spec| spec.memory_mb = 128).await;
    let code = r#"
import os, time
for _ in range(4):
    if os.fork() == 0:
        x = bytearray(60 * 1024 * 1024)
        time.sleep(60)
time.sleep(60)
"#;
    function.send(json!(code).to_string().as_bytes(), json!({})).await;
    let exit = tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.unwrap();
    assert!(exit.oom_killed, "{exit:?}");
}

#[tokio::test]
async fn memory_below_the_limit_is_granted_and_measured() {
    let world = World::new().await;
    let mut function = world.python_with(EVALUATE, |spec| spec.memory_mb = 128).await;
    function.sandbox.reset_memory_peak().await.unwrap();
    function.evaluate("x = bytearray(100 * 1024 * 1024); result = len(x)").await;
    let stats = function.sandbox.stats().await.unwrap();
    let peak_mb = stats.memory_peak_bytes >> 20;
    assert!((100..128).contains(&peak_mb), "{stats:?}");
    assert!(stats.cpu_ns > 0 && stats.oom_kill_count == 0, "{stats:?}");
    function.sandbox.reset_memory_peak().await.unwrap();
    function.evaluate("result = 1").await;
    let after = function.sandbox.stats().await.unwrap();
    assert!(after.memory_peak_bytes >> 20 < 50, "{after:?}");
}

#[tokio::test]
async fn tmp_is_as_large_as_asked_and_does_not_count_as_memory() {
    let world = World::new().await;
    let mut function = world
        .python_with(EVALUATE, |spec| {
            spec.memory_mb = 128;
            spec.tmp_mb = 256;
        })
        .await;
    let code = r#"
import errno
written = 0
try:
    with open("/tmp/file", "wb", buffering=0) as file:
        while True:
            written += file.write(b"x" * 1048576)
except OSError as error:
    result = [written >> 20, errno.errorcode[error.errno]]
"#;
    assert_eq!(function.evaluate(code).await, json!([256, "ENOSPC"]));
    // Still alive, with memory to spare, and the file is not reported as memory.
    function.evaluate("x = bytearray(90 * 1024 * 1024); result = len(x)").await;
    let stats = function.sandbox.stats().await.unwrap();
    assert!((90..128).contains(&(stats.memory_peak_bytes >> 20)), "{stats:?}");
    // With /tmp full, the memory limit is where it was.
    function.send(b"\"x = bytearray(140 * 1024 * 1024)\"", json!({})).await;
    let exit = tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.unwrap();
    assert!(exit.oom_killed, "{exit:?}");
}

#[tokio::test]
async fn tmp_has_a_bounded_number_of_files() {
    let world = World::new().await;
    let mut function = world.python_with(EVALUATE, |spec| spec.tmp_mb = 16).await;
    let code = r#"
import errno
made = 0
try:
    while True:
        open("/tmp/%d" % made, "w").close()
        made += 1
except OSError as error:
    result = [made < 1100, errno.errorcode[error.errno]]
"#;
    assert_eq!(function.evaluate(code).await, json!([true, "ENOSPC"]));
}

#[tokio::test]
async fn a_fork_bomb_stays_inside() {
    let world = World::new().await;
    let mut function = world.python_with(EVALUATE, |spec| spec.pids_max = 64).await;
    let code = r#"
import os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except OSError as error:
    result = [count, type(error).__name__]
"#;
    assert_eq!(function.evaluate(code).await, json!([63, "BlockingIOError"]));
    function.sandbox.kill().await.unwrap();
    // The zygote is what remains below the spawner.
    let pid = world.spawner.pid();
    eventually("processes gone", || sandbox_processes_below(pid).len() == 1).await;
}

#[tokio::test]
async fn threads_count_as_processes() {
    let world = World::new().await;
    let mut function = world.python_with(EVALUATE, |spec| spec.pids_max = 16).await;
    let code = r#"
import threading, time
count = 0
try:
    while True:
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        count += 1
except RuntimeError:
    result = count
"#;
    assert_eq!(function.evaluate(code).await, json!(15));
}

#[tokio::test]
async fn cpu_is_shared_out_by_memory_size() {
    let world = World::new().await;
    // 442 MB are a quarter of a vCPU; spinning for 300 ms of wall time then takes about 75 ms of CPU time.
    let mut function = world.python_with(EVALUATE, |spec| spec.memory_mb = 442).await;
    let code = r#"
import time
end = time.monotonic() + 1.0
while time.monotonic() < end:
    pass
result = time.process_time()
"#;
    let used = function.evaluate(code).await.as_f64().unwrap();
    assert!(used < 0.45, "{used} s of CPU in 1 s with a quarter of a vCPU");
}

#[tokio::test]
async fn descriptors_and_core_files_are_limited_as_on_lambda() {
    let world = World::new().await;
    let mut function = world.python(EVALUATE).await;
    let code =
        "import resource as r; result = [r.getrlimit(x) for x in (r.RLIMIT_NOFILE, r.RLIMIT_CORE, r.RLIMIT_NPROC)]";
    assert_eq!(function.evaluate(code).await, json!([[1024, 1024], [0, 0], [1024, 1024]]));
}
