//! Function URLs over real sockets, with functions that exist only here.

use crate::fixture::{self, Answer, Fixture, WorldOptions, account, ask, role, start_world};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use gust_auth::{Head, Signer};
use gust_gateway::{AuthPolicy, ConnectionOrigin, FunctionUrls};
use gust_kit::ports::{
    AccessRequest, AsyncEvent, Authorizer, Decision, EventSettings, FunctionCatalog, FunctionSpec, FunctionUrl,
    InvokeError, InvokeFailure, InvokeOutcome, InvokeRequest, InvokeStream, Invoker, LogFormat, LogLevel, Logging,
    Provisioned, StreamItem, ThrottleReason, UrlAuth, UrlCors, UrlDirectory, UrlInvokeMode,
};
use gust_store::{StoreError, Tx};
use gust_types::{AccountId, AwsError, Clock, Region, SystemClock};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

const ID: &str = "abcdefghijklmnopqrstuvwxyz012345";
const HOST: (&str, &str) = ("Host", "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.localhost:4566");

/// A streamed response: content type, then parts.
type Script = (&'static str, Vec<Option<&'static str>>);

/// One URL, and a function behind it that answers what it is told to, or with its own event.
struct Fake {
    url: FunctionUrl,
    answer: Mutex<Option<Result<Bytes, InvokeError>>>,
    fails: bool,
    /// The streamed response; a part that is `None` waits for `go_on`, and a last `!` is a failure.
    stream: Mutex<Option<Script>>,
    go_on: Arc<Notify>,
    seen: Mutex<Vec<InvokeRequest>>,
    asked: Mutex<Vec<AccessRequest>>,
    decision: Decision,
}

#[async_trait]
impl UrlDirectory for Fake {
    async fn url(&self, url_id: &str) -> Result<Option<FunctionUrl>, AwsError> {
        Ok((url_id == self.url.url_id).then(|| self.url.clone()))
    }
}

#[async_trait]
impl Authorizer for Fake {
    async fn decide(&self, request: &AccessRequest) -> Result<Decision, AwsError> {
        self.asked.lock().unwrap().push(request.clone());
        Ok(self.decision.clone())
    }
}

#[async_trait]
impl FunctionCatalog for Fake {
    async fn resolve(
        &self,
        account: &AccountId,
        region: &Region,
        name: &str,
        _: Option<&str>,
    ) -> Result<Arc<FunctionSpec>, AwsError> {
        Ok(Arc::new(spec(account, region, name)))
    }

    async fn event_settings(
        &self,
        _: &AccountId,
        _: &Region,
        _: &str,
        _: Option<&str>,
    ) -> Result<Arc<EventSettings>, AwsError> {
        Ok(Arc::default())
    }
}

fn spec(account: &AccountId, region: &Region, name: &str) -> FunctionSpec {
    FunctionSpec {
        account: account.clone(),
        region: region.clone(),
        name: name.to_owned(),
        version: "$LATEST".to_owned(),
        arn: String::new(),
        revision_id: String::new(),
        runtime: String::new(),
        handler: String::new(),
        role_arn: String::new(),
        memory_mb: 128,
        timeout_ms: 3_000,
        tmp_mb: 512,
        environment: [].into(),
        code_dir: "/".into(),
        layers_dir: None,
        architecture: String::new(),
        logging: Logging {
            format: LogFormat::Text,
            application_level: LogLevel::Info,
            system_level: LogLevel::Info,
            group: String::new(),
        },
        tracing_mode: String::new(),
        development: None,
        is_tenant_isolated: false,
        dead_letter_arn: None,
        may_recurse: false,
    }
}

fn outcome(payload: Bytes, fails: bool) -> InvokeOutcome {
    InvokeOutcome {
        payload,
        failure: fails.then_some(InvokeFailure::Unhandled),
        log_tail: Bytes::new(),
        executed_version: "$LATEST".to_owned(),
        duration_us: 1,
        init_us: None,
    }
}

#[async_trait]
impl Invoker for Fake {
    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeOutcome, InvokeError> {
        let event = request.payload.clone();
        self.seen.lock().unwrap().push(request);
        let payload = self.answer.lock().unwrap().take().unwrap_or(Ok(event))?;
        Ok(outcome(payload, self.fails))
    }

    async fn invoke_streaming(&self, request: InvokeRequest) -> Result<InvokeStream, InvokeError> {
        self.seen.lock().unwrap().push(request);
        let (content_type, parts) = self.stream.lock().unwrap().take().unwrap();
        let go_on = self.go_on.clone();
        let items = stream::unfold((parts.into_iter(), false), move |(mut parts, has_ended)| {
            let go_on = go_on.clone();
            async move {
                loop {
                    match parts.next() {
                        Some(None) => go_on.notified().await,
                        Some(Some("!")) => return Some((StreamItem::End(outcome(Bytes::new(), true)), (parts, true))),
                        Some(Some(part)) => return Some((StreamItem::Chunk(part.into()), (parts, has_ended))),
                        None if has_ended => return None,
                        None => return Some((StreamItem::End(outcome(Bytes::new(), false)), (parts, true))),
                    }
                }
            }
        });
        let executed_version = "$LATEST".to_owned();
        Ok(InvokeStream { content_type: Some(content_type.to_owned()), executed_version, items: Box::pin(items) })
    }

    fn enqueue(&self, _: &mut dyn Tx, _: &AsyncEvent) -> Result<(), StoreError> {
        unreachable!("a URL is synchronous")
    }

    fn retire(&self, _: &AccountId, _: &Region, _: &str, _: &str, _: Option<&str>) {}

    fn reserve(&self, _: &AccountId, _: &Region, _: &str, _: Option<u32>) {}

    fn provision(&self, _: &Arc<FunctionSpec>, _: u32) {}

    fn unprovision(&self, _: &AccountId, _: &Region, _: &str, _: &str) {}

    fn provisioned(&self, _: &AccountId, _: &Region, _: &str, _: &str) -> Option<Provisioned> {
        None
    }
}

/// What a test changes about the URL and its world.
struct Plan {
    auth: UrlAuth,
    invoke_mode: UrlInvokeMode,
    cors: Option<UrlCors>,
    policy: AuthPolicy,
    decision: Option<Decision>,
    fails: bool,
}

const PLAN: Plan = Plan {
    auth: UrlAuth::None,
    invoke_mode: UrlInvokeMode::Buffered,
    cors: None,
    policy: AuthPolicy::Open,
    decision: None,
    fails: false,
};

async fn start(plan: Plan) -> (Fixture, Arc<Fake>) {
    let url = FunctionUrl {
        url_id: ID.to_owned(),
        account: account("222222222222"),
        region: Region::parse("us-east-1").unwrap(),
        function: "f".to_owned(),
        qualifier: Some("live".to_owned()),
        auth: plan.auth,
        invoke_mode: plan.invoke_mode,
        cors: plan.cors,
        resource_policy: Some("{}".to_owned()),
    };
    let fake = Arc::new(Fake {
        url,
        answer: Mutex::default(),
        fails: plan.fails,
        stream: Mutex::default(),
        go_on: Arc::default(),
        seen: Mutex::default(),
        asked: Mutex::default(),
        decision: plan.decision.clone().unwrap_or(Decision::Allowed),
    });
    let options = WorldOptions {
        urls: Some(FunctionUrls { directory: fake.clone(), catalog: fake.clone(), invoker: fake.clone() }),
        authorizer: plan.decision.map(|_| fake.clone() as Arc<dyn Authorizer>),
    };
    (start_world(plan.policy, ConnectionOrigin::Public, options).await, fake)
}

impl Fake {
    fn answer_with(&self, result: &str) {
        *self.answer.lock().unwrap() = Some(Ok(Bytes::copy_from_slice(result.as_bytes())));
    }

    fn runs(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn event_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_request_reaches_the_function_by_host_and_by_path() {
    let (fixture, fake) = start(PLAN).await;
    let body = b"{\"a\":1}";
    let json_type = ("Content-Type", "application/json");
    let answer = ask(&fixture, "PUT /2015-03-31/functions/x?a=1&a=2", &[HOST, json_type], body).await;
    let event = event_of(&answer);
    assert_eq!(event["rawPath"], "/2015-03-31/functions/x", "nothing under a URL's host is an AWS operation");
    assert_eq!(event["requestContext"]["http"]["method"], "PUT");
    assert_eq!(event["queryStringParameters"], json!({"a": "1,2"}));
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{\"a\":1}"), &json!(false)));
    assert_eq!(event["requestContext"]["domainName"], HOST.1.split(':').next().unwrap());
    assert_eq!(event["headers"]["host"], HOST.1);
    assert_eq!(event["headers"]["x-forwarded-port"], "4566");
    assert_eq!(answer.header("x-amzn-requestid").unwrap(), event["requestContext"]["requestId"]);
    assert_eq!(answer.header("x-amzn-trace-id").unwrap(), event["headers"]["x-amzn-trace-id"]);

    let upper = HOST.1.to_ascii_uppercase();
    assert_eq!(
        event_of(&ask(&fixture, "GET /_gust/health", &[("Host", &upper)], b"").await)["rawPath"],
        "/_gust/health"
    );
    for (path, expected) in [("", "/"), ("/", "/"), ("/a//b%20c", "/a//b%20c")] {
        let event = event_of(&ask(&fixture, &format!("DELETE /_gust/url/{ID}{path}"), &[], b"").await);
        assert_eq!(event["rawPath"], expected);
        assert_eq!(event["requestContext"]["domainName"], format!("{ID}.lambda-url.us-east-1.localhost"));
    }
    let seen = fake.seen.lock().unwrap();
    assert_eq!(seen[0].invoked_arn, "arn:aws:lambda:us-east-1:222222222222:function:f:live");
    assert_eq!(seen[0].request_id.as_str(), answer.header("x-amzn-requestid").unwrap());
}

#[tokio::test]
async fn results_become_responses() {
    let (fixture, fake) = start(PLAN).await;
    fake.answer_with(
        r#"{"statusCode":201,"headers":{"Content-Type":"text/html","X-A":"b"},"cookies":["a=1","b=2"],"body":"aGk=","isBase64Encoded":true}"#,
    );
    let answer = ask(&fixture, "POST /", &[HOST], b"").await;
    assert_eq!((answer.status, answer.text().as_str()), (201, "hi"));
    assert_eq!((answer.header("content-type"), answer.header("x-a")), (Some("text/html"), Some("b")));
    assert_eq!(answer.head.matches("set-cookie: ").count(), 2);
    for (result, status) in [("{\"statusCode\":204,\"body\":\"x\"}", 204), ("{\"statusCode\":304,\"body\":\"x\"}", 304)]
    {
        fake.answer_with(result);
        let mut stream = TcpStream::connect(fixture.address).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", HOST.1);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")) && text.ends_with("\r\n\r\n"), "{text}");
    }
    fake.answer_with("{\"statusCode\":\"maybe\"}");
    let answer = ask(&fixture, "GET /", &[HOST], b"").await;
    assert_eq!((answer.status, answer.text().as_str()), (502, "Internal Server Error"));
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    fake.answer_with("{\"statusCode\":200,\"body\":\"four\"}");
    let request = format!("HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", HOST.1);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.contains("content-length: 4") && text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn what_is_not_answered_by_the_function_is_worded_as_aws_does() {
    let (fixture, fake) = start(PLAN).await;
    for (host, path) in [
        ("zzz.lambda-url.us-east-1.localhost", "/"),
        ("abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-west-1.localhost", "/"),
        ("127.0.0.1", "/_gust/url/zzz/"),
    ] {
        let answer = ask(&fixture, &format!("GET {path}"), &[("Host", host)], b"").await;
        assert_eq!((answer.status, answer.text().as_str()), (403, "{\"Message\":null}"), "{host}{path}");
        assert_eq!(answer.header("x-amzn-errortype"), Some("AccessDeniedException"));
    }
    let foreign = ("Host", "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.evil.example");
    assert_eq!(ask(&fixture, "GET /", &[foreign], b"").await.status, 403);
    assert_eq!(fake.runs(), 0);
    let throttled = InvokeError::Throttled(ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded);
    for (error, status, text) in [
        (throttled, 429, "Rate Exceeded."),
        (InvokeError::RuntimeUnavailable("no python3.9 here".to_owned()), 502, "no python3.9 here"),
        (InvokeError::Sandbox("/secret".to_owned()), 500, "Internal Server Error"),
        (InvokeError::RecursiveLoop, 400, "recursive loop"),
        (InvokeError::ShuttingDown, 503, "shutting down"),
    ] {
        *fake.answer.lock().unwrap() = Some(Err(error));
        let answer = ask(&fixture, "GET /", &[HOST], b"").await;
        assert_eq!(answer.status, status);
        assert!(answer.text().contains(text) && !answer.text().contains("secret"), "{}", answer.text());
    }
    let (fixture, _) = start(Plan { fails: true, ..PLAN }).await;
    let answer = ask(&fixture, "GET /", &[HOST], b"").await;
    assert_eq!((answer.status, answer.text().as_str()), (502, "Internal Server Error"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn bodies_have_their_bound() {
    let (fixture, fake) = start(PLAN).await;
    let text_type = ("Content-Type", "text/plain");
    let answer = ask(&fixture, "POST /", &[HOST, text_type], &vec![b'a'; 6_200_000]).await;
    assert_eq!(event_of(&answer)["body"].as_str().unwrap().len(), 6_200_000);
    for (kind, bytes) in [("text/plain", 6_291_457), ("text/plain", 6_291_400), ("image/png", 4_800_000)] {
        let answer = ask(&fixture, "POST /", &[HOST, ("Content-Type", kind)], &vec![b'a'; bytes]).await;
        assert_eq!(answer.status, 413, "{kind} {bytes}: the event counts, in base64 where it has to be");
        assert_eq!(answer.header("x-amzn-errortype"), Some("RequestEntityTooLargeException"));
    }
    assert_eq!(fake.runs(), 1);
}

#[tokio::test]
async fn an_iam_url_wants_a_signature() {
    let (fixture, fake) = start(Plan { auth: UrlAuth::AwsIam, ..PLAN }).await;
    let answer = ask(&fixture, "GET /", &[HOST], b"").await;
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (403, Some("AccessDeniedException")));
    assert!(answer.text().starts_with("{\"Message\":\"Forbidden"), "{}", answer.text());
    assert_eq!(ask(&fixture, "GET /", &[HOST, ("Authorization", "Bearer x")], b"").await.status, 403);
    assert_eq!(fake.runs(), 0);
    let authorization = fixture::authorization("111111111111", "lambda");
    let origin = ("Origin", "https://page.example");
    let event = event_of(&ask(&fixture, "GET /", &[HOST, ("Authorization", &authorization), origin], b"").await);
    assert_eq!(event["requestContext"]["accountId"], "111111111111", "pages may send it, as with AWS");
    let iam = &event["requestContext"]["authorizer"]["iam"];
    assert_eq!(
        (&iam["userArn"], &iam["accessKey"]),
        (&json!("arn:aws:iam::111111111111:root"), &json!("111111111111"))
    );
}

/// Headers that sign a request with the one key that the fixture knows.
fn signed(service: &str, secret: &str, path: &str, body: &[u8]) -> Vec<(String, String)> {
    let host = HOST.1;
    let mut headers = http::HeaderMap::new();
    headers.insert("host", host.parse().unwrap());
    let head = Head { method: "POST", path, query: "", headers: &headers, host };
    let signer = Signer {
        access_key_id: "ASIAKNOWN",
        secret_access_key: secret,
        session_token: Some("token"),
        region: "us-east-1",
        service,
    };
    let signed = signer.sign(&head, body, SystemClock.now_ms());
    signed.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_strict_gust_verifies_signatures_and_asks_the_policies() {
    let plan = |auth, decision| Plan { auth, policy: AuthPolicy::Strict, decision: Some(decision), ..PLAN };
    let post = async |fixture: &Fixture, headers: Vec<(String, String)>, body: &[u8]| {
        let mut all: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        all.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
        all.push(HOST);
        ask(fixture, "POST /p", &all, body).await
    };
    let (fixture, fake) = start(plan(UrlAuth::AwsIam, Decision::Allowed)).await;
    let answer = post(&fixture, signed("lambda", "secret", "/p", b"x"), b"x").await;
    assert_eq!(event_of(&answer)["requestContext"]["authorizer"]["iam"]["userArn"], role().arn);
    for headers in [
        signed("lambda", "wrong", "/p", b"x"),
        signed("execute-api", "secret", "/p", b"x"),
        signed("lambda", "secret", "/other", b"x"),
        signed("lambda", "secret", "/p", b"y"),
    ] {
        let answer = post(&fixture, headers, b"x").await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert_eq!(answer.header("x-amzn-errortype"), Some("InvalidSignatureException"));
    }
    assert_eq!((fake.runs(), fake.asked.lock().unwrap().len()), (1, 2));
    let asked = fake.asked.lock().unwrap().clone();
    assert_eq!(asked[0].action, "lambda:InvokeFunctionUrl");
    assert_eq!(asked[0].resource, "arn:aws:lambda:us-east-1:222222222222:function:f:live");
    assert_eq!(asked[0].context, [("lambda:FunctionUrlAuthType".to_owned(), vec!["AWS_IAM".to_owned()])]);
    assert_eq!((asked[0].principal.as_ref(), asked[0].resource_policy.as_deref()), (Some(&role()), Some("{}")));
    assert_eq!(asked[1].action, "lambda:InvokeFunction");
    assert_eq!(asked[1].context, [("lambda:InvokedViaFunctionUrl".to_owned(), vec!["true".to_owned()])]);

    let (fixture, fake) = start(plan(UrlAuth::None, Decision::Allowed)).await;
    assert_eq!(post(&fixture, vec![], b"").await.status, 200);
    let asked = fake.asked.lock().unwrap().clone();
    assert_eq!((asked[0].principal.clone(), asked[0].context[0].1[0].as_str()), (None, "NONE"));
    for auth in [UrlAuth::None, UrlAuth::AwsIam] {
        let (fixture, fake) = start(plan(auth, Decision::NotAllowed("nobody said so".to_owned()))).await;
        let answer = post(&fixture, signed("lambda", "secret", "/p", b""), b"").await;
        assert_eq!((answer.status, fake.runs()), (403, 0));
        assert!(answer.text().starts_with("{\"Message\":\"Forbidden"), "{}", answer.text());
    }
}

#[tokio::test]
async fn cross_origin_requests_follow_the_configuration() {
    let cors = UrlCors {
        allow_origins: vec!["https://a.example".to_owned()],
        allow_methods: vec!["PUT".to_owned()],
        max_age_s: Some(9),
        ..UrlCors::default()
    };
    let (fixture, fake) = start(Plan { auth: UrlAuth::AwsIam, cors: Some(cors), ..PLAN }).await;
    let origin = ("Origin", "https://a.example");
    let asks = ("Access-Control-Request-Method", "PUT");
    let answer = ask(&fixture, "OPTIONS /", &[HOST, origin, asks], b"").await;
    assert_eq!((answer.status, answer.body.len(), fake.runs()), (200, 0, 0), "answered without a signature");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(answer.header("access-control-max-age"), Some("9"));
    assert_eq!(answer.head.matches("access-control-allow-origin").count(), 1);
    let answer = ask(&fixture, "OPTIONS /", &[HOST, ("Origin", "https://b.example"), asks], b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    let answer = ask(&fixture, "GET /", &[HOST, origin], b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, Some("https://a.example")));

    let (fixture, fake) = start(PLAN).await;
    let answer = ask(&fixture, "OPTIONS /", &[HOST, origin, asks], b"").await;
    assert_eq!((answer.status, fake.runs(), answer.header("access-control-allow-origin")), (200, 1, None));
    let answer = ask(&fixture, "GET /_gust/health", &[origin], b"").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

/// Reads until `wanted` has come.
async fn read_until(stream: &mut TcpStream, read: &mut String, wanted: &str) {
    let mut buffer = [0; 4096];
    while !read.contains(wanted) {
        let count = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(count > 0, "ended before {wanted:?}: {read}");
        read.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
}

async fn begin_get(fixture: &Fixture) -> TcpStream {
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", HOST.1).as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_streamed_response_arrives_while_it_is_written() {
    let (fixture, fake) = start(Plan { invoke_mode: UrlInvokeMode::ResponseStream, ..PLAN }).await;
    let prelude = "{\"statusCode\":418,\"headers\":{\"x-a\":\"b\"},\"cookies\":[\"c=1\"]}\0\0\0\0\0\0\0\0";
    let kind = "application/vnd.awslambda.http-integration-response";
    *fake.stream.lock().unwrap() = Some((kind, vec![Some(prelude), Some("first"), None, Some("last")]));
    let mut stream = begin_get(&fixture).await;
    let mut read = String::new();
    read_until(&mut stream, &mut read, "first").await;
    assert!(read.starts_with("HTTP/1.1 418") && read.contains("transfer-encoding: chunked"), "{read}");
    assert!(read.contains("x-a: b\r\n") && read.contains("set-cookie: c=1\r\n") && !read.contains("last"), "{read}");
    fake.go_on.notify_one();
    read_until(&mut stream, &mut read, "0\r\n\r\n").await;
    assert!(read.contains("4\r\nlast\r\n"), "{read}");
    // The connection serves the next request.
    *fake.stream.lock().unwrap() = Some(("text/plain", vec![Some("again")]));
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", HOST.1).as_bytes()).await.unwrap();
    read_until(&mut stream, &mut read, "again").await;
}

#[tokio::test]
async fn a_failure_in_mid_stream_cuts_the_connection() {
    let (fixture, fake) = start(Plan { invoke_mode: UrlInvokeMode::ResponseStream, ..PLAN }).await;
    *fake.stream.lock().unwrap() = Some(("text/plain", vec![Some("half"), None, Some("!")]));
    let mut stream = begin_get(&fixture).await;
    let mut read = String::new();
    read_until(&mut stream, &mut read, "half").await;
    fake.go_on.notify_one();
    let mut rest = String::new();
    let _ = stream.read_to_string(&mut rest).await;
    assert!(!rest.contains("0\r\n\r\n"), "it must not look complete: {rest}");
    *fake.stream.lock().unwrap() = Some(("text/plain", vec![Some("!")]));
    let answer = ask(&fixture, "GET /", &[HOST], b"").await;
    assert_eq!((answer.status, answer.text().as_str()), (502, "Internal Server Error"), "before the first byte");
}
