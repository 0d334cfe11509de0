//! One suite for both transports: a runtime that is driven step by step, over the channel and over HTTP.

use gust_runtime_api::{
    Answer, Channel, FunctionFailure, HttpRuntime, Invocation, RESPONSE_BYTES_MAX, Ready, RuntimeConnection,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// The runtime's end.
enum Runtime {
    Channel(UnixStream),
    Http(BufReader<TcpStream>, String),
}

/// What the runtime saw of an event.
#[derive(Debug, PartialEq)]
struct Seen {
    request_id: String,
    deadline_ms: String,
    arn: String,
    client_context: Option<String>,
    payload: Vec<u8>,
}

async fn channel() -> (RuntimeConnection, Runtime) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (RuntimeConnection::Channel(Channel::new(ours)), Runtime::Channel(theirs))
}

async fn http() -> (RuntimeConnection, Runtime) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connection = RuntimeConnection::Http(HttpRuntime::serve(listener));
    let stream = TcpStream::connect(address).await.unwrap();
    (connection, Runtime::Http(BufReader::new(stream), String::new()))
}

/// Reads one HTTP response: status, headers with lower-case names, body.
async fn read_reply(stream: &mut BufReader<TcpStream>) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let status: u16 = line.split(' ').nth(1).unwrap().parse().unwrap();
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
        headers.push((name.to_owned(), value.to_owned()));
    }
    if status == 100 {
        return (100, headers, Vec::new());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (status, headers, body)
}

impl Runtime {
    async fn frame(stream: &mut UnixStream, kind: u8, body: &[u8]) {
        let mut frame = u32::try_from(body.len() + 1).unwrap().to_le_bytes().to_vec();
        frame.push(kind);
        frame.extend_from_slice(body);
        stream.write_all(&frame).await.unwrap();
    }

    /// Says that it is ready (over HTTP, asking for the first event says so).
    async fn initialised(&mut self) {
        match self {
            Runtime::Channel(stream) => Runtime::frame(stream, b'R', b"").await,
            Runtime::Http(stream, _) => {
                stream.write_all(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            }
        }
    }

    async fn init_failed(&mut self, body: &str) {
        match self {
            Runtime::Channel(stream) => Runtime::frame(stream, b'F', body.as_bytes()).await,
            Runtime::Http(..) => assert_eq!(self.post("init/error", "", body.as_bytes()).await.0, 202),
        }
    }

    /// Waits for the event that it has asked for.
    async fn event(&mut self) -> Seen {
        match self {
            Runtime::Channel(stream) => {
                let length = stream.read_u32_le().await.unwrap() as usize;
                let mut frame = vec![0; length];
                stream.read_exact(&mut frame).await.unwrap();
                assert_eq!(frame[0], b'I');
                let head = u32::from_le_bytes(frame[1..5].try_into().unwrap()) as usize;
                let header: serde_json::Value = serde_json::from_slice(&frame[5..5 + head]).unwrap();
                Seen {
                    request_id: header["request_id"].as_str().unwrap().to_owned(),
                    deadline_ms: header["deadline_ms"].to_string(),
                    arn: header["invoked_function_arn"].as_str().unwrap().to_owned(),
                    client_context: header["client_context"].as_str().map(str::to_owned),
                    payload: frame[5 + head..].to_vec(),
                }
            }
            Runtime::Http(stream, id) => {
                let (status, headers, payload) = read_reply(stream).await;
                assert_eq!(status, 200);
                let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
                *id = header("Lambda-Runtime-Aws-Request-Id").unwrap();
                Seen {
                    request_id: id.clone(),
                    deadline_ms: header("Lambda-Runtime-Deadline-Ms").unwrap(),
                    arn: header("Lambda-Runtime-Invoked-Function-Arn").unwrap(),
                    client_context: header("Lambda-Runtime-Client-Context"),
                    payload,
                }
            }
        }
    }

    /// Answers, and (over HTTP) asks for the next event.
    async fn answer(&mut self, ok: bool, body: &[u8]) {
        match self {
            Runtime::Channel(stream) => Runtime::frame(stream, if ok { b'O' } else { b'E' }, body).await,
            Runtime::Http(_, id) => {
                let path = format!("invocation/{id}/{}", if ok { "response" } else { "error" });
                let status = self.post(&path, "", body).await.0;
                assert!(status == 202 || status == 413, "{status}");
                self.initialised().await;
            }
        }
    }

    /// Begins a streamed response.
    async fn stream_begin(&mut self, content_type: &str) {
        match self {
            Runtime::Channel(stream) => Runtime::frame(stream, b'S', content_type.as_bytes()).await,
            Runtime::Http(stream, id) => {
                let head = format!(
                    "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: x\r\n\
                     Transfer-Encoding: chunked\r\nContent-Type: {content_type}\r\n\
                     Lambda-Runtime-Function-Response-Mode: streaming\r\n\
                     Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
            }
        }
    }

    async fn stream_chunk(&mut self, bytes: &[u8]) {
        match self {
            Runtime::Channel(stream) => Runtime::frame(stream, b'C', bytes).await,
            Runtime::Http(stream, _) => {
                let head = format!("{:x}\r\n", bytes.len());
                stream.write_all(&[head.as_bytes(), bytes, b"\r\n"].concat()).await.unwrap();
            }
        }
    }

    /// Ends a streamed response, and (over HTTP) asks for the next event.
    async fn stream_end(&mut self, fails: bool) {
        match self {
            Runtime::Channel(stream) if fails => Runtime::frame(stream, b'E', b"{\"errorType\":\"Broke\"}").await,
            Runtime::Channel(stream) => Runtime::frame(stream, b'D', b"").await,
            Runtime::Http(stream, _) => {
                // The body is base64 of the same document.
                let trailers = "Lambda-Runtime-Function-Error-Type: Broke\r\n\
                                Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJCcm9rZSJ9\r\n";
                let end = format!("0\r\n{}\r\n", if fails { trailers } else { "" });
                stream.write_all(end.as_bytes()).await.unwrap();
                assert_eq!(read_reply(stream).await.0, 202);
                self.initialised().await;
            }
        }
    }

    async fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let Runtime::Http(stream, _) = self else { panic!("HTTP only") };
        let head = format!(
            "POST /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let (status, _, body) = read_reply(stream).await;
        (status, String::from_utf8(body).unwrap())
    }
}

fn invocation(id: &str, payload: &[u8]) -> Invocation {
    Invocation {
        request_id: id.to_owned(),
        deadline_ms: 1_700_000_000_123,
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        client_context: Some("{\"custom\":{}}".to_owned()),
        payload: payload.to_vec().into(),
        ..Invocation::default()
    }
}

/// Runs `test` over both transports.
macro_rules! over_both {
    ($name:ident, $test:ident) => {
        mod $name {
            #[tokio::test]
            async fn channel() {
                let (connection, runtime) = super::channel().await;
                super::$test(connection, runtime).await;
            }
            #[tokio::test]
            async fn http() {
                let (connection, runtime) = super::http().await;
                super::$test(connection, runtime).await;
            }
        }
    };
}

over_both!(events_go_round, events_go_round_body);
async fn events_go_round_body(mut connection: RuntimeConnection, mut runtime: Runtime) {
    runtime.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);
    assert_eq!(connection.ready().await, Ready::Ready);
    for (id, size) in [("a", 2), ("b", 0), ("c", 300_000), ("d", 6 * 1024 * 1024)] {
        let payload = vec![b'7'; size];
        let echo = async {
            let seen = runtime.event().await;
            runtime.answer(true, &seen.payload).await;
            seen
        };
        let (answer, seen) = tokio::join!(connection.invoke(invocation(id, &payload)), echo);
        assert_eq!(answer, Answer::Response(payload.clone().into()), "{id}");
        let expected = invocation(id, &payload);
        assert_eq!(seen.request_id, id);
        assert_eq!(seen.deadline_ms, "1700000000123");
        assert_eq!(seen.arn, expected.invoked_function_arn);
        assert_eq!(seen.client_context, expected.client_context);
    }
}

over_both!(errors_are_passed_on, errors_are_passed_on_body);
async fn errors_are_passed_on_body(mut connection: RuntimeConnection, mut runtime: Runtime) {
    runtime.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);
    let fail = async {
        runtime.event().await;
        runtime.answer(false, b"{\"errorType\":\"KeyError\"}").await;
    };
    let (answer, ()) = tokio::join!(connection.invoke(invocation("a", b"{}")), fail);
    let failure = FunctionFailure { body: "{\"errorType\":\"KeyError\"}".into(), error_type: None };
    assert_eq!(answer, Answer::Error(failure));
}

over_both!(a_failed_init_is_reported, a_failed_init_is_reported_body);
async fn a_failed_init_is_reported_body(mut connection: RuntimeConnection, mut runtime: Runtime) {
    runtime.init_failed("{\"errorType\":\"Runtime.ImportModuleError\"}").await;
    let Ready::Failed(failure) = connection.ready().await else { panic!("not reported") };
    assert_eq!(failure.kind().as_deref(), Some("Runtime.ImportModuleError"));
}

over_both!(an_oversized_response_leaves_the_runtime_usable, oversized_body);
async fn oversized_body(mut connection: RuntimeConnection, mut runtime: Runtime) {
    runtime.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);
    for (size, fits) in [(RESPONSE_BYTES_MAX + 1, false), (20 << 20, false), (RESPONSE_BYTES_MAX, true)] {
        let response = vec![b'x'; size];
        let answer_it = async {
            runtime.event().await;
            runtime.answer(true, &response).await;
        };
        let (answer, ()) = tokio::join!(connection.invoke(invocation("a", b"{}")), answer_it);
        let expected = if fits { Answer::Response(response.clone().into()) } else { Answer::TooLarge };
        assert!(answer == expected, "{size}");
    }
}

#[tokio::test]
async fn a_runtime_that_hangs_up_is_noticed_on_the_channel() {
    let (mut connection, runtime) = channel().await;
    drop(runtime);
    assert_eq!(connection.ready().await, Ready::Closed);
    let (mut connection, mut runtime) = channel().await;
    runtime.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);
    let leave = async {
        runtime.event().await;
        drop(runtime);
    };
    let (answer, ()) = tokio::join!(connection.invoke(invocation("a", b"{}")), leave);
    assert_eq!(answer, Answer::Closed);
}

#[tokio::test]
async fn http_refuses_what_is_out_of_order_and_what_it_does_not_know() {
    let (mut connection, mut runtime) = http().await;
    let (status, body) = runtime.post("invocation/x/response", "", b"{}").await;
    assert_eq!(status, 403);
    assert!(body.contains("InvalidStateTransition"), "{body}");
    runtime.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);
    connection.begin(invocation("a", b"{}"));
    runtime.event().await;
    let (status, body) = runtime.post("invocation/other/response", "", b"{}").await;
    assert_eq!((status, body.trim()), (400, r#"{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}"#));
    let mode = "Lambda-Runtime-Function-Response-Mode: sideways\r\n";
    assert_eq!(runtime.post("invocation/a/response", mode, b"{}").await.0, 400);
    assert_eq!(runtime.post("init/error", "", b"{}").await.0, 403);
    assert_eq!(runtime.post("nothing", "", b"{}").await.0, 404);
    assert_eq!(runtime.post("invocation/next", "", b"{}").await.0, 405);
    assert_eq!(runtime.post("restore/error", "", b"{}").await.0, 501);
    let (status, body) =
        runtime.post("invocation/a/error", "Lambda-Runtime-Function-Error-Type: Runtime.X\r\n", b"{}").await;
    assert_eq!((status, body.trim()), (202, r#"{"status":"OK"}"#));
    let failure = FunctionFailure { body: "{}".into(), error_type: Some("Runtime.X".to_owned()) };
    assert_eq!(connection.answer().await, Answer::Error(failure));
    assert_eq!(runtime.post("invocation/a/response", "", b"{}").await.0, 403);
}

#[tokio::test]
async fn http_takes_chunked_streams_with_trailers_and_expect_continue() {
    let (mut connection, mut runtime) = http().await;
    runtime.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);

    connection.begin(invocation("a", b"{}"));
    runtime.event().await;
    let Runtime::Http(stream, _) = &mut runtime else { unreachable!() };
    let head = "POST /2018-06-01/runtime/invocation/a/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
                Lambda-Runtime-Function-Response-Mode: streaming\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_reply(stream).await.0, 100);
    stream.write_all(b"3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(collect(&mut connection).await, (None, "[1,2]".to_owned(), Answer::StreamEnded));
    let Runtime::Http(stream, _) = &mut runtime else { unreachable!() };
    assert_eq!(read_reply(stream).await.0, 202);

    runtime.initialised().await;
    connection.begin(invocation("b", b"{}"));
    runtime.event().await;
    let Runtime::Http(stream, _) = &mut runtime else { unreachable!() };
    let head = "POST /2018-06-01/runtime/invocation/b/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
                Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/plain\r\n\
                Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n\
                1\r\n[\r\n0\r\nLambda-Runtime-Function-Error-Type: Runtime.Broke\r\n\
                Lambda-Runtime-Function-Error-Body: e30=\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let failure = FunctionFailure { body: "{}".into(), error_type: Some("Runtime.Broke".to_owned()) };
    let expected = (Some("text/plain".to_owned()), "[".to_owned(), Answer::Error(failure));
    assert_eq!(collect(&mut connection).await, expected);
    let Runtime::Http(stream, _) = &mut runtime else { unreachable!() };
    assert_eq!(read_reply(stream).await.0, 202);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_noticed_over_http() {
    let (mut connection, mut runtime) = http().await;
    runtime.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);
    connection.begin(invocation("a", b"{}"));
    runtime.event().await;
    runtime.stream_begin("text/plain").await;
    runtime.stream_chunk(b"half").await;
    drop(runtime);
    assert_eq!(collect(&mut connection).await, (Some("text/plain".to_owned()), "half".to_owned(), Answer::Truncated));
}

/// Takes a streamed response to its end.
async fn collect(connection: &mut RuntimeConnection) -> (Option<String>, String, Answer) {
    let Answer::StreamBegun(content_type) = connection.answer().await else { panic!("no stream") };
    let mut text = String::new();
    loop {
        match connection.answer().await {
            Answer::Chunk(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            end => return (content_type, text, end),
        }
    }
}

over_both!(responses_are_streamed, responses_are_streamed_body);
async fn responses_are_streamed_body(mut connection: RuntimeConnection, mut runtime: Runtime) {
    runtime.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);
    for fails in [false, true] {
        let begin = async {
            runtime.event().await;
            runtime.stream_begin("text/html; charset=utf-8").await;
        };
        let (answer, ()) = tokio::join!(connection.invoke(invocation("a", b"{}")), begin);
        assert_eq!(answer, Answer::StreamBegun(Some("text/html; charset=utf-8".to_owned())));
        for chunk in ["one", "two"] {
            runtime.stream_chunk(chunk.as_bytes()).await;
            assert_eq!(connection.answer().await, Answer::Chunk(chunk.into()), "each comes when it is written");
        }
        let (answer, ()) = tokio::join!(connection.answer(), runtime.stream_end(fails));
        match fails {
            false => assert_eq!(answer, Answer::StreamEnded),
            true => {
                let Answer::Error(failure) = answer else { panic!("{answer:?}") };
                assert_eq!(failure.body, "{\"errorType\":\"Broke\"}");
            }
        }
    }
    let echo = async {
        runtime.event().await;
        runtime.answer(true, b"1").await;
    };
    let (answer, ()) = tokio::join!(connection.invoke(invocation("b", b"{}")), echo);
    assert_eq!(answer, Answer::Response("1".into()), "and then as before");
}

over_both!(a_stream_that_nobody_takes_holds_the_runtime_up, held_up_body);
async fn held_up_body(mut connection: RuntimeConnection, mut runtime: Runtime) {
    runtime.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);
    let begin = async {
        runtime.event().await;
        runtime.stream_begin("").await;
    };
    let (answer, ()) = tokio::join!(connection.invoke(invocation("a", b"{}")), begin);
    assert!(matches!(answer, Answer::StreamBegun(_)));
    const TOTAL: usize = 64 << 20;
    let written = std::sync::atomic::AtomicUsize::new(0);
    let write = async {
        while written.load(std::sync::atomic::Ordering::Relaxed) < TOTAL {
            runtime.stream_chunk(&[b'x'; 1 << 16]).await;
            written.fetch_add(1 << 16, std::sync::atomic::Ordering::Relaxed);
        }
        runtime.stream_end(false).await;
    };
    tokio::pin!(write);
    let stuck = tokio::time::timeout(std::time::Duration::from_millis(300), write.as_mut()).await;
    assert!(stuck.is_err(), "nobody read, and still all was taken");
    assert!(written.load(std::sync::atomic::Ordering::Relaxed) < TOTAL / 2);
    let read = async {
        let mut bytes = 0;
        loop {
            match connection.answer().await {
                Answer::Chunk(chunk) => bytes += chunk.len(),
                Answer::StreamEnded => return bytes,
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(tokio::join!(read, write).0, TOTAL);
}

#[tokio::test]
async fn http_serves_the_newest_of_two_waiting_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut connection = RuntimeConnection::Http(HttpRuntime::serve(listener));
    let connect = || async { Runtime::Http(BufReader::new(TcpStream::connect(address).await.unwrap()), String::new()) };
    let mut first = connect().await;
    first.initialised().await;
    assert_eq!(connection.ready().await, Ready::Ready);
    let mut second = connect().await;
    second.initialised().await;
    let Runtime::Http(stream, _) = &mut first else { unreachable!() };
    assert_eq!(read_reply(stream).await.0, 403);
    let echo = async {
        second.event().await;
        second.answer(true, b"1").await;
    };
    let (answer, ()) = tokio::join!(connection.invoke(invocation("a", b"{}")), echo);
    assert_eq!(answer, Answer::Response("1".into()));
}
