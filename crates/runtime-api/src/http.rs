//! The Lambda Runtime API over HTTP/1.1, for custom runtimes. The listener identifies the environment.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. A response that a runtime
//! streams (`Lambda-Runtime-Function-Response-Mode: streaming`,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming>) is passed
//! on part by part, and no faster than it is taken. Calls of the Extensions, Telemetry and Logs
//! APIs go to the environment's [`EnvironmentApi`]; SnapStart's restore calls are refused by name.

use crate::extension_calls;
use crate::http_reply::{self as reply, Reply};
use crate::http_state::{Next, Refusal, Shared};
use crate::{
    Answer, CONNECTIONS_MAX, CONTENT_TYPE_BYTES_MAX, EnvironmentApi, FunctionFailure, Invocation,
    OVERSIZE_DRAIN_BYTES_MAX, RESPONSE_BYTES_MAX, Ready,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

/// One environment's Runtime API.
pub struct HttpRuntime {
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Drop for HttpRuntime {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl HttpRuntime {
    /// Serves `listener` until it is dropped. Must be called inside a tokio runtime.
    pub fn serve(listener: TcpListener) -> HttpRuntime {
        HttpRuntime::serve_with(listener, None)
    }

    /// Serves `listener` until it is dropped, together with the calls of `api`. Must be called inside a tokio runtime.
    pub fn serve_with(listener: TcpListener, api: Option<Arc<EnvironmentApi>>) -> HttpRuntime {
        let shared = Arc::new(Shared::new());
        let accepting = tokio::spawn(accept(listener, Some(shared.clone()), api)).abort_handle();
        HttpRuntime { shared, accepting }
    }

    pub(crate) async fn ready(&mut self) -> Ready {
        self.shared.ready().await
    }

    pub(crate) fn begin(&mut self, invocation: Invocation) {
        self.shared.begin(invocation);
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.shared.answer().await
    }

    pub(crate) async fn settled(&mut self) {
        self.shared.settled().await;
    }
}

/// Accepts until aborted; the connections end with it, because the set aborts them when it is dropped. Without `shared` the
/// runtime does not speak HTTP.
pub(crate) async fn accept(listener: TcpListener, shared: Option<Arc<Shared>>, api: Option<Arc<EnvironmentApi>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (shared, api) = (shared.clone(), api.clone());
                connections.spawn(async move {
                    if is_let_in(&stream, peer, api.as_deref()).await {
                        serve_connection(stream, shared, api).await;
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to the runtime API could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Whether a connection comes from inside, where that has to be asked.
async fn is_let_in(stream: &TcpStream, peer: SocketAddr, api: Option<&EnvironmentApi>) -> bool {
    let Some(guard) = api.and_then(EnvironmentApi::guard) else { return true };
    let Ok(local) = stream.local_addr() else { return false };
    let is_inside = guard.is_inside(peer, local).await;
    if !is_inside {
        tracing::warn!(%peer, %local, "a connection to a Runtime API was refused: it does not come from its environment");
    }
    is_inside
}

async fn serve_connection(stream: TcpStream, shared: Option<Arc<Shared>>, api: Option<Arc<EnvironmentApi>>) {
    // Answers are small and waited for: they must not wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let service = service_fn(move |request| {
        let (shared, api) = (shared.clone(), api.clone());
        async move { Ok::<_, Infallible>(handle(shared.as_deref(), api.as_deref(), request).await) }
    });
    // No half-close: a runtime that hangs up while it waits must be noticed before an event is sent to it.
    let served = hyper::server::conn::http1::Builder::new()
        .keep_alive(true)
        .title_case_headers(true)
        .auto_date_header(false)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a runtime's connection broke");
    }
}

const PREFIX: &str = "/2018-06-01/runtime/";
const REFUSED_PREFIXES: [&str; 2] = ["/2018-06-01/runtime/restore/", "/2018-06-01/ping"];

async fn handle(shared: Option<&Shared>, api: Option<&EnvironmentApi>, request: Request<Incoming>) -> Reply {
    let (parts, mut body) = request.into_parts();
    let answered = match api {
        Some(api) => extension_calls::answer(api, &parts, &mut body).await,
        None => None,
    };
    let reply = match (answered, shared) {
        (Some(reply), _) => reply,
        (None, Some(shared)) => route(shared, &parts, &mut body).await,
        // The runtime is on the private channel: whoever asks here has come too late.
        (None, None) if parts.uri.path().starts_with(PREFIX) => {
            reply::refused(&Refusal::State { from: "RuntimeReady", to: "RuntimeReady" })
        }
        (None, None) => reply::unknown(StatusCode::NOT_FOUND),
    };
    // A refused body is read as well, or the connection would break under the runtime's hands.
    if !body.is_end_stream() {
        read_body(&mut body).await;
    }
    reply
}

async fn route(shared: &Shared, parts: &Parts, body: &mut Incoming) -> Reply {
    let path = parts.uri.path();
    if REFUSED_PREFIXES.iter().any(|refused| path.starts_with(refused)) {
        return reply::not_implemented(path);
    }
    let Some(route) = path.strip_prefix(PREFIX) else { return reply::unknown(StatusCode::NOT_FOUND) };
    let segments: Vec<&str> = route.trim_end_matches('/').split('/').collect();
    let (get, post) = (parts.method == Method::GET, parts.method == Method::POST);
    match segments.as_slice() {
        ["invocation", "next"] if get => next(shared).await,
        ["invocation", id, "response"] if post => response(shared, id, &parts.headers, body).await,
        ["invocation", id, "error"] if post => error(shared, id, &parts.headers, body).await,
        ["init", "error"] if post => init_error(shared, &parts.headers, body).await,
        ["invocation", "next"] | ["invocation", _, "response" | "error"] | ["init", "error"] => {
            reply::unknown(StatusCode::METHOD_NOT_ALLOWED)
        }
        _ => reply::unknown(StatusCode::NOT_FOUND),
    }
}

async fn next(shared: &Shared) -> Reply {
    match shared.next() {
        Ok(Next::Now(invocation)) => reply::event(invocation),
        Ok(Next::Wait(waiting)) => match waiting.event().await {
            Some(invocation) => reply::event(invocation),
            None => reply::refused(&Refusal::State { from: "RuntimeReady", to: "RuntimeReady" }),
        },
        Err(refusal) => reply::refused(&refusal),
    }
}

const RESPONSE_STATE: &str = "RuntimeInvocationResponse";
const ERROR_STATE: &str = "RuntimeInvocationErrorResponse";

fn may_answer(shared: &Shared, id: &str, headers: &HeaderMap, to: &'static str) -> Result<(), Refusal> {
    if let Some(invocation_id) = header(headers, reply::INVOCATION_ID.as_str()) {
        shared.is_current(&invocation_id)?;
    }
    shared.may_answer(id, to)
}

async fn response(shared: &Shared, id: &str, headers: &HeaderMap, body: &mut Incoming) -> Reply {
    if let Err(refusal) = may_answer(shared, id, headers, RESPONSE_STATE) {
        return reply::refused(&refusal);
    }
    match header(headers, "lambda-runtime-function-response-mode") {
        Some(mode) if mode.eq_ignore_ascii_case("streaming") => return streamed(shared, id, headers, body).await,
        Some(_) => return reply::invalid_response_mode(),
        None => {}
    }
    let (answer, told) = match read_body(body).await {
        Body::Whole(bytes) => (Answer::Response(bytes), reply::accepted()),
        Body::TooLarge => (Answer::TooLarge, reply::too_large()),
        Body::Truncated => return reply::truncated(),
    };
    match shared.answered(id, RESPONSE_STATE, answer) {
        Ok(()) => told,
        Err(refusal) => reply::refused(&refusal),
    }
}

/// Passes a response on while the runtime still writes it.
async fn streamed(shared: &Shared, id: &str, headers: &HeaderMap, body: &mut Incoming) -> Reply {
    let stream = match shared.stream(id, RESPONSE_STATE) {
        Ok(stream) => stream,
        Err(refusal) => return reply::refused(&refusal),
    };
    let content_type = header(headers, "content-type").filter(|text| text.len() <= CONTENT_TYPE_BYTES_MAX);
    stream.put(Answer::StreamBegun(content_type)).await;
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        // Dropping the stream tells gust that it was broken off.
        let Ok(frame) = frame else { return reply::truncated() };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => stream.put(Answer::Chunk(data)).await,
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    stream.end(streamed_error(trailers.as_ref()).map_or(Answer::StreamEnded, Answer::Error)).await;
    reply::accepted()
}

async fn error(shared: &Shared, id: &str, headers: &HeaderMap, body: &mut Incoming) -> Reply {
    if let Err(refusal) = may_answer(shared, id, headers, ERROR_STATE) {
        return reply::refused(&refusal);
    }
    let error_type = header(headers, "lambda-runtime-function-error-type");
    let (answer, told) = match read_body(body).await {
        Body::Whole(body) => (Answer::Error(FunctionFailure { body, error_type }), reply::accepted()),
        Body::TooLarge => (Answer::TooLarge, reply::too_large()),
        Body::Truncated => return reply::truncated(),
    };
    match shared.answered(id, ERROR_STATE, answer) {
        Ok(()) => told,
        Err(refusal) => reply::refused(&refusal),
    }
}

async fn init_error(shared: &Shared, headers: &HeaderMap, body: &mut Incoming) -> Reply {
    if let Err(refusal) = shared.may_fail_init() {
        return reply::refused(&refusal);
    }
    let error_type = header(headers, "lambda-runtime-function-error-type");
    let body = match read_body(body).await {
        Body::Whole(bytes) => bytes,
        Body::TooLarge => return reply::too_large(),
        Body::Truncated => return reply::truncated(),
    };
    match shared.init_failed(FunctionFailure { body, error_type }) {
        Ok(()) => reply::accepted(),
        Err(refusal) => reply::refused(&refusal),
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The error that a runtime reports behind the body of a streamed response.
fn streamed_error(trailers: Option<&HeaderMap>) -> Option<FunctionFailure> {
    let error_type = header(trailers?, "lambda-runtime-function-error-type")?;
    let encoded = header(trailers?, "lambda-runtime-function-error-body").unwrap_or_default();
    let body = BASE64_STANDARD.decode(&encoded).ok().filter(|body| !body.is_empty()).map(Bytes::from);
    let body = body.unwrap_or_else(|| serde_json::json!({ "errorType": error_type }).to_string().into());
    Some(FunctionFailure { body, error_type: Some(error_type) })
}

enum Body {
    Whole(Bytes),
    TooLarge,
    Truncated,
}

/// Reads a body. One that comes in one piece is not copied; of one that is too large, the rest is read and
/// thrown away, so that the runtime lives to see the refusal.
async fn read_body(body: &mut Incoming) -> Body {
    let (mut first, mut rest, mut total) = (Bytes::new(), BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Body::Truncated };
        let Ok(data) = frame.into_data() else { continue };
        total = total.saturating_add(data.len());
        if total > OVERSIZE_DRAIN_BYTES_MAX {
            return Body::TooLarge;
        }
        if total > RESPONSE_BYTES_MAX {
            (first, rest) = (Bytes::new(), BytesMut::new());
        } else if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(total);
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
    }
    if total > RESPONSE_BYTES_MAX {
        return Body::TooLarge;
    }
    Body::Whole(if rest.is_empty() { first } else { rest.freeze() })
}
