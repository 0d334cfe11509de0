//! A request before decoding and a response after encoding, free of any HTTP server.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use std::fmt;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct WireRequest<'a> {
    /// The method, for example `POST`.
    pub method: &'a str,
    /// The path as sent: nothing decoded, nothing normalised.
    pub path: &'a str,
    /// The query as sent, without the question mark; empty if there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a http::HeaderMap,
    /// The body, complete. A payload member shares it without a copy.
    pub body: Bytes,
}

impl WireRequest<'_> {
    /// The text of a header, if it is present and visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A body that is sent while it is made.
pub struct BodyStream(pub BoxStream<'static, Result<Bytes, StreamCut>>);

/// Why a body ends before it is complete: the connection is cut, so that nobody takes it for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCut;

impl fmt::Display for StreamCut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the response broke off")
    }
}

impl std::error::Error for StreamCut {}

impl fmt::Debug for BodyStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BodyStream")
    }
}

/// A response to send.
#[derive(Debug)]
pub struct WireResponse {
    /// The HTTP status.
    pub status: u16,
    /// Header names (lower case where they are ours) with values free of control characters.
    pub headers: Vec<(String, String)>,
    /// The body; empty means none.
    pub body: Bytes,
    /// What is sent in place of `body`, where the response goes on after its head.
    pub stream: Option<BodyStream>,
}

impl WireResponse {
    /// A response with a status and the header that carries the request's id.
    pub fn new(status: u16, request_id: &str) -> WireResponse {
        let mut response = WireResponse { status, headers: Vec::with_capacity(4), body: Bytes::new(), stream: None };
        response.set_header("x-amzn-requestid", request_id);
        response
    }

    /// The value of a header, its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Sets a header. Control characters, which no header may hold, become spaces.
    pub fn set_header(&mut self, name: &str, value: &str) {
        let value = if value.contains(|c: char| c.is_control()) {
            value.replace(|c: char| c.is_control(), " ")
        } else {
            value.to_owned()
        };
        match self.headers.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.headers.push((name.to_owned(), value)),
        }
    }
}
