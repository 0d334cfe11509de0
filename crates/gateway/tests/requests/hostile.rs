//! What no honest client sends: refused or cut, never misunderstood, and never the end of anybody else's requests.

use crate::fixture::{Fixture, ask, authorization, read_answer, start};
use gust_gateway::{AuthPolicy, ConnectionOrigin};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const INVOKE: &str = "POST /2015-03-31/functions/a/invocations HTTP/1.1\r\nHost: localhost\r\n";

async fn gust() -> Fixture {
    start(AuthPolicy::Open, ConnectionOrigin::Public).await
}

/// Sends `bytes`, ends the sending side, and reads all that comes back.
async fn exchange(fixture: &Fixture, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    // The gateway may hang up before it has read everything.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "neither answered nor cut: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)]));
    String::from_utf8_lossy(&answer).into_owned()
}

fn calls(fixture: &Fixture) -> usize {
    fixture.behaviour.calls.load(Ordering::SeqCst)
}

#[tokio::test]
async fn lengths_that_contradict_each_other_reach_no_operation() {
    let fixture = gust().await;
    let lambda = authorization("test", "lambda");
    for framing in [
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "Content-Length: 2, 3\r\n\r\n{}x",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: +2\r\n\r\n{}",
        "Content-Length: 0x2\r\n\r\n{}",
        "Content-Length: 99999999999999999999\r\n\r\n{}",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
        "Transfer-Encoding: gzip\r\n\r\n{}",
        "Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "Content-Length: 10\r\n\r\n{}",
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ] {
        let answer = exchange(&fixture, format!("{INVOKE}Authorization: {lambda}\r\n{framing}").as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{framing}: {answer}");
        assert_eq!(calls(&fixture), 0, "{framing}");
    }
}

#[tokio::test]
async fn nothing_is_smuggled_behind_a_chunked_body() {
    let fixture = gust().await;
    let lambda = authorization("test", "lambda");
    // Whoever believed the length would take the rest for a request of its own.
    let smuggled = format!("{INVOKE}Authorization: {lambda}\r\nContent-Length: 2\r\n\r\n{{}}");
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let request =
        format!("{INVOKE}Authorization: {lambda}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}");
    let answer = exchange(&fixture, request.as_bytes()).await;
    assert!(calls(&fixture) <= 1, "{answer}");
    assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let fixture = gust().await;
    let lambda = authorization("test", "lambda");
    let requests: String = (0..50)
        .map(|number| {
            let body = format!("[{number}]");
            format!("{INVOKE}Authorization: {lambda}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        })
        .collect();
    let answer = exchange(&fixture, requests.as_bytes()).await;
    let bodies: Vec<&str> = answer.split("\r\n\r\n").skip(1).map(|rest| rest.split("HTTP/").next().unwrap()).collect();
    let expected: Vec<String> = (0..50).map(|number| format!("[{number}]")).collect();
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn what_is_no_http_is_cut() {
    let fixture = gust().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /_gust/health\r\n\r\n",
        b"GET /_gust/health HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET\x00 /_gust/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /_gust/health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
        b"GET /_gust/health HTTP/1.1\r\nHost: localhost\r\nX\x00Y: a\r\n\r\n",
        b"GET /_gust/health HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\r\n\r\n\r\n\r\n",
        b"",
    ] {
        let answer = exchange(&fixture, bytes).await;
        let refused =
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || !answer.is_ascii() || !answer.contains("200 OK");
        assert!(refused, "{:?}: {answer}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(ask(&fixture, "GET /_gust/health", &[], b"").await.status, 200);
}

#[tokio::test]
async fn odd_targets_are_answered_and_understood_as_nothing() {
    let fixture = gust().await;
    let long = format!("/{}", "a".repeat(8_000));
    for (target, host) in [
        ("/../../etc/passwd", "localhost"),
        ("/_gust/code/../../etc/passwd", "localhost"),
        ("/_gust/url/", "localhost"),
        ("/_gust/url/%2e%2e/x", "localhost"),
        ("//evil.example/", "localhost"),
        ("/%00%ff%zz", "localhost"),
        (long.as_str(), "localhost"),
        ("/", "[::1"),
        ("/", ".lambda-url.us-east-1.localhost"),
        ("/", "a.lambda-url.us-east-1."),
    ] {
        let answer = ask(&fixture, &format!("GET {target}"), &[("Host", host)], b"").await;
        assert!((400..500).contains(&answer.status), "{target} at {host}: {}", answer.status);
    }
    assert_eq!(calls(&fixture), 0);
}

#[tokio::test]
async fn deep_json_is_refused_and_nothing_else() {
    let fixture = gust().await;
    let logs = authorization("test", "logs");
    let headers = [("Authorization", logs.as_str()), ("X-Amz-Target", "Logs_1.Describe")];
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"Name\":", "}")] {
        for depth in [127, 1_000, 1_000_000] {
            let body = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let answer = ask(&fixture, "POST /", &headers, body.as_bytes()).await;
            assert!(answer.status == 400 || answer.status == 200, "{open} {depth}: {}", answer.status);
        }
        let unclosed = open.repeat(1_000_000);
        assert_eq!(ask(&fixture, "POST /", &headers, unclosed.as_bytes()).await.status, 400);
    }
    assert_eq!(ask(&fixture, "POST /", &headers, b"{\"Name\":\"x\"}").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_trickles_its_body_is_told_so() {
    let fixture = gust().await;
    let lambda = authorization("test", "lambda");
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let head = format!("{INVOKE}Authorization: {lambda}\r\nContent-Length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    // The clock runs ahead while everybody waits.
    let answer = tokio::time::timeout(Duration::from_secs(90), read_answer(&mut stream)).await.unwrap();
    assert_eq!((answer.status, calls(&fixture)), (408, 0));
}

#[tokio::test]
async fn connections_that_send_nothing_do_not_keep_others_out() {
    let fixture = gust().await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(fixture.address).await.unwrap());
    }
    assert_eq!(ask(&fixture, "GET /_gust/health", &[], b"").await.status, 200);
}
