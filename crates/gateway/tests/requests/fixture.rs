//! A gateway over services that exist only here, and a client that speaks plain HTTP/1.1.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use gust_gateway::{
    AdminHandlers, AuthPolicy, ClockError, ConnectionOrigin, FunctionUrls, Gateway, GatewayConfig, ResetError, Serving,
};
use gust_kit::ports::{
    AccessRequest, Authorizer, CredentialError, CredentialSource, Credentials, Decision, KeyOwner, RoleSession,
};
use gust_kit::{Call, Endpoint, Need, Principal, PrincipalKind, Registry, ResourceFacts};
use gust_types::{AccountId, AwsError, Clock, Doc, SystemClock, SystemIds};
use gust_wire::schema::{Location, MemberShape, OperationRoute, Shape, StructureShape};
use gust_wire::{OperationModel, Protocol, ServiceModel};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub static TEXT: Shape =
    Shape::String { min: Some(1), max: None, pattern: None, values: &[], json_value: false, sensitive: false };
pub static BLOB: Shape = Shape::Blob { min: None, max: None, sensitive: false };
pub const fn member(name: &'static str, location: Location, shape: &'static Shape) -> MemberShape {
    MemberShape { name, wire_name: name, location, required: false, shape }
}
pub static EMPTY: StructureShape = StructureShape { name: "Empty", members: &[], payload: None };
pub static NAMED: StructureShape =
    StructureShape { name: "Named", members: &[member("Name", Location::Body, &TEXT)], payload: None };
pub static SENT: StructureShape = StructureShape {
    name: "Sent",
    members: &[member("Name", Location::Uri, &TEXT), member("Payload", Location::Body, &BLOB)],
    payload: Some("Payload"),
};

pub const fn operation(
    name: &'static str,
    uri: &'static str,
    input: &'static StructureShape,
    output: &'static StructureShape,
) -> OperationModel {
    let route = OperationRoute { name, method: "POST", uri };
    OperationModel { route, status: 200, input, output, result_wrapper: None, errors: &[], members: &[], wordings: &[] }
}

pub static INVOKE: OperationModel = operation("Invoke", "/2015-03-31/functions/{Name}/invocations", &SENT, &SENT);
pub static DESCRIBE: OperationModel = operation("Describe", "/", &NAMED, &NAMED);
pub static WHO: OperationModel =
    OperationModel { result_wrapper: Some("WhoResult"), ..operation("Who", "/", &NAMED, &NAMED) };
pub static STUCK: OperationModel = operation("Stuck", "/stuck", &EMPTY, &EMPTY);
pub static PANIC: OperationModel = operation("Panic", "/panic", &EMPTY, &EMPTY);

pub const BASE: ServiceModel = ServiceModel {
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
pub static LAMBDA: ServiceModel = BASE;
pub static LOGS: ServiceModel = ServiceModel {
    id: "logs",
    signing_name: "logs",
    endpoint_prefix: "logs",
    target_prefix: Some("Logs_1"),
    protocols: &[Protocol::AwsJson11],
    operations: &[&DESCRIBE],
    unimplemented: &[],
    ..BASE
};
pub static STS: ServiceModel = ServiceModel {
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
pub struct Behaviour {
    pub begun: Notify,
    pub go_on: Notify,
    pub ended: Notify,
    pub calls: AtomicUsize,
}

pub struct Echo(&'static ServiceModel, Arc<Behaviour>);

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
                "Invoke" => {
                    Ok(Doc::Map(vec![("Payload".to_owned(), input.get("Payload").cloned().unwrap_or_default())]))
                }
                _ => {
                    let Principal { account, arn, .. } = call.principal;
                    let text = format!("{account} {arn} {} {}", call.region, call.origin);
                    Ok(Doc::Map(vec![("Name".to_owned(), Doc::String(text))]))
                }
            }
        })
    }

    fn needs<'a>(
        &'a self,
        operation: &'static OperationModel,
        _: &'a Doc,
        _: &'a Call,
    ) -> BoxFuture<'a, Result<Vec<Need>, AwsError>> {
        let action = format!("{}:{}", self.0.id, operation.route.name);
        Box::pin(std::future::ready(Ok(vec![Need::new(action, "arn:aws:test:us-east-1:111111111111:thing/a")])))
    }

    fn facts<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<ResourceFacts, AwsError>> {
        let facts = ResourceFacts { policy: Some(resource.to_owned()), tags: vec![] };
        Box::pin(std::future::ready(Ok(facts)))
    }
}

/// Allows Lambda's Invoke alone, and only on a resource whose policy it was given.
pub struct OnlyInvoke;

#[async_trait]
impl Authorizer for OnlyInvoke {
    async fn decide(&self, request: &AccessRequest) -> Result<Decision, AwsError> {
        let is_allowed =
            request.action == "lambda:Invoke" && request.resource_policy.as_ref() == Some(&request.resource);
        let reason = format!("no identity-based policy allows the {} action", request.action);
        Ok(if is_allowed { Decision::Allowed } else { Decision::NotAllowed(reason) })
    }
}

pub struct Keys(Vec<KeyOwner>);

#[async_trait]
impl CredentialSource for Keys {
    async fn owner(&self, access_key_id: &str) -> Result<Option<KeyOwner>, CredentialError> {
        Ok(self.0.iter().find(|owner| owner.credentials.access_key_id == access_key_id).cloned())
    }

    async fn session(&self, session: RoleSession) -> Result<Credentials, CredentialError> {
        Err(CredentialError::MalformedRole(session.role_arn))
    }
}

pub struct Admin;

#[async_trait]
impl AdminHandlers for Admin {
    async fn health(&self) -> serde_json::Value {
        serde_json::json!({ "status": "ok", "pid": 1 })
    }

    async fn stats(&self, account: &AccountId) -> serde_json::Value {
        serde_json::json!({ "account": account.as_str() })
    }

    async fn move_clock(&self, by_ms: i64) -> Result<i64, ClockError> {
        match by_ms {
            0..=1_000 => Ok(1_700_000_000_000 + by_ms),
            1_001..=2_000 => Err(ClockError::NotEphemeral),
            _ => Err(ClockError::OutOfRange),
        }
    }

    async fn reset(&self) -> Result<(), ResetError> {
        Err(ResetError::NotEphemeral)
    }

    async fn download(&self, path_and_query: &str) -> Option<(String, Bytes)> {
        (path_and_query == "/_gust/code/abc?v=1").then(|| ("application/zip".to_owned(), Bytes::from_static(b"zip")))
    }
}

pub fn account(text: &str) -> AccountId {
    AccountId::parse(text).unwrap()
}

pub fn role() -> Principal {
    Principal {
        kind: PrincipalKind::AssumedRole,
        account: account("222222222222"),
        arn: "arn:aws:sts::222222222222:assumed-role/r/s".to_owned(),
        user_id: "AROAX:s".to_owned(),
        access_key_id: Some("ASIAKNOWN".to_owned()),
        session: None,
    }
}

pub struct Fixture {
    pub address: SocketAddr,
    pub serving: Serving,
    pub behaviour: Arc<Behaviour>,
}

/// What most tests do without.
#[derive(Default)]
pub struct WorldOptions {
    pub urls: Option<FunctionUrls>,
    pub authorizer: Option<Arc<dyn Authorizer>>,
}

pub async fn start(policy: AuthPolicy, origin: ConnectionOrigin) -> Fixture {
    start_world(policy, origin, WorldOptions::default()).await
}

pub async fn start_world(policy: AuthPolicy, origin: ConnectionOrigin, options: WorldOptions) -> Fixture {
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
        authorizer: options.authorizer,
        urls: options.urls,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    };
    let keys = Arc::new(Keys(vec![owner(credentials), owner(expired)]));
    let gateway = Gateway::new(Registry::new(endpoints), policy, keys, Arc::new(Admin), config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serving = gateway.serve(listener, origin);
    Fixture { address: serving.local_addr().unwrap(), serving, behaviour }
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

pub async fn read_answer(stream: &mut TcpStream) -> Answer {
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

pub async fn send(stream: &mut TcpStream, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
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

pub async fn ask(fixture: &Fixture, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    send(&mut stream, line, headers, body).await
}

pub fn authorization(key: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

pub const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
pub const WHO_BODY: &[u8] = b"Action=Who&Version=2011-06-15";
