//! What the tests share: a spawner of their own, functions in sandboxes, and waiting with a deadline.
#![allow(dead_code, missing_docs)]

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gust_sandbox::{
    Choice, Egress, Interpreter, Language, Program, RuntimeTransport, Sandbox, SandboxSpec, Spawner, SpawnerConfig,
    choose, discover_interpreters,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub const DEADLINE: Duration = Duration::from_secs(20);

fn interpreters() -> &'static [Interpreter] {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FOUND.get_or_init(discover_interpreters)
}

pub fn pythons() -> Vec<&'static Interpreter> {
    interpreters().iter().filter(|found| found.language == Language::Python).collect()
}

pub fn nodes() -> Vec<&'static Interpreter> {
    let found: Vec<_> = interpreters().iter().filter(|found| found.language == Language::Node).collect();
    assert!(!found.is_empty(), "these tests need a Node.js 18 or newer on this machine");
    found
}

pub fn any_python() -> Interpreter {
    match choose(interpreters(), "python3.12", false) {
        Choice::Exact(interpreter) | Choice::Nearest(interpreter) => interpreter,
        Choice::Missing => panic!("these tests need a Python 3.9 or newer on this machine"),
    }
}

/// A spawner with its folder.
pub struct World {
    pub spawner: Spawner,
    pub data_id: String,
    pub state: TempDir,
}

pub fn config(state_dir: &Path, data_id: &str) -> SpawnerConfig {
    SpawnerConfig {
        // Not there for the example, which is its own spawner.
        executable: std::env::var_os("GUST_TEST_SPAWNER")
            .map(Into::into)
            .or(option_env!("CARGO_BIN_EXE_sandbox-spawner").map(Into::into)),
        ..SpawnerConfig::new(state_dir.join("sandbox"), data_id)
    }
}

pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl World {
    pub async fn new() -> World {
        assert!(is_root(), "the sandbox tests need root: run them with sudo, or in a container as root");
        let state = TempDir::new().unwrap();
        let data_id = unique("test");
        let spawner = Spawner::start(config(state.path(), &data_id)).await.unwrap();
        World { spawner, data_id, state }
    }

    /// Starts a Python function and waits until its handler is loaded.
    pub async fn python(&self, code: &str) -> Function {
        self.python_with(code, |_| {}).await
    }

    pub async fn python_with(&self, code: &str, change: impl FnOnce(&mut SandboxSpec)) -> Function {
        let mut function = self.start_python(&[("lambda_function.py", code)], change).await;
        match function.frame().await {
            Some((b'R', _)) => function,
            other => panic!("not ready: {other:?}, output {:?}", function.output_now()),
        }
    }

    pub async fn start_python(&self, files: &[(&str, &str)], change: impl FnOnce(&mut SandboxSpec)) -> Function {
        let package = package(files);
        let mut spec = spec(package.path(), python_program());
        spec.env.push(("_HANDLER".to_owned(), "lambda_function.handler".to_owned()));
        change(&mut spec);
        Function::new(self.spawner.create(spec).await.unwrap(), package)
    }

    /// Runs a shell script as a custom runtime; it is executed from the package.
    pub async fn script(&self, script: &str, change: impl FnOnce(&mut SandboxSpec)) -> Function {
        let package = package(&[("bootstrap", &format!("#!/bin/sh\n{script}\n"))]);
        let mut spec = spec(package.path(), exec_program());
        change(&mut spec);
        Function::new(self.spawner.create(spec).await.unwrap(), package)
    }
}

pub fn python_program() -> Program {
    Program::Python { interpreter: any_python(), transport: RuntimeTransport::Channel }
}

pub fn exec_program() -> Program {
    Program::Exec { path: "/var/task/bootstrap".to_owned(), args: Vec::new() }
}

pub fn spec(code_dir: &Path, program: Program) -> SandboxSpec {
    SandboxSpec {
        id: unique("sandbox"),
        program,
        code_dir: code_dir.to_owned(),
        layers_dir: None,
        sdk_dir: None,
        preload_sdk: false,
        env: vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())],
        memory_mb: 256,
        tmp_mb: 64,
        pids_max: 1024,
        egress: Egress::None,
        hostname: "gust-test".to_owned(),
        init_boost: false,
        extensions: Vec::new(),
    }
}

/// A package folder with these files, readable (and executable) by everybody.
pub fn package(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A function in its sandbox, with the daemon's side of all its connections.
pub struct Function {
    pub sandbox: Sandbox,
    pub package: TempDir,
    channel: Option<UnixStream>,
    output: std::fs::File,
    log: Option<std::fs::File>,
    text: Vec<u8>,
    events: Vec<u8>,
    pending: VecDeque<(u8, Vec<u8>)>,
}

impl Function {
    pub fn new(mut sandbox: Sandbox, package: TempDir) -> Function {
        let channel = sandbox.channel.take().map(|channel| UnixStream::from_std(channel).unwrap());
        let output = sandbox.output.take().unwrap().into();
        let log = sandbox.log.take().map(Into::into);
        Function {
            sandbox,
            package,
            channel,
            output,
            log,
            text: Vec::new(),
            events: Vec::new(),
            pending: VecDeque::new(),
        }
    }

    /// The next frame on the channel; `None` at its end.
    pub async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let channel = self.channel.as_mut().unwrap();
        let read = async {
            let mut length = [0_u8; 4];
            channel.read_exact(&mut length).await.ok()?;
            let mut frame = vec![0; u32::from_le_bytes(length) as usize];
            channel.read_exact(&mut frame).await.ok()?;
            Some((frame[0], frame.split_off(1)))
        };
        tokio::time::timeout(DEADLINE, read).await.expect("a frame within the deadline")
    }

    /// Sends any other frame.
    pub async fn send_frame(&mut self, kind: u8, body: &[u8]) {
        let mut frame = ((1 + body.len()) as u32).to_le_bytes().to_vec();
        frame.push(kind);
        frame.extend(body);
        self.channel.as_mut().unwrap().write_all(&frame).await.unwrap();
    }

    pub async fn send(&mut self, payload: &[u8], header: Value) {
        let mut full = json!({
            "request_id": "req-1",
            "deadline_ms": 0,
            "invoked_function_arn": "arn:aws:lambda:us-east-1:000000000000:function:test",
            "trace_id": null, "client_context": null, "cognito_identity": null, "tenant_id": null,
        });
        for (key, value) in header.as_object().unwrap() {
            full[key] = value.clone();
        }
        let header = full.to_string().into_bytes();
        let mut frame = ((1 + 4 + header.len() + payload.len()) as u32).to_le_bytes().to_vec();
        frame.push(b'I');
        frame.extend((header.len() as u32).to_le_bytes());
        frame.extend(header);
        frame.extend(payload);
        self.channel.as_mut().unwrap().write_all(&frame).await.unwrap();
    }

    /// Invokes; `Ok` with the result, `Err` with the error payload.
    pub async fn invoke(&mut self, event: Value) -> Result<Value, Value> {
        self.invoke_with(event, json!({})).await
    }

    pub async fn invoke_with(&mut self, event: Value, header: Value) -> Result<Value, Value> {
        self.send(event.to_string().as_bytes(), header).await;
        let frame = self.frame().await;
        match frame {
            Some((b'O', body)) => Ok(serde_json::from_slice(&body).unwrap()),
            Some((b'E', body)) => Err(serde_json::from_slice(&body).unwrap()),
            other => panic!("unexpected {other:?}; exit {:?}; output {}", self.sandbox.try_wait(), self.output_now()),
        }
    }

    /// Evaluates Python source in a function started with [`EVALUATE`].
    pub async fn evaluate(&mut self, code: &str) -> Value {
        self.invoke(json!(code)).await.unwrap_or_else(|error| panic!("{code}: {error}"))
    }

    /// What was written to stdout and stderr so far.
    pub fn output_now(&mut self) -> String {
        read_available(&mut self.output, &mut self.text);
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// All output, after the sandbox has ended.
    pub async fn output_to_end(&mut self) -> String {
        tokio::time::timeout(DEADLINE, self.sandbox.wait()).await.expect("an end within the deadline");
        self.output_now()
    }

    /// The log events so far: level and text.
    pub fn log_now(&mut self) -> Vec<(u8, String)> {
        read_available(self.log.as_mut().unwrap(), &mut self.events);
        let mut rest = &self.events[..];
        let mut events = Vec::new();
        while rest.len() >= 4 {
            let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
            let text = String::from_utf8(rest[13..4 + length].to_vec()).unwrap();
            events.push((rest[4], text));
            rest = &rest[4 + length..];
        }
        events
    }
}

fn read_available(file: &mut std::fs::File, into: &mut Vec<u8>) {
    let mut buffer = [0_u8; 65536];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => into.extend(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A handler that evaluates the Python source it is sent: statements, then the value of `result`.
pub const EVALUATE: &str = r#"
def handler(event, context):
    scope = {"context": context}
    exec(event, scope)
    return scope.get("result")
"#;

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Waits until the condition holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Every cgroup folder on this machine whose parent belongs to this data id.
pub fn cgroups_of(data_id: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let parent = root.path().join(format!("gust-{data_id}"));
        found.extend(std::fs::read_dir(&parent).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    found.retain(|path| path.is_dir());
    found
}

/// Host process ids whose real uid is in the sandboxes' range.
pub fn sandbox_processes_below(spawner: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if is_descendant(pid, spawner) && !is_cradle(pid) {
            found.push(pid);
        }
    }
    found
}

/// The process that forks sandboxes stays as long as the spawner.
fn is_cradle(pid: u32) -> bool {
    name_of(pid) == "gust-cradle"
}

/// How `ps` shows a process.
pub fn name_of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn is_descendant(mut pid: u32, ancestor: u32) -> bool {
    for _ in 0..16 {
        let Some(parent) = parent_of(pid) else { return false };
        if parent == ancestor {
            return true;
        }
        pid = parent;
    }
    false
}

fn parent_of(pid: u32) -> Option<u32> {
    stat_field(pid, 1)?.parse().ok()
}

/// Whether a signal has stopped it.
pub fn is_stopped(pid: u32) -> bool {
    stat_field(pid, 0).is_some_and(|state| state == "T")
}

/// A field of `/proc/PID/stat`, counted behind the name.
fn stat_field(pid: u32, index: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().nth(index)?.to_owned())
}
