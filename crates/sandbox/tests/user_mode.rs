//! Without root: weaker, but it works. Runs the spawner as `nobody`.
#![allow(missing_docs)]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::*;
use gust_sandbox::{Mode, Spawner};
use serde_json::json;

const NOBODY: u32 = 65_534;

/// Not a test by itself: what [`an_ordinary_user_can_run_functions`] runs as nobody.
#[tokio::test]
async fn act_as_ordinary_user() {
    let Ok(state) = std::env::var("GUST_TEST_USER_STATE") else { return };
    let spawner = Spawner::start(config(std::path::Path::new(&state), &unique("user"))).await.unwrap();
    assert!(matches!(spawner.capabilities().mode, Mode::User | Mode::UserDelegatedV2));
    let world = World { spawner, data_id: String::new(), state: tempfile::TempDir::new_in(&state).unwrap() };
    let mut script = world.script("id -u; ls /; echo $$", |_| {}).await;
    let output = script.output_to_end().await;
    assert_eq!(script.sandbox.wait().await.code, Some(0), "{output}");
    assert!(output.starts_with("993\n") && output.ends_with("\n2\n"), "{output}");
    assert!(!output.contains("home") && !output.contains("root"), "{output}");
    let in_usr = pythons().into_iter().find(|found| found.prefix.starts_with("/usr"));
    if let Some(interpreter) = in_usr {
        let change = |spec: &mut gust_sandbox::SandboxSpec| {
            spec.program = gust_sandbox::Program::Python {
                interpreter: interpreter.clone(),
                transport: gust_sandbox::RuntimeTransport::Channel,
            };
        };
        let mut function = world.python_with(EVALUATE, change).await;
        let code = "import os, socket; result = [os.getuid(), [n for _, n in socket.if_nameindex()], len(os.listdir('/proc'))  > 0]";
        assert_eq!(function.evaluate(code).await, json!([993, ["lo"], true]));
        function.sandbox.freeze().await.unwrap();
        // Without a freezer the supervisor stops the processes, a moment after it was told.
        let spawner = world.spawner.pid();
        eventually("the function is stopped", || sandbox_processes_below(spawner).into_iter().any(is_stopped)).await;
        function.send(b"\"result = 1\"", json!({})).await;
        let early = tokio::time::timeout(std::time::Duration::from_millis(100), function.frame()).await;
        assert!(early.is_err(), "answered while stopped");
        function.sandbox.thaw().await.unwrap();
        assert_eq!(function.frame().await.unwrap().0, b'O');
        function.send(b"\"x = bytearray(400 * 1024 * 1024); import time; time.sleep(60)\"", json!({})).await;
        let exit = tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.unwrap();
        assert!(exit.oom_killed, "{exit:?}");
    }
    let pid = world.spawner.pid();
    world.spawner.shutdown().await.unwrap();
    assert!(sandbox_processes_below(pid).is_empty());
    println!("ordinary user done");
}

#[tokio::test]
async fn an_ordinary_user_can_run_functions() {
    use std::os::unix::process::CommandExt;
    assert!(is_root(), "the sandbox tests need root, also to become somebody else");
    let state = tempfile::TempDir::new().unwrap();
    // The test binaries may be in a folder that nobody can enter.
    let place = |from: &std::path::Path, name: &str| {
        let to = state.path().join(name);
        std::fs::copy(from, &to).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755)).unwrap();
        to
    };
    let test = place(&std::env::current_exe().unwrap(), "test");
    let spawner = place(std::path::Path::new(env!("CARGO_BIN_EXE_sandbox-spawner")), "spawner");
    let home = state.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = std::process::Command::new(test)
        .args(["--exact", "act_as_ordinary_user", "--nocapture", "--test-threads=1"])
        .env("GUST_TEST_USER_STATE", &home)
        .env("GUST_TEST_SPAWNER", spawner)
        .env("TMPDIR", &home)
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("ordinary user done"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
