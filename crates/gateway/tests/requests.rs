//! Whole requests over real sockets, against services that exist only here.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use gust_auth::{Head, Signer};
use gust_gateway::{AdminHandlers, AuthPolicy, ConnectionOrigin, Gateway, GatewayConfig, ResetError, Serving};
use gust_kit::ports::{CredentialError, CredentialSource, Credentials, KeyOwner, RoleSession};
use gust_kit::{Call, Endpoint, Principal, PrincipalKind, Registry};
use gust_types::{AccountId, AwsError, Clock, Doc, SystemClock, SystemIds};
use gust_wire::schema::{Location, MemberShape, OperationRoute, Shape, StructureShape};
use gust_wire::{OperationModel, Protocol, ServiceModel};
use http::HeaderMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

static TEXT: Shape = Shape::String { min: Some(1), max: None, pattern: None, values: &[], json_value: false, sensitive: false };
static BLOB: Shape = Shape::Blob { min: None, max: None, sensitive: false };
const fn member(name: &'static str, location: Location, shape: &'static Shape) -> MemberShape {
    MemberShape { name, wire_name: name, location, required: false, shape }
}
static EMPTY: StructureShape = StructureShape { name: "Empty", members: &[], payload: None };
static NAMED: StructureShape = StructureShape { name: "Named", members: &[member("Name", Location::Body, &TEXT)], payload: None };
static SENT: StructureShape = StructureShape {
    name: "Sent",
    members: &[member("Name", Location::Uri, &TEXT), member("Payload", Location::Body, &BLOB)],
    payload: Some("Payload"),
};

const fn operation(
    name: &'static str,
    uri: &'static str,
    input: &'static StructureShape,
    output: &'static StructureShape,
) -> OperationModel {
    let route = OperationRoute { name, method: "POST", uri };
    OperationModel { route, status: 200, input, output, result_wrapper: None, errors: &[], members: &[], wordings: &[] }
}

static INVOKE: OperationModel = operation("Invoke", "/2015-03-31/functions/{Name}/invocations", &SENT, &SENT);
static DESCRIBE: OperationModel = operation("Describe", "/", &NAMED, &NAMED);
static WHO: OperationModel = OperationModel { result_wrapper: Some("WhoResult"), ..operation("Who", "/", &NAMED, &NAMED) };
static STUCK: OperationModel = operation("Stuck", "/stuck", &EMPTY, &EMPTY);
static PANIC: OperationModel = operation("Panic", "/panic", &EMPTY, &EMPTY);

const BASE: ServiceModel = ServiceModel {
    id: "lambda",
    signing_name: "lambda",
    endpoint_prefix: "lambda",
    target_prefix: None,
    protocols: &[Protocol::RestJson],
    api_version: "2015-03-31",
    xml_namespace: None,
    validation_code: "ValidationException",
    operations: &[&INVOKE, &STUCK, &PANIC],
    unimplemented: &[OperationRoute { name: "Later", method: "GET", uri: "/2015-03-31/later" }],
};
static LAMBDA: ServiceModel = BASE;
static LOGS: ServiceModel = ServiceModel {
    id: "logs",
    signing_name: "logs",
    endpoint_prefix: "logs",
    target_prefix: Some("Logs_1"),
    protocols: &[Protocol::AwsJson11],
    operations: &[&DESCRIBE],
    unimplemented: &[],
    ..BASE
};
static STS: ServiceModel = ServiceModel {
    id: "sts",
    signing_name: "sts",
    endpoint_prefix: "sts",
    protocols: &[Protocol::Query],
    api_version: "2011-06-15",
    xml_namespace: Some("https://sts.amazonaws.com/doc/2011-06-15/"),
    operations: &[&WHO],
    unimplemented: &[],
    ..BASE
};

/// Echoes payloads and says who calls; `Stuck` waits until it is told to go on.
#[derive(Default)]
struct Behaviour {
    begun: Notify,
    go_on: Notify,
    ended: Notify,
    calls: AtomicUsize,
}

struct Echo(&'static ServiceModel, Arc<Behaviour>);

impl Endpoint for Echo {
    fn model(&self) -> &'static ServiceModel {
        self.0
    }

    fn call(&self, operation: &str, call: Call, input: Doc) -> BoxFuture<'static, Result<Doc, AwsError>> {
        let (operation, behaviour) = (operation.to_owned(), self.1.clone());
        Box::pin(async move {
            behaviour.calls.fetch_add(1, Ordering::SeqCst);
            match operation.as_str() {
                "Stuck" => {
                    behaviour.begun.notify_one();
                    behaviour.go_on.notified().await;
                    behaviour.ended.notify_one();
                    Ok(Doc::Map(vec![]))
                }
                "Panic" => panic!("on purpose"),
                "Invoke" => Ok(Doc::Map(vec![("Payload".to_owned(), input.get("Payload").cloned().unwrap_or_default())])),
                _ => {
                    let Principal { account, arn, .. } = call.principal;
                    let text = format!("{account} {arn} {} {}", call.region, call.origin);
                    Ok(Doc::Map(vec![("Name".to_owned(), Doc::String(text))]))
                }
            }
        })
    }
}

struct Keys(Vec<KeyOwner>);

#[async_trait]
impl CredentialSource for Keys {
    async fn owner(&self, access_key_id: &str) -> Result<Option<KeyOwner>, CredentialError> {
        Ok(self.0.iter().find(|owner| owner.credentials.access_key_id == access_key_id).cloned())
    }

    async fn session(&self, session: RoleSession) -> Result<Credentials, CredentialError> {
        Err(CredentialError::MalformedRole(session.role_arn))
    }
}

struct Admin;

#[async_trait]
impl AdminHandlers for Admin {
    async fn health(&self) -> serde_json::Value {
        serde_json::json!({ "status": "ok" })
    }

    async fn reset(&self) -> Result<(), ResetError> {
        Err(ResetError::NotEphemeral)
    }

    async fn download(&self, path_and_query: &str) -> Option<(String, Bytes)> {
        (path_and_query == "/_gust/code/abc?v=1").then(|| ("application/zip".to_owned(), Bytes::from_static(b"zip")))
    }
}

fn account(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

fn role() -> Principal {
    Principal {
        kind: PrincipalKind::AssumedRole,
        account: account("222222222222"),
        arn: "arn:aws:sts::222222222222:assumed-role/r/s".to_owned(),
        user_id: "AROAX:s".to_owned(),
        access_key_id: Some("ASIAKNOWN".to_owned()),
    }
}

struct Fixture {
    address: SocketAddr,
    serving: Serving,
    behaviour: Arc<Behaviour>,
}

async fn start(policy: AuthPolicy, origin: ConnectionOrigin) -> Fixture {
    let behaviour = Arc::new(Behaviour::default());
    let models = [&LAMBDA, &LOGS, &STS];
    let endpoints = models.map(|model| Arc::new(Echo(model, behaviour.clone())) as Arc<dyn Endpoint>);
    let credentials = Credentials {
        access_key_id: "ASIAKNOWN".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: Some("token".to_owned()),
        expires_at_ms: Some(SystemClock.now_ms() + 60_000),
    };
    let expired = Credentials {
        access_key_id: "ASIAEXPIRED".to_owned(),
        expires_at_ms: Some(SystemClock.now_ms() - 1),
        ..credentials.clone()
    };
    let owner = |credentials| KeyOwner { credentials, principal: role() };
    let config = GatewayConfig {
        default_account: account("000000000000"),
        hosts: vec![],
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    };
    let keys = Arc::new(Keys(vec![owner(credentials), owner(expired)]));
    let gateway = Gateway::new(Registry::new(endpoints), policy, keys, Arc::new(Admin), config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serving = gateway.serve(listener, origin);
    Fixture { address: serving.local_addr().unwrap(), serving, behaviour }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 65_536];
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut answer = Answer { status: head[9..12].parse().unwrap(), head, body: bytes[end + 4..].to_vec() };
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            while answer.body.len() < length {
                let count = stream.read(&mut buffer).await.unwrap();
                assert!(count > 0, "the answer ended early");
                answer.body.extend_from_slice(&buffer[..count]);
            }
            return answer;
        }
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "no answer came");
        bytes.extend_from_slice(&buffer[..count]);
    }
}

async fn send(stream: &mut TcpStream, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut text = format!("{line} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str("Host: 127.0.0.1:4566\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    read_answer(stream).await
}

async fn ask(fixture: &Fixture, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    send(&mut stream, line, headers, body).await
}

fn authorization(key: &str, service: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential={key}/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0")
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const WHO_BODY: &[u8] = b"Action=Who&Version=2011-06-15";

#[tokio::test]
async fn each_protocol_is_served_and_every_answer_has_an_id() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let lambda = authorization("test", "lambda");
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    for _ in 0..2 {
        let line = "POST /2015-03-31/functions/a/invocations";
        let answer = send(&mut stream, line, &[("Authorization", &lambda)], b"{\"a\":1}").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "{\"a\":1}"), "on one kept connection");
        assert_eq!(answer.header("x-amzn-requestid").unwrap().len(), 36);
        assert!(answer.header("date").is_some());
    }
    let logs = authorization("test", "logs");
    let headers = [("Authorization", logs.as_str()), ("X-Amz-Target", "Logs_1.Describe")];
    let answer = send(&mut stream, "POST /", &headers, b"{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.1"));
    let sts = authorization("test", "sts");
    let answer = send(&mut stream, "POST /", &[("Authorization", &sts), FORM], WHO_BODY).await;
    assert!(answer.text().contains("<WhoResult>"), "{}", answer.text());
    assert_eq!(answer.header("x-amz-request-id"), answer.header("x-amzn-requestid"));
}

#[tokio::test]
async fn an_open_gust_reads_the_account_from_the_key() {
    let environment = ConnectionOrigin::Environment(Principal::root(account("333333333333"), None));
    for (origin, key, expected) in [
        (ConnectionOrigin::Public, "111111111111", "111111111111 arn:aws:iam::111111111111:root eu-west-1 http://127.0.0.1:4566"),
        (ConnectionOrigin::Public, "test", "000000000000 arn:aws:iam::000000000000:root"),
        (ConnectionOrigin::Public, "ASIAKNOWN", "222222222222 arn:aws:sts::222222222222:assumed-role/r/s"),
        (ConnectionOrigin::Public, "ASIAOTHER", "000000000000 arn:aws:iam::000000000000:root"),
        (environment.clone(), "test", "333333333333 arn:aws:iam::333333333333:root"),
        (environment, "ASIAKNOWN", "222222222222"),
    ] {
        let fixture = start(AuthPolicy::Open, origin).await;
        let answer = ask(&fixture, "POST /", &[("Authorization", &authorization(key, "sts")), FORM], WHO_BODY).await;
        assert!(answer.text().contains(expected), "{key}: {}", answer.text());
    }
}

#[tokio::test]
async fn strangers_are_refused_in_their_protocol() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let answer = ask(&fixture, "POST /2015-03-31/functions/a/invocations", &[], b"{}").await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("x-amzn-errortype"), Some("MissingAuthenticationTokenException"));
    let answer = ask(&fixture, "POST /", &[("X-Amz-Target", "Logs_1.Describe")], b"{}").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("MissingAuthenticationTokenException"), "{}", answer.text());
    let answer = ask(&fixture, "POST /", &[FORM], WHO_BODY).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("<Code>MissingAuthenticationToken</Code>"), "{}", answer.text());
    let answer = ask(&fixture, "GET /nothing", &[], b"").await;
    assert_eq!(answer.status, 404);
    assert_eq!(fixture.behaviour.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn web_pages_are_kept_out() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let sts = authorization("test", "sts");
    for header in [("Host", "evil.example:4566"), ("Origin", "https://evil.example"), ("Origin", "null")] {
        let answer = ask(&fixture, "POST /", &[("Authorization", &sts), FORM, header], WHO_BODY).await;
        assert_eq!(answer.status, 403, "{header:?}");
        assert!(answer.text().contains("AccessDenied"), "{}", answer.text());
        assert!(answer.header("access-control-allow-origin").is_none());
        let answer = ask(&fixture, "POST /_gust/reset", &[header], b"").await;
        assert_eq!(answer.status, 403, "{header:?}");
    }
    assert_eq!(fixture.behaviour.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn own_routes_answer() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    for (line, status, text) in [
        ("GET /_gust/health", 200, "{\"status\":\"ok\"}"),
        ("GET /_localstack/health", 200, "{\"status\":\"ok\"}"),
        ("POST /_gust/reset", 409, "--ephemeral"),
        ("POST /_gust/clock", 404, "knows nothing"),
        ("GET /_gust/code/abc?v=1", 200, "zip"),
        ("GET /_gust/code/abd", 404, "no such link"),
    ] {
        let answer = ask(&fixture, line, &[], b"").await;
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.text().contains(text), "{line}: {}", answer.text());
    }
}

#[tokio::test]
async fn what_gust_lacks_is_named() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let sqs = authorization("test", "sqs");
    let answer = ask(&fixture, "POST /", &[("Authorization", &sqs), ("X-Amz-Target", "AmazonSQS.SendMessage")], b"{}").await;
    assert_eq!(answer.status, 501);
    assert!(answer.text().contains("the service 'sqs'"), "{}", answer.text());
    let lambda = authorization("test", "lambda");
    let answer = ask(&fixture, "GET /2015-03-31/later", &[("Authorization", &lambda)], b"").await;
    assert_eq!(answer.status, 501);
    assert!(answer.text().contains("lambda:Later"), "{}", answer.text());
}

#[tokio::test]
async fn payloads_have_their_bound() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let lambda = authorization("test", "lambda");
    let line = "POST /2015-03-31/functions/a/invocations";
    let payload = vec![b'1'; 6_291_456];
    let answer = ask(&fixture, line, &[("Authorization", &lambda)], &payload).await;
    assert_eq!((answer.status, answer.body.len()), (200, payload.len()));
    let payload = vec![b'1'; 6_291_457];
    let answer = ask(&fixture, line, &[("Authorization", &lambda)], &payload).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("x-amzn-errortype"), Some("RequestEntityTooLargeException"));
    assert!(answer.text().contains("Request must be smaller than 6291456 bytes for the InvokeFunction operation"));
    assert_eq!(fixture.behaviour.calls.load(Ordering::SeqCst), 1);
}

fn signed(key: &str, secret: &str, token: Option<&str>, body: &[u8]) -> Vec<(String, String)> {
    let signer = Signer { access_key_id: key, secret_access_key: secret, session_token: token, region: "eu-west-1", service: "sts" };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", FORM.1.parse().unwrap());
    let head = Head { method: "POST", path: "/", query: "", headers: &headers, host: "127.0.0.1:4566" };
    let headers = signer.sign(&head, body, SystemClock.now_ms());
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_strict_gust_verifies() {
    let fixture = start(AuthPolicy::Strict, ConnectionOrigin::Public).await;
    for (key, secret, token, body, expected) in [
        ("ASIAKNOWN", "secret", Some("token"), WHO_BODY, "assumed-role/r/s"),
        ("ASIAKNOWN", "wrong", Some("token"), WHO_BODY, "<Code>SignatureDoesNotMatch</Code>"),
        ("ASIAKNOWN", "secret", None, WHO_BODY, "<Code>InvalidClientTokenId</Code>"),
        ("ASIAKNOWN", "secret", Some("other"), WHO_BODY, "<Code>InvalidClientTokenId</Code>"),
        ("ASIAKNOWN", "secret", Some("token"), b"Action=Who".as_slice(), "<Code>SignatureDoesNotMatch</Code>"),
        ("ASIAEXPIRED", "secret", Some("token"), WHO_BODY, "<Code>ExpiredToken</Code>"),
        ("111111111111", "secret", None, WHO_BODY, "<Code>InvalidClientTokenId</Code>"),
    ] {
        let pairs = signed(key, secret, token, body);
        let headers: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = ask(&fixture, "POST /", &headers, WHO_BODY).await;
        assert!(answer.text().contains(expected), "{key}: {}", answer.text());
    }
    assert_eq!(fixture.behaviour.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_panic_ends_only_its_request() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let lambda = authorization("test", "lambda");
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let answer = send(&mut stream, "POST /panic", &[("Authorization", &lambda)], b"").await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.header("x-amzn-errortype"), Some("InternalFailure"));
    assert!(!answer.text().contains("on purpose"));
    let answer = send(&mut stream, "GET /_gust/health", &[], b"").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn an_operation_goes_on_when_its_client_goes() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let lambda = authorization("test", "lambda");
    let request = format!("POST /stuck HTTP/1.1\r\nHost: localhost\r\nAuthorization: {lambda}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    fixture.behaviour.begun.notified().await;
    drop(stream);
    assert_eq!(fixture.serving.stop(Duration::from_secs(5)).await, 0);
    fixture.behaviour.go_on.notify_one();
    tokio::time::timeout(Duration::from_secs(5), fixture.behaviour.ended.notified()).await.unwrap();
}

#[tokio::test]
async fn stopping_lets_requests_finish_and_then_cuts() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let address = fixture.address;
    let lambda = authorization("test", "lambda");
    let ask = |mut stream: TcpStream| {
        let lambda = lambda.clone();
        tokio::spawn(async move { send(&mut stream, "POST /stuck", &[("Authorization", &lambda)], b"").await.status })
    };
    let finishing = ask(TcpStream::connect(address).await.unwrap());
    fixture.behaviour.begun.notified().await;
    let idle = TcpStream::connect(address).await.unwrap();
    let stopping = tokio::spawn(fixture.serving.stop(Duration::from_secs(5)));
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    fixture.behaviour.go_on.notify_one();
    assert_eq!(finishing.await.unwrap(), 200);
    assert_eq!(stopping.await.unwrap(), 0, "an idle connection is closed at once");
    drop(idle);

    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let request = format!("POST /stuck HTTP/1.1\r\nHost: localhost\r\nAuthorization: {lambda}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    fixture.behaviour.begun.notified().await;
    assert_eq!(fixture.serving.stop(Duration::from_millis(10)).await, 1);
}

#[tokio::test]
async fn malformed_and_oversized_heads_are_refused() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let many = "X: a\r\n".repeat(gust_gateway::limits::HEADERS_MAX + 1);
    let large = "a".repeat(gust_gateway::limits::HEADER_BYTES_MAX);
    for request in [
        "GET /_gust/health HTTP/1.1\r\nno header\r\n\r\n".to_owned(),
        "POST /_gust/reset HTTP/1.1\r\nContent-Length: many\r\n\r\n".to_owned(),
        format!("GET /_gust/health HTTP/1.1\r\nX: {large}\r\n\r\n"),
        format!("GET /_gust/health HTTP/1.1\r\n{many}\r\n"),
    ] {
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        // The gateway may close before it has read everything; it answers 4xx or nothing.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(ask(&fixture, "GET /_gust/health", &[], b"").await.status, 200);
}
