//! Fakes for tests: a launcher whose environments are tasks that speak either transport, and ports that
//! remember what they were given.

use crate::endpoint::NoEndpoint;
use crate::engine::{Engine, Ports, Settings};
use crate::launcher::{Control, LaunchError, LaunchOrder, Launched, Launcher};
use crate::sdk::NoSdk;
use async_trait::async_trait;
use bytes::Bytes;
use gust_kit::Platform;
use gust_kit::ports::{
    AsyncEvent, CredentialError, CredentialSource, Credentials, EventSettings, FunctionCatalog, FunctionSpec,
    InvokeRequest, KeyOwner, LogDestination, LogFormat, LogLevel, LogLine, LogSink, LogTail, Logging, RoleSession,
};
use gust_runtime_api::{Channel, HttpRuntime, RuntimeConnection};
use gust_sandbox::Exit;
use gust_store::Store;
use gust_types::{AccountId, AwsError, Region, RequestId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

pub(crate) fn account() -> AccountId {
    AccountId::parse("000000000000").unwrap()
}

pub(crate) fn region() -> Region {
    Region::parse("us-east-1").unwrap()
}

/// A function whose handler is `app.handler`; the fake runtime does what the handler's name says.
pub(crate) fn spec(name: &str) -> FunctionSpec {
    FunctionSpec {
        account: account(),
        region: region(),
        name: name.to_owned(),
        version: "$LATEST".to_owned(),
        arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}"),
        revision_id: "1".to_owned(),
        runtime: "python3.12".to_owned(),
        handler: "app.handler".to_owned(),
        role_arn: "arn:aws:iam::000000000000:role/r".to_owned(),
        memory_mb: 128,
        timeout_ms: 30_000,
        tmp_mb: 512,
        environment: BTreeMap::new(),
        code_dir: "/code".into(),
        layers_dir: None,
        architecture: "x86_64".to_owned(),
        logging: Logging {
            format: LogFormat::Text,
            application_level: LogLevel::Info,
            system_level: LogLevel::Info,
            group: format!("/aws/lambda/{name}"),
        },
        tracing_mode: "PassThrough".to_owned(),
        is_tenant_isolated: false,
        dead_letter_arn: None,
        may_recurse: false,
        development: None,
    }
}

pub(crate) fn destination(name: &str) -> LogDestination {
    let group = format!("/aws/lambda/{name}");
    LogDestination { account: account(), region: region(), group: group.as_str().into(), stream: "s".into() }
}

pub(crate) fn request(spec: &Arc<FunctionSpec>, id: &str) -> InvokeRequest {
    InvokeRequest {
        function: spec.clone(),
        invoked_arn: spec.arn.clone(),
        request_id: RequestId::from_text(id),
        payload: format!("\"{id}\"").into(),
        client_context: None,
        trace_header: None,
        tenant_id: None,
        tail: LogTail::Omitted,
    }
}

pub(crate) fn event(function: &str, id: &str) -> AsyncEvent {
    AsyncEvent {
        request_id: id.to_owned(),
        account: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        function: function.to_owned(),
        qualifier: None,
        invoked_arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{function}"),
        client_context: None,
        trace_header: None,
        tenant_id: None,
        accepted_at_ms: 0,
        payload: Bytes::from_static(b"{}"),
    }
}

/// Remembers every line.
#[derive(Debug, Default)]
pub(crate) struct CollectingSink(Mutex<Vec<LogLine>>);

impl LogSink for CollectingSink {
    fn write(&self, _destination: &LogDestination, lines: Vec<LogLine>) {
        let without_end = |line: LogLine| LogLine {
            message: line.message.strip_suffix('\n').expect("every line has its end").to_owned(),
            ..line
        };
        self.0.lock().unwrap().extend(lines.into_iter().map(without_end));
    }
}

impl CollectingSink {
    pub(crate) fn lines(&self) -> Vec<LogLine> {
        self.0.lock().unwrap().clone()
    }

    /// The first words of each line.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let first = |line: LogLine| line.message.split(' ').next().unwrap_or_default().to_owned();
        self.lines().into_iter().map(first).collect()
    }
}

struct FakeCredentials;

#[async_trait]
impl CredentialSource for FakeCredentials {
    async fn owner(&self, _access_key_id: &str) -> Result<Option<KeyOwner>, CredentialError> {
        Ok(None)
    }

    async fn session(&self, _session: RoleSession) -> Result<Credentials, CredentialError> {
        Ok(Credentials {
            access_key_id: "ASIAFAKE".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: Some("token".to_owned()),
            expires_at_ms: None,
        })
    }
}

/// Finds one function, or none.
pub(crate) struct FakeCatalog(pub(crate) Option<Arc<FunctionSpec>>);

#[async_trait]
impl FunctionCatalog for FakeCatalog {
    async fn resolve(
        &self,
        _account: &AccountId,
        _region: &Region,
        name: &str,
        _qualifier: Option<&str>,
    ) -> Result<Arc<FunctionSpec>, AwsError> {
        let missing = || AwsError::sender("ResourceNotFoundException", 404, format!("Function not found: {name}"));
        self.0.clone().ok_or_else(missing)
    }

    async fn event_settings(
        &self,
        _account: &AccountId,
        _region: &Region,
        _name: &str,
        _qualifier: Option<&str>,
    ) -> Result<Arc<EventSettings>, AwsError> {
        Ok(Arc::default())
    }
}

/// Starts tasks instead of sandboxes. What a task does is its function's handler:
/// `echo`, `print`, `wait` (for a permit of `release`), `hang`, `fail`, `exit` (in mid-request), `big`,
/// `noise` (output without end), `init_fail`, `init_exit`, `init_hang`, `init_once` (only its first
/// initialisation fails), `stream` (three parts, a permit of `release` before each but the first), `stream_fail`,
/// `stream_exit`, `stream_hang` (after one part), `stream_flood` (parts until nobody takes them).
pub(crate) struct FakeLauncher {
    is_http: bool,
    pub(crate) launches: AtomicUsize,
    pub(crate) alive: Arc<AtomicUsize>,
    pub(crate) frozen: Arc<AtomicUsize>,
    pub(crate) release: Arc<Semaphore>,
    /// Requests that reached a handler.
    pub(crate) entered: Arc<Semaphore>,
    /// The tenants that each environment served (on the channel).
    pub(crate) tenants: Arc<Mutex<BTreeMap<usize, BTreeSet<String>>>>,
}

impl FakeLauncher {
    pub(crate) fn new(is_http: bool) -> FakeLauncher {
        FakeLauncher {
            is_http,
            launches: AtomicUsize::new(0),
            alive: Arc::default(),
            frozen: Arc::default(),
            release: Arc::new(Semaphore::new(0)),
            entered: Arc::new(Semaphore::new(0)),
            tenants: Arc::default(),
        }
    }
}

struct FakeControl {
    task: AbortHandle,
    exit: watch::Sender<Option<Exit>>,
    alive: Arc<AtomicUsize>,
    frozen: Arc<AtomicUsize>,
}

impl FakeControl {
    fn end(&self) {
        self.task.abort();
        let killed = Exit { code: None, signal: Some(9), oom_killed: false };
        self.exit.send_modify(|exit| *exit = exit.or(Some(killed)));
    }
}

impl Drop for FakeControl {
    fn drop(&mut self) {
        self.end();
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Control for FakeControl {
    async fn exit(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        exit.wait_for(Option::is_some).await.unwrap().unwrap()
    }

    async fn kill(&self) -> Result<(), String> {
        self.end();
        Ok(())
    }

    async fn freeze(&self) -> Result<(), String> {
        self.frozen.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn thaw(&self) -> Result<(), String> {
        self.frozen.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    async fn start_program(&self) -> Result<(), String> {
        Ok(())
    }

    async fn terminate(&self) -> Result<(), String> {
        self.end();
        Ok(())
    }

    async fn end_boost(&self) -> Result<(), String> {
        Ok(())
    }

    async fn memory_peak_bytes(&self) -> Option<u64> {
        Some(30 << 20)
    }
}

/// The runtime's end of either transport.
enum FakeConnection {
    Channel(UnixStream),
    Http(TcpStream),
}

/// Reads an HTTP message: its head, and a body as long as it says.
async fn read_message(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    (head, body)
}

async fn post(stream: &mut TcpStream, path: &str, body: &[u8]) {
    let head = format!("POST /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    read_message(stream).await;
}

async fn send_frame(stream: &mut UnixStream, kind: u8, body: &[u8]) {
    stream.write_u32_le(u32::try_from(body.len() + 1).unwrap()).await.unwrap();
    stream.write_u8(kind).await.unwrap();
    stream.write_all(body).await.unwrap();
}

impl FakeConnection {
    async fn ready(&mut self) {
        if let FakeConnection::Channel(stream) = self {
            send_frame(stream, b'R', b"").await;
        }
    }

    async fn init_failed(&mut self, body: &[u8]) {
        match self {
            FakeConnection::Channel(stream) => send_frame(stream, b'F', body).await,
            FakeConnection::Http(stream) => post(stream, "init/error", body).await,
        }
    }

    /// The request's id on HTTP, its tenant on the channel; and its payload.
    async fn next(&mut self) -> (String, Vec<u8>) {
        match self {
            FakeConnection::Channel(stream) => {
                let mut frame = vec![0; stream.read_u32_le().await.unwrap() as usize];
                stream.read_exact(&mut frame).await.unwrap();
                let head = u32::from_le_bytes(frame[1..5].try_into().unwrap()) as usize;
                let payload = frame.split_off(5 + head);
                let header: serde_json::Value = serde_json::from_slice(&frame[5..]).unwrap();
                (header["tenant_id"].as_str().unwrap_or_default().to_owned(), payload)
            }
            FakeConnection::Http(stream) => {
                let get = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
                stream.write_all(get).await.unwrap();
                let (head, payload) = read_message(stream).await;
                let id = head.lines().find_map(|line| line.strip_prefix("Lambda-Runtime-Aws-Request-Id: "));
                (id.unwrap().to_owned(), payload)
            }
        }
    }

    async fn answer(&mut self, id: &str, is_ok: bool, body: &[u8]) {
        match self {
            FakeConnection::Channel(stream) => send_frame(stream, if is_ok { b'O' } else { b'E' }, body).await,
            FakeConnection::Http(stream) => {
                let kind = if is_ok { "response" } else { "error" };
                post(stream, &format!("invocation/{id}/{kind}"), body).await;
            }
        }
    }
}

impl FakeConnection {
    async fn stream_begin(&mut self, id: &str) {
        match self {
            FakeConnection::Channel(stream) => send_frame(stream, b'S', b"text/plain").await,
            FakeConnection::Http(stream) => {
                let head = format!(
                    "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\n\
                     Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\
                     Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        }
    }

    async fn stream_chunk(&mut self, bytes: &[u8]) {
        match self {
            FakeConnection::Channel(stream) => send_frame(stream, b'C', bytes).await,
            FakeConnection::Http(stream) => {
                let head = format!("{:x}\r\n", bytes.len());
                stream.write_all(&[head.as_bytes(), bytes, b"\r\n"].concat()).await.unwrap();
            }
        }
    }

    async fn stream_end(&mut self, is_ok: bool) {
        match self {
            FakeConnection::Channel(stream) if is_ok => send_frame(stream, b'D', b"").await,
            FakeConnection::Channel(stream) => send_frame(stream, b'E', br#"{"errorType":"KeyError"}"#).await,
            FakeConnection::Http(stream) => {
                let trailers = "Lambda-Runtime-Function-Error-Type: KeyError\r\n\
                                Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJLZXlFcnJvciJ9\r\n";
                let end = format!("0\r\n{}\r\n", if is_ok { "" } else { trailers });
                stream.write_all(end.as_bytes()).await.unwrap();
                read_message(stream).await;
            }
        }
    }
}

#[async_trait]
impl Launcher for FakeLauncher {
    async fn launch(&self, order: LaunchOrder) -> Result<Launched, LaunchError> {
        if order.spec.handler == "no_bootstrap" {
            return Err(LaunchError::InvalidEntrypoint("Couldn't find valid bootstrap(s)".to_owned()));
        }
        if order.spec.handler == "no_runtime" {
            return Err(LaunchError::RuntimeUnavailable("no such runtime".to_owned()));
        }
        let launch = self.launches.fetch_add(1, Ordering::SeqCst);
        self.alive.fetch_add(1, Ordering::SeqCst);
        let (connection, theirs) = if self.is_http {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let connection = RuntimeConnection::Http(HttpRuntime::serve(listener));
            (connection, FakeConnection::Http(TcpStream::connect(address).await.unwrap()))
        } else {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (RuntimeConnection::Channel(Channel::new(ours)), FakeConnection::Channel(theirs))
        };
        let (stdout, ours) = tokio::io::duplex(64 * 1024);
        let (exit, _) = watch::channel(None);
        let (release, entered) = (self.release.clone(), self.entered.clone());
        let (handler, exited) = (order.spec.handler.clone(), exit.clone());
        let tenants = self.tenants.clone();
        let task = tokio::spawn(async move {
            let code = runtime(&handler, launch, theirs, stdout, release, entered, tenants).await;
            exited.send_modify(|exit| *exit = Some(Exit { code: Some(code), signal: None, oom_killed: false }));
        });
        let control =
            FakeControl { task: task.abort_handle(), exit, alive: self.alive.clone(), frozen: self.frozen.clone() };
        Ok(Launched {
            connection,
            stdout: Some(Box::new(ours)),
            log: None,
            endpoint: None,
            api_listener: None,
            extension_output: None,
            extension_exits: None,
            control: Arc::new(control),
        })
    }

    fn runtime_version(&self, _spec: &FunctionSpec) -> String {
        "python:3.12.v1".to_owned()
    }

    fn warning(&self, _spec: &FunctionSpec) -> Option<String> {
        None
    }
}

/// The fake runtime; returns its exit code.
async fn runtime(
    handler: &str,
    launch: usize,
    mut connection: FakeConnection,
    mut stdout: DuplexStream,
    release: Arc<Semaphore>,
    entered: Arc<Semaphore>,
    tenants: Arc<Mutex<BTreeMap<usize, BTreeSet<String>>>>,
) -> i32 {
    match handler {
        "init_fail" => {
            let body = br#"{"errorMessage":"no module","errorType":"Runtime.ImportModuleError","requestId":"","stackTrace":[]}"#;
            stdout.write_all(b"importing\n").await.unwrap();
            connection.init_failed(body).await;
            return 1;
        }
        "init_exit" => return 3,
        "init_once" if launch == 0 => return 3,
        "init_hang" => std::future::pending().await,
        _ => connection.ready().await,
    }
    loop {
        let (id, payload) = connection.next().await;
        entered.add_permits(1);
        tenants.lock().unwrap().entry(launch).or_default().insert(id.clone());
        match handler {
            "print" => stdout.write_all(b"hello\nworld\n").await.unwrap(),
            "wait" => release.acquire().await.unwrap().forget(),
            "hang" => std::future::pending().await,
            "exit" => return 1,
            "noise" => loop {
                stdout.write_all(&[b'x'; 4096]).await.unwrap();
            },
            _ => {}
        }
        match handler {
            name if name.starts_with("stream") => {
                connection.stream_begin(&id).await;
                connection.stream_chunk(b"one").await;
                match name {
                    "stream_exit" => return 1,
                    "stream_hang" => std::future::pending().await,
                    "stream_flood" => loop {
                        connection.stream_chunk(&[b'x'; 1 << 16]).await;
                        entered.add_permits(1);
                    },
                    "stream_fail" => connection.stream_end(false).await,
                    _ => {
                        for part in ["two", "three"] {
                            release.acquire().await.unwrap().forget();
                            connection.stream_chunk(part.as_bytes()).await;
                        }
                        connection.stream_end(true).await;
                    }
                }
            }
            "fail" => connection.answer(&id, false, br#"{"errorType":"KeyError"}"#).await,
            "big" => connection.answer(&id, true, &vec![b'x'; 7_000_000]).await,
            _ => connection.answer(&id, true, &payload).await,
        }
    }
}

/// An engine over fakes, and what a test looks at.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) launcher: Arc<FakeLauncher>,
    pub(crate) sink: Arc<CollectingSink>,
    pub(crate) store: Store,
}

impl Bench {
    pub(crate) fn new(is_http: bool, settings: Settings) -> Bench {
        Bench::over(Store::memory(), is_http, settings)
    }

    pub(crate) fn over(store: Store, is_http: bool, settings: Settings) -> Bench {
        let (launcher, sink) = (Arc::new(FakeLauncher::new(is_http)), Arc::new(CollectingSink::default()));
        let ports = Ports {
            logs: sink.clone(),
            credentials: Arc::new(FakeCredentials),
            endpoint: Arc::new(NoEndpoint),
            sdk: Arc::new(NoSdk),
        };
        let engine = Engine::new(settings, Platform::system(store.clone()), launcher.clone(), ports);
        Bench { engine, launcher, sink, store }
    }

    /// Waits until `test` holds.
    pub(crate) async fn until(&self, what: &str, test: impl Fn(&Bench) -> bool) {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while !test(self) {
            assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}
