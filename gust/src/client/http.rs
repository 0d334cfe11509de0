//! One HTTP/1.1 exchange with gust.

use crate::failure::{Context, EXIT_UNREACHABLE, Failure};
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;

/// Longest wait for a connection.
const CONNECT_MS_MAX: u64 = 5_000;
/// Longest wait for an answer: the longest function (15 minutes) and its queueing.
const ANSWER_MS_MAX: u64 = 16 * 60_000;
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1_048_576;

/// A complete answer.
pub struct Answer {
    /// Status and headers.
    pub head: http::response::Parts,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// Sends `request` to the host of `endpoint` and reads the whole answer.
pub async fn exchange(endpoint: &Uri, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    let limit = Duration::from_millis(ANSWER_MS_MAX);
    match tokio::time::timeout(limit, exchange_unbounded(endpoint, request)).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::new(format!("no answer within {} minutes", ANSWER_MS_MAX / 60_000))),
    }
}

async fn exchange_unbounded(endpoint: &Uri, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    let stream = connect(endpoint).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("cannot speak HTTP")?;
    // The connection's own error also reaches the request that waits on it.
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.context("gust broke the connection off")?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.context("cannot read the answer")?.to_bytes();
    driver.abort();
    Ok(Answer { head, body })
}

async fn connect(endpoint: &Uri) -> Result<tokio::net::TcpStream, Failure> {
    let host = endpoint.host().unwrap_or("127.0.0.1").trim_matches(['[', ']']);
    let port = endpoint.port_u16().unwrap_or(80);
    let limit = Duration::from_millis(CONNECT_MS_MAX);
    let refused = |cause: String| Failure {
        exit_code: EXIT_UNREACHABLE,
        ..Failure::new(format!("nothing answers at {endpoint}: {cause}"))
            .hint("start it with `gust up`, or name it with --endpoint URL")
    };
    match tokio::time::timeout(limit, tokio::net::TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(cause)) => Err(refused(cause.to_string())),
        Err(_) => Err(refused(format!("no connection within {} s", CONNECT_MS_MAX / 1_000))),
    }
}
