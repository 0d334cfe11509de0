//! External extensions in a sandbox: started first, reported one by one, outlived by nothing.
#![allow(missing_docs)]

mod common;

use std::io::Read;
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use common::*;
use gust_sandbox::{Egress, ExtensionEnd, ExtensionExit, Sandbox};
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

/// A sandbox whose program is a script and whose extensions are scripts in `/opt/extensions`.
struct Extended {
    function: Function,
    _layers: TempDir,
    output: OwnedFd,
    exits: Receiver<ExtensionExit>,
}

async fn extended(world: &World, program: &str, extensions: &[(&str, &str)]) -> Extended {
    let files: Vec<(String, String)> =
        extensions.iter().map(|(name, code)| (format!("extensions/{name}"), format!("#!/bin/sh\n{code}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, code)| (name.as_str(), code.as_str())).collect();
    let layers = package(&files);
    let package = package(&[("bootstrap", &format!("#!/bin/sh\n{program}\n"))]);
    let mut spec = spec(package.path(), exec_program());
    spec.layers_dir = Some(layers.path().to_owned());
    spec.extensions = extensions.iter().map(|(name, _)| format!("/opt/extensions/{name}")).collect();
    spec.env.push(("_HANDLER".to_owned(), "app.handler".to_owned()));
    spec.env.push(("MY".to_owned(), "own".to_owned()));
    let mut sandbox = world.spawner.create(spec).await.unwrap();
    let (output, exits) = (sandbox.extension_output.take().unwrap(), sandbox.extension_exits.take().unwrap());
    Extended { function: Function::new(sandbox, package), _layers: layers, output, exits }
}

impl Extended {
    /// Waits for a line of the extensions' output.
    async fn extension_line(&mut self) -> String {
        let (mut file, mut line) = (std::fs::File::from(self.output.try_clone().unwrap()), Vec::new());
        eventually("a line of an extension", || {
            let mut byte = [0];
            while file.read(&mut byte).is_ok_and(|read| read == 1) {
                if byte == *b"\n" {
                    return true;
                }
                line.push(byte[0]);
            }
            false
        })
        .await;
        String::from_utf8(line).unwrap()
    }

    async fn exit(&mut self) -> ExtensionExit {
        tokio::time::timeout(DEADLINE, self.exits.recv()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn extensions_start_first_and_the_program_waits_for_them() {
    let world = World::new().await;
    let code = "echo ext ${_HANDLER-hidden} $MY $(pwd) $AWS_LAMBDA_RUNTIME_API $(id -u); sleep 100";
    let mut all = extended(&world, "echo program $_HANDLER; sleep 100", &[("one", code)]).await;
    assert_eq!(all.extension_line().await, "ext hidden own / 127.0.0.1:9001 993");
    assert_eq!(all.function.output_now(), "", "the program runs already");
    all.function.sandbox.start_program().await.unwrap();
    eventually("the program", || all.function.output_now().contains("program app.handler")).await;
    all.function.sandbox.kill().await.unwrap();
}

#[tokio::test]
async fn each_end_is_told_and_the_programs_end_leaves_the_extensions_alone() {
    let world = World::new().await;
    let extensions = [
        ("exits", "exit 3"),
        ("lives", "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.05; done"),
        ("killed", "kill -9 $$"),
    ];
    let mut all = extended(&world, "exit 7", &extensions).await;
    let mut ends = [all.exit().await, all.exit().await];
    ends.sort_by_key(|exit| exit.index);
    assert_eq!(ends[0], ExtensionExit { index: 0, end: ExtensionEnd::Exited(3) });
    assert_eq!(ends[1], ExtensionExit { index: 2, end: ExtensionEnd::Signalled(9) });
    all.function.sandbox.start_program().await.unwrap();
    assert_eq!(all.function.sandbox.wait().await.code, Some(7));
    assert_eq!(all.extension_line().await, "up");
    assert!(all.exits.try_recv().is_err(), "the third one ended with the program");
    all.function.sandbox.kill().await.unwrap();
    eventually("cgroups gone", || cgroups_of(&world.data_id).is_empty()).await;
}

#[tokio::test]
async fn one_that_cannot_be_executed_is_told_with_the_systems_reason() {
    let world = World::new().await;
    let mut all = extended(&world, "sleep 100", &[("good", "sleep 100")]).await;
    assert!(all.exits.try_recv().is_err());
    all.function.sandbox.kill().await.unwrap();
    let layers = package(&[("extensions/plain", "#!/bin/sh\n")]);
    let path = layers.path().join("extensions/plain");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let package = package(&[("bootstrap", "#!/bin/sh\nsleep 100\n")]);
    let mut spec = spec(package.path(), exec_program());
    spec.layers_dir = Some(layers.path().to_owned());
    spec.extensions = vec!["/opt/extensions/plain".to_owned(), "/opt/extensions/absent".to_owned()];
    let mut sandbox = world.spawner.create(spec).await.unwrap();
    let mut exits = sandbox.extension_exits.take().unwrap();
    for (index, reason) in [(0, "plain: permission denied"), (1, "absent: no such file or directory")] {
        let exit = tokio::time::timeout(DEADLINE, exits.recv()).await.unwrap().unwrap();
        let cause = format!("fork/exec /opt/extensions/{reason}");
        assert_eq!(exit, ExtensionExit { index, end: ExtensionEnd::NotStarted { cause } });
    }
}

#[tokio::test]
async fn the_program_is_asked_to_end() {
    let world = World::new().await;
    // Executed, with extensions: the process is known by itself.
    let program = "trap 'echo asked; exit 5' TERM; echo up; while :; do sleep 0.05; done";
    let mut all = extended(&world, program, &[("one", "sleep 100")]).await;
    all.function.sandbox.start_program().await.unwrap();
    eventually("the program", || all.function.output_now().contains("up")).await;
    all.function.sandbox.terminate().await.unwrap();
    assert_eq!(all.function.sandbox.wait().await.code, Some(5));
    assert!(all.exits.try_recv().is_err());
    // Forked from a zygote: found by its cgroup.
    let code = r"
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(6))
def handler(event, context):
    return 1
";
    let function = world.python(code).await;
    function.sandbox.terminate().await.unwrap();
    assert_eq!(tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.unwrap().code, Some(6));
}

async fn greeting(sandbox: &Sandbox, port: u16) -> std::io::Result<String> {
    let socket = tokio::net::TcpSocket::from_std_stream(TcpStream::from(sandbox.socket().await.unwrap()));
    let stream = socket.connect(([127, 0, 0, 1], port).into()).await?;
    let mut text = String::new();
    let mut stream = stream;
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn a_listener_inside_is_reached_through_a_socket_of_the_sandbox() {
    let world = World::new().await;
    let code = r"
import socket, threading
listener = socket.create_server(('sandbox.localdomain', 8080))
def serve():
    while True:
        stream, _ = listener.accept()
        stream.sendall(b'hello')
        stream.close()
threading.Thread(target=serve, daemon=True).start()
def handler(event, context):
    return 1
";
    let function = world.python(code).await;
    let text = tokio::time::timeout(DEADLINE, greeting(&function.sandbox, 8080)).await.unwrap().unwrap();
    assert_eq!(text, "hello");
    assert!(greeting(&function.sandbox, 8081).await.is_err(), "nobody listens there");
    // The host's loopback is another one.
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    assert!(greeting(&function.sandbox, port).await.is_err(), "the host's loopback was reached");
    function.sandbox.freeze().await.unwrap();
    assert!(function.sandbox.socket().await.is_ok(), "a frozen sandbox has a supervisor that runs");
}

#[tokio::test]
async fn on_the_hosts_network_a_connection_is_traced_to_its_sandbox() {
    let world = World::new().await;
    let code = r"
import os, socket, time
def handler(event, context):
    host, port = os.environ['AWS_LAMBDA_RUNTIME_API'].split(':')
    global stream
    stream = socket.create_connection((host, int(port)))
    return 1
";
    let mut function = world.python_with(code, |spec| spec.egress = Egress::Host).await;
    let mut other = world.python_with(code, |spec| spec.egress = Egress::Host).await;
    let listener = function.sandbox.runtime_api.take().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let local = listener.local_addr().unwrap();
    assert_eq!(function.invoke(serde_json::json!(1)).await, Ok(serde_json::json!(1)));
    let (_stream, inside) = tokio::time::timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
    let outsider = tokio::net::TcpStream::connect(local).await.unwrap();
    let (_stream2, outside) = listener.accept().await.unwrap();
    let (check, others) = (function.sandbox.peer_check(), other.sandbox.peer_check());
    assert!(check.is_inside(inside, local));
    assert!(!check.is_inside(outside, local), "gust itself is no function");
    assert!(!others.is_inside(inside, local), "another function");
    drop(outsider);
    assert_eq!(other.invoke(serde_json::json!(1)).await, Ok(serde_json::json!(1)));
}

#[tokio::test]
async fn the_boost_of_initialisation_ends() {
    let world = World::new().await;
    // How much CPU time a busy loop of 400 ms got.
    let code = r"
import time
def busy():
    wall, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - wall < 0.4:
        pass
    return time.process_time() - cpu
def handler(event, context):
    return busy()
";
    let mut function = world
        .python_with(code, |spec| {
            spec.memory_mb = 128;
            spec.init_boost = true;
        })
        .await;
    // 128 of 1,769 MB are 7 %: 29 ms of 400 and what one period lets through.
    const LIMITED_S_MAX: f64 = 0.15;
    // What a busy machine leaves may be less than that: then it is asked again.
    let deadline = std::time::Instant::now() + DEADLINE;
    while function.invoke(serde_json::json!(1)).await.unwrap().as_f64().unwrap() <= LIMITED_S_MAX {
        assert!(std::time::Instant::now() < deadline, "it never gets more than its share");
    }
    function.sandbox.end_boost().await.unwrap();
    let limited = function.invoke(serde_json::json!(1)).await.unwrap().as_f64().unwrap();
    assert!(limited < LIMITED_S_MAX, "{limited}");
}
