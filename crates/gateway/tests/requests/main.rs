//! Whole requests over real sockets, against services that exist only here.

mod fixture;
mod hostile;
mod urls;

use fixture::{FORM, OnlyInvoke, WHO_BODY, WorldOptions, account, ask, authorization, role, send, start, start_world};
use gust_auth::{Head, Signer};
use gust_gateway::{AuthPolicy, ConnectionOrigin};
use gust_kit::Principal;
use gust_types::{Clock, SystemClock};
use http::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
        (
            ConnectionOrigin::Public,
            "111111111111",
            "111111111111 arn:aws:iam::111111111111:root eu-west-1 http://127.0.0.1:4566",
        ),
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
    let image = "GET /?Action=Who&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test%2F20260101%2F\
                 us-east-1%2Fsts%2Faws4_request&X-Amz-Signature=0";
    let answer = ask(&fixture, image, &[("Sec-Fetch-Site", "cross-site")], b"").await;
    assert_eq!(answer.status, 403, "an image in a page");
    assert_eq!(fixture.behaviour.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn own_routes_answer() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    for (line, status, text) in [
        ("GET /_gust/health", 200, "{\"pid\":1,\"status\":\"ok\"}"),
        ("GET /_localstack/health", 200, "\"status\":\"ok\""),
        ("POST /_gust/reset", 409, "--ephemeral"),
        ("GET /_gust/clock", 404, "knows nothing"),
        ("GET /_gust/code/abc?v=1", 200, "zip"),
        ("GET /_gust/code/abd", 404, "no such link"),
    ] {
        let answer = ask(&fixture, line, &[], b"").await;
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.text().contains(text), "{line}: {}", answer.text());
    }
}

#[tokio::test]
async fn what_no_policy_allows_does_not_run() {
    let options = WorldOptions { authorizer: Some(Arc::new(OnlyInvoke)), ..Default::default() };
    let fixture = start_world(AuthPolicy::Open, ConnectionOrigin::Public, options).await;
    let (lambda, logs, sts) = (authorization("1", "lambda"), authorization("1", "logs"), authorization("1", "sts"));
    let invoke = "POST /2015-03-31/functions/a/invocations";
    let answer = ask(&fixture, invoke, &[("Authorization", &lambda)], b"{}").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let calls = fixture.behaviour.calls.load(Ordering::SeqCst);
    let headers = [("Authorization", logs.as_str()), ("X-Amz-Target", "Logs_1.Describe")];
    let answer = ask(&fixture, "POST /", &headers, b"{}").await;
    let message = "User: arn:aws:iam::000000000000:root is not authorized to perform: logs:Describe on resource: \
                   arn:aws:test:us-east-1:111111111111:thing/a because no identity-based policy allows the logs:Describe action";
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("AccessDeniedException") && answer.text().contains(message), "{}", answer.text());
    let answer = ask(&fixture, "POST /", &[("Authorization", &sts), FORM], WHO_BODY).await;
    assert!(answer.status == 403 && answer.text().contains("<Code>AccessDenied</Code>"), "{}", answer.text());
    assert_eq!(ask(&fixture, "GET /_gust/stats", &[("Authorization", &lambda)], b"").await.status, 403);
    assert_eq!(fixture.behaviour.calls.load(Ordering::SeqCst), calls);
}

#[tokio::test]
async fn what_a_proxy_passes_on_is_from_elsewhere() {
    let fixture = start(AuthPolicy::Strict, ConnectionOrigin::Public).await;
    for header in [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")] {
        let answer = ask(&fixture, "GET /_gust/health", &[header], b"").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "{\"status\":\"ok\"}"));
        assert_eq!(ask(&fixture, "POST /_gust/reset", &[header], b"").await.status, 403);
    }
    let inside = start(AuthPolicy::Strict, ConnectionOrigin::Environment(role())).await;
    assert_eq!(ask(&inside, "GET /_gust/health", &[], b"").await.text(), "{\"status\":\"ok\"}");
}

#[tokio::test]
async fn statistics_are_shown_to_a_known_caller() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let signed = authorization("123456789012", "lambda");
    let answer = ask(&fixture, "GET /_gust/stats", &[("Authorization", &signed)], b"").await;
    assert_eq!((answer.status, answer.text()), (200, "{\"account\":\"123456789012\"}".into()));
    assert_eq!(ask(&fixture, "GET /_gust/stats", &[], b"").await.status, 403);
    let page = [("Authorization", signed.as_str()), ("Origin", "https://evil.example")];
    assert_eq!(ask(&fixture, "GET /_gust/stats", &page, b"").await.status, 403);
    let fixture = start(AuthPolicy::Strict, ConnectionOrigin::Public).await;
    assert_eq!(ask(&fixture, "GET /_gust/stats", &[("Authorization", &signed)], b"").await.status, 403);
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Environment(role())).await;
    assert_eq!(ask(&fixture, "GET /_gust/stats", &[("Authorization", &signed)], b"").await.status, 403);
}

#[tokio::test]
async fn the_clock_is_moved_from_this_machine_only() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    for (body, status, text) in [
        ("{\"advance_ms\":1000}", 200, "{\"now_ms\":1700000001000}"),
        ("{\"advance_ms\":0}", 200, "{\"now_ms\":1700000000000}"),
        ("{\"advance_ms\":2000}", 409, "--ephemeral"),
        ("{\"advance_ms\":-1}", 400, "at least 0"),
        ("{\"advance_ms\":\"1\"}", 400, "the body has to be"),
        ("{\"advance_ms\":1,\"other\":1}", 400, "the body has to be"),
        ("", 400, "the body has to be"),
    ] {
        let answer = ask(&fixture, "POST /_gust/clock", &[], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{body}");
        assert!(answer.text().contains(text), "{body}: {}", answer.text());
    }
    let body = b"{\"advance_ms\":1}";
    let long = vec![b' '; 2_000];
    assert_eq!(ask(&fixture, "POST /_gust/clock", &[], &long).await.status, 400);
    for header in
        [("Host", "evil.example:4566"), ("Origin", "https://evil.example"), ("X-Forwarded-For", "203.0.113.9")]
    {
        assert_eq!(ask(&fixture, "POST /_gust/clock", &[header], body).await.status, 403, "{header:?}");
    }
    let inside = start(AuthPolicy::Open, ConnectionOrigin::Environment(role())).await;
    assert_eq!(ask(&inside, "POST /_gust/clock", &[], body).await.status, 403);
}

#[tokio::test]
async fn a_function_cannot_reset() {
    let environment = ConnectionOrigin::Environment(role());
    let fixture = start(AuthPolicy::Open, environment).await;
    assert_eq!(ask(&fixture, "POST /_gust/reset", &[], b"").await.status, 403);
}

#[tokio::test]
async fn what_gust_lacks_is_named() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let sqs = authorization("test", "sqs");
    let answer =
        ask(&fixture, "POST /", &[("Authorization", &sqs), ("X-Amz-Target", "AmazonSQS.SendMessage")], b"{}").await;
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
    let signer = Signer {
        access_key_id: key,
        secret_access_key: secret,
        session_token: token,
        region: "eu-west-1",
        service: "sts",
    };
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
    let request =
        format!("POST /stuck HTTP/1.1\r\nHost: localhost\r\nAuthorization: {lambda}\r\nContent-Length: 0\r\n\r\n");
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
    let request =
        format!("POST /stuck HTTP/1.1\r\nHost: localhost\r\nAuthorization: {lambda}\r\nContent-Length: 0\r\n\r\n");
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

#[tokio::test(start_paused = true)]
async fn a_client_that_trickles_its_headers_is_cut() {
    let fixture = start(AuthPolicy::Open, ConnectionOrigin::Public).await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(b"GET /_gust/health HTTP/1.1\r\nHost: ").await.unwrap();
    // The clock runs ahead while everybody waits.
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok() && answer.is_empty(), "{answer:?}");
}
