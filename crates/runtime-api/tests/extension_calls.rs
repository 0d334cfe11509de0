//! The Extensions, Telemetry and Logs APIs over a real socket, as an extension sees them.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gust_runtime_api::{
    Answer, ApiListener, Category, Connector, EnvironmentApi, Extensions, FunctionFacts, HttpRuntime, Invocation,
    PeerGuard, Ready, Record, RuntimeConnection, ShutdownReason, TelemetryEvent,
};
use gust_types::SeededIds;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);

/// Nothing stands between: the "inside" is this host's loopback.
struct Direct;

impl Connector for Direct {
    fn connect(&self, port: u16) -> BoxFuture<'_, std::io::Result<TcpStream>> {
        TcpStream::connect(("127.0.0.1", port)).boxed()
    }
}

fn api(external: &[&str]) -> Arc<EnvironmentApi> {
    let facts = FunctionFacts {
        name: "f".to_owned(),
        version: "7".to_owned(),
        handler: "app.handler".to_owned(),
        account_id: "000000000000".to_owned(),
    };
    let external: Vec<String> = external.iter().map(|name| (*name).to_owned()).collect();
    let api = EnvironmentApi::new(Extensions::new(facts, Arc::new(SeededIds::new(1)), &external));
    api.telemetry.set_connector(Arc::new(Direct));
    api
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn error_type(&self) -> &str {
        self.body["errorType"].as_str().unwrap_or("none")
    }
}

/// Reads a message: its first line, headers, and a body as long as they say.
async fn read_message(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<(String, String)>, Vec<u8>)> {
    let mut first = String::new();
    if stream.read_line(&mut first).await.ok()? == 0 {
        return None;
    }
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end_matches("\r\n").split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((first.trim_end().to_owned(), headers, body))
}

async fn call(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let (first, headers, body) = timeout(LIMIT, read_message(&mut stream)).await.unwrap().unwrap();
    let status = first.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

async fn register(address: SocketAddr, name: &str, events: &[&str]) -> Reply {
    let body = json!({"events": events}).to_string();
    let path = "/2020-01-01/extension/register";
    call(address, "POST", path, &[("Lambda-Extension-Name", name)], &body).await
}

async fn next(address: SocketAddr, id: &str) -> Reply {
    call(address, "GET", "/2020-01-01/extension/event/next", &[("Lambda-Extension-Identifier", id)], "").await
}

/// Asks for the next event in the background, and waits until gust has seen that.
async fn ask(address: SocketAddr, id: &str, api: &EnvironmentApi) -> tokio::task::JoinHandle<Reply> {
    let id = id.to_owned();
    let asked = tokio::spawn(async move { next(address, &id).await });
    timeout(LIMIT, async {
        api.extensions.ready().await;
        api.extensions.settled().await;
    })
    .await
    .unwrap();
    asked
}

#[tokio::test]
async fn an_extension_lives_through_all_phases_beside_an_http_runtime() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, api) = (listener.local_addr().unwrap(), api(&["outer"]));
    let mut runtime = RuntimeConnection::Http(HttpRuntime::serve_with(listener, Some(api.clone())));
    let headers = [("Lambda-Extension-Name", "outer"), ("Lambda-Extension-Accept-Feature", "x, accountId")];
    let body = r#"{"events":["INVOKE","SHUTDOWN"]}"#;
    let reply = call(address, "POST", "/2020-01-01/extension/register", &headers, body).await;
    let expected = json!({"functionName": "f", "functionVersion": "7", "handler": "app.handler",
        "accountId": "000000000000"});
    assert_eq!((reply.status, &reply.body), (200, &expected));
    let id = reply.header("Lambda-Extension-Identifier").unwrap().to_owned();
    timeout(LIMIT, api.extensions.registered()).await.unwrap();
    // The runtime starts, and asks.
    let next_path = "/2018-06-01/runtime/invocation/next";
    let event = tokio::spawn(async move { call(address, "GET", next_path, &[], "").await });
    assert_eq!(runtime.ready().await, Ready::Ready);
    api.extensions.close_registration();
    let asked = ask(address, &id, &api).await;
    let invocation = Invocation { request_id: "r1".to_owned(), payload: "[1]".into(), ..Invocation::default() };
    runtime.begin(invocation);
    api.extensions.begin_invoke("r1", 77, "arn:f", Some("Root=1-2-3"));
    let told = asked.await.unwrap();
    assert_eq!(told.body["eventType"], "INVOKE");
    assert_eq!(told.body["tracing"], json!({"type": "X-Amzn-Trace-Id", "value": "Root=1-2-3"}));
    assert_eq!(told.header("Lambda-Extension-Event-Identifier").unwrap().len(), 36);
    let event = event.await.unwrap();
    assert_eq!((event.status, event.body), (200, json!([1])));
    let answered = call(address, "POST", "/2018-06-01/runtime/invocation/r1/response", &[], "\"done\"").await;
    assert_eq!(answered.status, 202);
    assert!(matches!(runtime.answer().await, Answer::Response(payload) if payload == "\"done\""));
    assert!(api.extensions.settled().now_or_never().is_none(), "the extension is still busy");
    let asked = ask(address, &id, &api).await;
    assert_eq!(api.extensions.begin_shutdown(ShutdownReason::Spindown, 99), 1);
    let expected = json!({"eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": 99});
    assert_eq!(asked.await.unwrap().body, expected);
}

#[tokio::test]
async fn internal_extensions_work_beside_a_runtime_on_the_private_channel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, api) = (listener.local_addr().unwrap(), api(&[]));
    let _served = ApiListener::serve(listener, api.clone());
    assert!(api.extensions.is_empty());
    let reply = register(address, "inner", &["INVOKE"]).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.get("accountId").is_none());
    assert!(!api.extensions.is_empty() && !api.extensions.has_external());
    let refused = register(address, "inner2", &["INVOKE", "SHUTDOWN"]).await;
    assert_eq!((refused.status, refused.error_type()), (403, "Extension.InvalidEventType"));
    assert_eq!(refused.body["errorMessage"], "SHUTDOWN: ErrorInvalidEventType");
    let refused = call(address, "GET", "/2018-06-01/runtime/invocation/next", &[], "").await;
    assert_eq!((refused.status, refused.error_type()), (403, "InvalidStateTransition"));
}

/// Method, path, headers, body; the status and the error's type that they get.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);

#[tokio::test]
async fn bad_calls_are_refused_with_lambdas_error_types() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, api) = (listener.local_addr().unwrap(), api(&["outer"]));
    let _served = ApiListener::serve(listener, api.clone());
    let id = register(address, "outer", &[]).await.header("Lambda-Extension-Identifier").unwrap().to_owned();
    let id = ("Lambda-Extension-Identifier", id.as_str());
    let stranger = ("Lambda-Extension-Identifier", "00000000-0000-4000-8000-000000000000");
    let name = ("Lambda-Extension-Name", "outer");
    let (register, next) = ("/2020-01-01/extension/register", "/2020-01-01/extension/event/next");
    let (init, exit) = ("/2020-01-01/extension/init/error", "/2020-01-01/extension/exit/error");
    let telemetry = "/2022-07-01/telemetry";
    let cases: [Case<'_>; 16] = [
        ("POST", register, &[], "{}", 403, "Extension.InvalidExtensionName"),
        ("POST", register, &[("Lambda-Extension-Name", "")], "{}", 403, "Extension.InvalidExtensionName"),
        ("POST", register, &[name], "no json", 403, "InvalidRequestFormat"),
        ("POST", register, &[name], r#"{"configurationKeys":["a"]}"#, 403, "InvalidRequestFormat"),
        ("POST", register, &[name], r#"{"events":["OTHER"]}"#, 403, "Extension.InvalidEventType"),
        ("POST", register, &[name], "{}", 403, "Extension.InvalidExtensionState"),
        ("GET", next, &[], "", 403, "Extension.MissingExtensionIdentifier"),
        ("GET", next, &[("Lambda-Extension-Identifier", "x")], "", 403, "Extension.InvalidExtensionIdentifier"),
        ("GET", next, &[stranger], "", 403, "Extension.UnknownExtensionIdentifier"),
        ("POST", next, &[id], "", 405, "InvalidRequest"),
        ("POST", init, &[id], "", 403, "Extension.MissingHeader"),
        (
            "POST",
            exit,
            &[stranger, ("Lambda-Extension-Function-Error-Type", "E")],
            "",
            403,
            "Extension.UnknownExtensionIdentifier",
        ),
        ("PUT", telemetry, &[], "{}", 403, "Extension.MissingExtensionIdentifier"),
        ("PUT", telemetry, &[stranger], "{}", 403, "Extension.UnknownExtensionIdentifier"),
        ("PUT", telemetry, &[id], "{}", 400, "ValidationError"),
        ("POST", telemetry, &[id], "{}", 405, "InvalidRequest"),
    ];
    for (method, path, headers, body, status, error_type) in cases {
        let reply = call(address, method, path, headers, body).await;
        assert_eq!((reply.status, reply.error_type()), (status, error_type), "{method} {path} {body}");
    }
    let too_large = "x".repeat(gust_runtime_api::EXTENSION_BODY_BYTES_MAX + 1);
    assert_eq!(call(address, "POST", register, &[name], &too_large).await.status, 413);
    let error_type = ("Lambda-Extension-Function-Error-Type", "Own.Fault");
    assert_eq!(call(address, "POST", init, &[id, error_type], "{}").await.status, 202);
    let failure = timeout(LIMIT, api.extensions.failure()).await.unwrap();
    assert_eq!((failure.error_type, failure.cause.as_str()), ("Extension.InitError", "outer: Own.Fault"));
    assert_eq!(call(address, "GET", next, &[id], "").await.error_type(), "Extension.InvalidExtensionState");
}

struct Nobody;

impl PeerGuard for Nobody {
    fn is_inside(&self, _peer: SocketAddr, _local: SocketAddr) -> BoxFuture<'_, bool> {
        async { false }.boxed()
    }
}

#[tokio::test]
async fn whoever_comes_from_outside_is_hung_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, api) = (listener.local_addr().unwrap(), api(&[]));
    api.set_guard(Arc::new(Nobody));
    let _served = ApiListener::serve(listener, api);
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The write may well succeed before the other end is gone.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.is_empty());
}

// ---- telemetry

fn platform(kind: &'static str, record: Value) -> TelemetryEvent {
    let time = "2026-11-23T12:00:00.000Z".to_owned();
    TelemetryEvent { category: Category::Platform, kind, time, record: Record::Platform(record) }
}

fn line(text: &str, is_json: bool) -> TelemetryEvent {
    let time = "2026-11-23T12:00:00.000Z".to_owned();
    let record = Record::Line { text: text.to_owned(), is_json };
    TelemetryEvent { category: Category::Function, kind: "function", time, record }
}

/// An environment with one registered extension, and a listener of that extension's own.
struct Setup {
    api: Arc<EnvironmentApi>,
    address: SocketAddr,
    id: String,
    listener: TcpListener,
    _served: ApiListener,
}

impl Setup {
    async fn new() -> Setup {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, api) = (listener.local_addr().unwrap(), api(&["outer"]));
        let served = ApiListener::serve(listener, api.clone());
        let reply = register(address, "outer", &["INVOKE"]).await;
        let id = reply.header("Lambda-Extension-Identifier").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Setup { api, address, id, listener, _served: served }
    }

    async fn subscribe(&self, path: &str, version: &str, types: &[&str]) -> Reply {
        let port = self.listener.local_addr().unwrap().port();
        let body = json!({"schemaVersion": version, "types": types, "buffering": {"timeoutMs": 25},
            "destination": {"protocol": "HTTP", "URI": format!("http://sandbox.localdomain:{port}/in")}});
        let id = [("Lambda-Extension-Identifier", self.id.as_str())];
        call(self.address, "PUT", path, &id, &body.to_string()).await
    }

    async fn accept(&self) -> BufReader<TcpStream> {
        let (stream, _) = timeout(LIMIT, self.listener.accept()).await.unwrap().unwrap();
        BufReader::new(stream)
    }
}

/// Reads batches and accepts them until `count` events are there.
async fn events(stream: &mut BufReader<TcpStream>, count: usize) -> Vec<Value> {
    let mut events = Vec::new();
    while events.len() < count {
        let (first, headers, body) = timeout(LIMIT, read_message(stream)).await.unwrap().unwrap();
        assert_eq!(first, "POST /in HTTP/1.1");
        assert!(headers.iter().any(|(name, value)| name == "host" && value.starts_with("sandbox.localdomain:")));
        let Value::Array(batch) = serde_json::from_slice(&body).unwrap() else { panic!("a batch is an array") };
        events.extend(batch);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await.unwrap();
    }
    events
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_subscriber_gets_what_it_asked_for_and_what_came_before() {
    let setup = Setup::new().await;
    setup.api.telemetry.publish(platform("platform.initStart", json!({"phase": "init"})));
    let reply = setup.subscribe("/2022-07-01/telemetry", "2022-12-13", &["platform", "function"]).await;
    assert_eq!((reply.status, &reply.body), (200, &json!("OK")));
    let mut stream = setup.accept().await;
    let got = events(&mut stream, 2).await;
    assert_eq!(kinds(&got), ["platform.initStart", "platform.telemetrySubscription"]);
    assert_eq!(got[1]["record"], json!({"name": "outer", "state": "Subscribed", "types": ["platform", "function"]}));
    setup.api.telemetry.close();
    let late = setup.subscribe("/2022-07-01/telemetry", "2022-12-13", &["platform"]).await;
    assert_eq!((late.status, late.error_type()), (403, "Telemetry.SubscriptionClosed"));
    let late = setup.subscribe("/2020-08-15/logs", "2020-08-15", &["platform"]).await;
    assert_eq!((late.status, late.error_type()), (403, "Logs.SubscriptionClosed"));
    assert!(setup.api.telemetry.is_wanted());
    setup.api.telemetry.publish(line("plain", true));
    setup.api.telemetry.publish(line(r#"{"a":1}"#, true));
    setup.api.telemetry.publish(line(r#"{"a":1}"#, false));
    setup.api.telemetry.publish(TelemetryEvent { category: Category::Extension, ..line("not wanted", false) });
    setup.api.telemetry.publish(platform("platform.end", json!({})));
    setup.api.telemetry.publish(platform("platform.report", json!({"requestId": "r"})));
    let got = events(&mut stream, 4).await;
    assert_eq!(kinds(&got), ["function", "function", "function", "platform.report"]);
    let records: Vec<&Value> = got.iter().map(|event| &event["record"]).collect();
    assert_eq!(records[..3], [&json!("plain"), &json!({"a": 1}), &json!(r#"{"a":1}"#)]);
    let summary = setup.api.telemetry.summary().remove(0);
    assert_eq!((summary.name.as_str(), summary.is_logs_api), ("outer", false));
    assert_eq!(summary.categories, [Category::Platform, Category::Function]);
}

#[tokio::test]
async fn the_logs_api_is_served_too_but_not_both_to_one_extension() {
    let setup = Setup::new().await;
    setup.api.telemetry.publish(platform("platform.initStart", json!({})));
    assert_eq!(setup.subscribe("/2020-08-15/logs", "2021-03-18", &["platform"]).await.status, 200);
    let both = setup.subscribe("/2022-07-01/telemetry", "2022-12-13", &["platform"]).await;
    assert_eq!((both.status, both.error_type()), (400, "ValidationError"));
    setup.api.telemetry.publish(platform("platform.runtimeDone", json!({})));
    let got = events(&mut setup.accept().await, 2).await;
    assert_eq!(kinds(&got), ["platform.logsSubscription", "platform.runtimeDone"]);
    assert!(setup.api.telemetry.summary()[0].is_logs_api);
}

#[tokio::test]
async fn a_batch_that_is_refused_is_offered_again_then_counted_as_lost() {
    let setup = Setup::new().await;
    setup.subscribe("/2022-07-01/telemetry", "2022-07-01", &["platform"]).await;
    // The first attempt is hung up on, the second gets a 500 with an endless answer, the third one more.
    drop(setup.accept().await);
    for _ in 0..2 {
        let mut stream = setup.accept().await;
        timeout(LIMIT, read_message(&mut stream)).await.unwrap().unwrap();
        stream.write_all(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
        let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
        while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    }
    setup.api.telemetry.publish(platform("platform.start", json!({"requestId": "r"})));
    let got = events(&mut setup.accept().await, 2).await;
    assert_eq!(kinds(&got), ["platform.logsDropped", "platform.start"]);
    assert_eq!(got[0]["record"]["droppedRecords"], 1);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_costs_bounded_memory_and_flushing_waits_for_it() {
    let setup = Setup::new().await;
    setup.subscribe("/2022-07-01/telemetry", "2022-07-01", &["platform", "function"]).await;
    let mut stream = setup.accept().await;
    timeout(LIMIT, read_message(&mut stream)).await.unwrap().unwrap();
    // Three times of what may wait.
    let text = "x".repeat(10_000);
    let count = 3 * gust_runtime_api::TELEMETRY_WAITING_BYTES_MAX / text.len();
    for _ in 0..count {
        setup.api.telemetry.publish(line(&text, false));
    }
    assert!(setup.api.telemetry.flush().now_or_never().is_none(), "nothing has been accepted yet");
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let first = events(&mut stream, 1).await;
    assert_eq!(kinds(&first)[0], "platform.logsDropped");
    let dropped = first[0]["record"]["droppedRecords"].as_u64().unwrap() as usize;
    assert!(dropped > count / 2, "{dropped} of {count}");
    let rest = tokio::spawn(async move { events(&mut stream, count - dropped - (first.len() - 1)).await });
    timeout(LIMIT, setup.api.telemetry.flush()).await.unwrap();
    rest.await.unwrap();
}

#[tokio::test]
async fn lines_of_documents_go_over_tcp_and_nothing_is_sent_while_frozen() {
    let setup = Setup::new().await;
    let port = setup.listener.local_addr().unwrap().port();
    let body = json!({"schemaVersion": "2022-12-13", "types": ["function"], "buffering": {"timeoutMs": 25},
        "destination": {"protocol": "TCP", "port": port}});
    let id = [("Lambda-Extension-Identifier", setup.id.as_str())];
    assert_eq!(call(setup.address, "PUT", "/2022-07-01/telemetry/", &id, &body.to_string()).await.status, 200);
    setup.api.telemetry.set_paused(true);
    setup.api.telemetry.publish(line("a", false));
    setup.api.telemetry.publish(line("b", false));
    assert!(timeout(Duration::from_millis(100), setup.listener.accept()).await.is_err(), "sent while frozen");
    setup.api.telemetry.set_paused(false);
    let mut stream = setup.accept().await;
    for expected in ["a", "b"] {
        let mut text = String::new();
        timeout(LIMIT, stream.read_line(&mut text)).await.unwrap().unwrap();
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["record"], expected);
    }
}
