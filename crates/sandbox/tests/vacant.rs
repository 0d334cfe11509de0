//! Sandboxes made before their function is known are like those made for it.
#![allow(missing_docs)]

mod common;

use common::*;
use gust_sandbox::{Folders, SandboxError, SandboxSpec, Sizes, StubOrder};
use serde_json::{Value, json};
use tempfile::TempDir;

const SIZES: Sizes = Sizes { memory_mb: 128, tmp_mb: 16 };

fn folders(package: &TempDir) -> Folders {
    Folders { code_dir: package.path().to_owned(), layers_dir: None, sdk_dir: None }
}

async fn vacant(world: &World, spec: SandboxSpec, package: TempDir) -> Function {
    let sandbox = world.spawner.create_vacant(SandboxSpec { env: Vec::new(), ..spec }).await.unwrap();
    let mut function = Function::new(sandbox, package);
    assert_eq!(function.frame().await.map(|(kind, _)| kind), Some(b'W'), "{}", function.output_now());
    function
}

async fn python(world: &World, code: &str) -> Function {
    let package = package(&[("lambda_function.py", code)]);
    let mut function = vacant(world, spec(package.path(), python_program()), package).await;
    function.sandbox.attach(folders(&function.package), SIZES).await.unwrap();
    let environment = json!({"_HANDLER": "lambda_function.handler", "MINE": "ü"});
    function.send_frame(b'H', environment.to_string().as_bytes()).await;
    assert_eq!(function.frame().await.map(|(kind, _)| kind), Some(b'R'), "{}", function.output_now());
    function
}

#[tokio::test]
async fn a_python_function_finds_what_it_would_find_in_a_sandbox_of_its_own() {
    let world = World::new().await;
    let mut ahead = python(&world, EVALUATE).await;
    let mut own = world
        .python_with(EVALUATE, |spec| {
            spec.env = vec![("_HANDLER".to_owned(), "lambda_function.handler".to_owned())];
            spec.env.push(("MINE".to_owned(), "ü".to_owned()));
            (spec.memory_mb, spec.tmp_mb) = (SIZES.memory_mb, SIZES.tmp_mb);
        })
        .await;
    let code = r#"
import os, resource, sys
status = [line for line in open("/proc/self/status") if line.split(":")[0] in
          ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn")]
limits = [resource.getrlimit(kind) for kind in range(16)]
tmp = os.statvfs("/tmp")
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
result = [dict(os.environ), os.getcwd(), os.listdir("."), sys.path, sorted(sys.modules), sys.argv, status, limits[6:9],
          tmp.f_blocks * tmp.f_bsize, tmp.f_files, fds[:5], os.umask(0o22), os.uname().nodename,
          sorted(os.listdir("/proc/self/task"))[1:], os.getsid(0) == os.getpid(), sys.stdout.encoding]
"#;
    let (seen, expected) = (ahead.evaluate(code).await, own.evaluate(code).await);
    assert_eq!(seen, expected);
    assert_eq!(seen[0]["MINE"], "ü");
    assert_eq!(seen[8], json!(16 << 20));
}

#[tokio::test]
async fn its_limits_hold_from_then_on() {
    let world = World::new().await;
    let mut function = python(&world, EVALUATE).await;
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
    assert_eq!(function.evaluate(code).await, json!([16, "ENOSPC"]));
    function.evaluate("x = bytearray(90 * 1024 * 1024); result = len(x)").await;
    function.send(b"\"x = bytearray(140 * 1024 * 1024)\"", json!({})).await;
    let exit = tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.unwrap();
    assert!(exit.oom_killed, "{exit:?}");
}

async fn stub(world: &World, package: TempDir, order: &StubOrder) -> Function {
    let mut function = vacant(world, spec(package.path(), exec_program()), package).await;
    function.sandbox.attach(folders(&function.package), SIZES).await.unwrap();
    function.send_frame(b'H', serde_json::to_string(order).unwrap().as_bytes()).await;
    function
}

fn order(environment: &[(&str, &str)]) -> StubOrder {
    StubOrder {
        path: "/var/task/bootstrap".to_owned(),
        args: vec!["one".to_owned(), "two words".to_owned()],
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

#[tokio::test]
async fn a_custom_runtime_is_executed_as_in_a_sandbox_of_its_own() {
    let world = World::new().await;
    let script = "echo \"$0 $@\"; pwd; env | sort; ls /proc/self/fd; ulimit -u; id; \
                  grep -E 'Cap|NoNew|Seccomp|Sig' /proc/self/status; df -k /tmp | tail -1; exit 3";
    let mut outputs = Vec::new();
    let mut own = world
        .script(script, |spec| {
            let gust_sandbox::Program::Exec { args, .. } = &mut spec.program else { panic!() };
            args.extend(order(&[]).args);
            spec.env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("A".to_owned(), "1=2".to_owned())];
            (spec.memory_mb, spec.tmp_mb) = (SIZES.memory_mb, SIZES.tmp_mb);
        })
        .await;
    let package = package(&[("bootstrap", &format!("#!/bin/sh\n{script}\n"))]);
    let mut ahead = stub(&world, package, &order(&[("PATH", "/usr/bin:/bin"), ("A", "1=2")])).await;
    for function in [&mut own, &mut ahead] {
        outputs.push(function.output_to_end().await);
        assert_eq!(function.sandbox.wait().await.code, Some(3));
    }
    assert!(outputs[0].contains("/var/task/bootstrap one two words\n/var/task\n"), "{}", outputs[0]);
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(ahead.frame().await, None, "the channel ends when it is executed");
}

#[tokio::test]
async fn what_cannot_be_executed_is_told_with_the_reason() {
    let world = World::new().await;
    let mut function = stub(&world, package(&[("other", "")]), &order(&[])).await;
    let (kind, reason) = function.frame().await.unwrap();
    let reason = String::from_utf8(reason).unwrap();
    assert!(kind == b'F' && reason.contains("No such file"), "{reason}");
    assert_eq!(function.sandbox.wait().await.code, Some(126));
}

#[tokio::test]
async fn sizes_that_cannot_be_are_refused() {
    let world = World::new().await;
    let package = package(&[("bootstrap", "")]);
    let function = vacant(&world, spec(package.path(), exec_program()), package).await;
    for sizes in [Sizes { memory_mb: 0, ..SIZES }, Sizes { tmp_mb: 0, ..SIZES }] {
        let error = function.sandbox.attach(folders(&function.package), sizes).await.unwrap_err();
        assert!(matches!(error, SandboxError::InvalidSpec(_)), "{error}");
    }
    function.sandbox.attach(folders(&function.package), SIZES).await.unwrap();
    assert!(function.sandbox.attach(folders(&function.package), SIZES).await.is_err(), "only one function");
}

/// The spawner enters a sandbox's mounts to attach something, and comes back.
#[tokio::test]
async fn afterwards_the_spawner_is_where_it_was() {
    let world = World::new().await;
    let of = |path: &str| std::fs::read_link(format!("/proc/{}/{path}", world.spawner.pid())).unwrap();
    let places = || ["ns/mnt", "root", "cwd"].map(of);
    let before = places();
    let missing = Folders { code_dir: "/does/not/exist".into(), layers_dir: None, sdk_dir: None };
    let package = package(&[("bootstrap", "")]);
    let function = vacant(&world, spec(package.path(), exec_program()), package).await;
    assert!(function.sandbox.attach(missing, SIZES).await.is_err());
    python(&world, EVALUATE).await;
    assert_eq!(places(), before);
    let value: Value = world.python(EVALUATE).await.evaluate("result = 1").await;
    assert_eq!(value, json!(1));
}
