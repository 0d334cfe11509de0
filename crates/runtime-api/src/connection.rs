//! What both transports have in common.

use crate::{Channel, HttpRuntime};
use bytes::Bytes;

/// One event on its way to a runtime.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// The request id.
    pub request_id: String,
    /// Identifies this very attempt, which a request id that somebody chose does not; over HTTP only.
    pub invocation_id: Option<String>,
    /// When the function's time is up, in milliseconds since the epoch.
    pub deadline_ms: i64,
    /// The ARN as it was invoked.
    pub invoked_function_arn: String,
    /// The tracing header.
    pub trace_id: Option<String>,
    /// The mobile client context: JSON text.
    pub client_context: Option<String>,
    /// The Cognito identity: JSON text.
    pub cognito_identity: Option<String>,
    /// The tenant, for functions with tenant isolation.
    pub tenant_id: Option<String>,
    /// The event: JSON.
    pub payload: Bytes,
}

/// How a runtime's initialisation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// It waits for the first invocation.
    Ready,
    /// It reported an error (`/runtime/init/error`).
    Failed(FunctionFailure),
    /// It hung up without a word.
    Closed,
}

/// How an invocation ended, or goes on, as the runtime tells it.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The function's response.
    Response(Bytes),
    /// A streamed response begins: chunks follow until another answer ends it. The text is its content type,
    /// if the runtime named one.
    StreamBegun(Option<String>),
    /// The next part of a streamed response. The runtime is held up until the one after it is waited for.
    Chunk(Bytes),
    /// The good end of a streamed response.
    StreamEnded,
    /// A streamed response broke off without an end; the runtime may live or not.
    Truncated,
    /// The function's error, also at the end of a streamed response.
    Error(FunctionFailure),
    /// The response exceeds [`crate::RESPONSE_BYTES_MAX`]; the runtime was told and lives on.
    TooLarge,
    /// The runtime hung up in mid-request.
    Closed,
}

/// An error that a runtime reported.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionFailure {
    /// The error document (`errorMessage`, `errorType`, `stackTrace`), passed on as it is.
    pub body: Bytes,
    /// `Lambda-Runtime-Function-Error-Type`, if the runtime named one.
    pub error_type: Option<String>,
}

impl FunctionFailure {
    /// The kind of error: the header, else `errorType` of the document.
    pub fn kind(&self) -> Option<String> {
        let from_body = || {
            let document: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
            document.get("errorType")?.as_str().map(str::to_owned)
        };
        self.error_type.clone().filter(|kind| kind.contains('.')).or_else(from_body)
    }
}

/// A connection to one environment's runtime: one request at a time.
pub enum RuntimeConnection {
    /// The private channel.
    Channel(Channel),
    /// The HTTP Runtime API.
    Http(HttpRuntime),
}

impl RuntimeConnection {
    /// Whether it is the HTTP Runtime API.
    pub fn is_http(&self) -> bool {
        matches!(self, RuntimeConnection::Http(_))
    }

    /// Waits until the runtime is initialised. Cancel safe; the caller brings the time limit.
    pub async fn ready(&mut self) -> Ready {
        match self {
            RuntimeConnection::Channel(channel) => channel.ready().await,
            RuntimeConnection::Http(http) => http.ready().await,
        }
    }

    /// Whether the runtime has kept quiet since its last answer. One that has not is not trusted with another event: what it
    /// has said would be taken for the answer.
    pub fn is_quiet(&mut self) -> bool {
        match self {
            RuntimeConnection::Channel(channel) => channel.is_quiet(),
            // An answer over HTTP names its request.
            RuntimeConnection::Http(_) => true,
        }
    }

    /// Hands over an invocation. Its answer is read with [`RuntimeConnection::answer`].
    pub fn begin(&mut self, invocation: Invocation) {
        match self {
            RuntimeConnection::Channel(channel) => channel.begin(&invocation),
            RuntimeConnection::Http(http) => http.begin(invocation),
        }
    }

    /// Waits for the answer of the invocation that was begun, or for the next part of a streamed one. Cancel
    /// safe: waiting again goes on where it was left. The caller brings the time limit.
    pub async fn answer(&mut self) -> Answer {
        match self {
            RuntimeConnection::Channel(channel) => channel.answer().await,
            RuntimeConnection::Http(http) => http.answer().await,
        }
    }

    /// Waits until the runtime is done with the event that it has answered: over HTTP, until it asks for the
    /// next one, because a runtime may well end instead. On the channel the answer itself says which. Cancel safe.
    pub async fn settled(&mut self) {
        match self {
            RuntimeConnection::Channel(channel) => channel.settled().await,
            RuntimeConnection::Http(http) => http.settled().await,
        }
    }

    /// Runs one invocation to its end.
    pub async fn invoke(&mut self, invocation: Invocation) -> Answer {
        self.begin(invocation);
        self.answer().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_failure_is_the_header_or_the_document() {
        let body = Bytes::from_static(b"{\"errorMessage\":\"m\",\"errorType\":\"KeyError\"}");
        let of =
            |header: Option<&str>| FunctionFailure { body: body.clone(), error_type: header.map(str::to_owned) }.kind();
        assert_eq!(of(Some("Runtime.ImportModuleError")).as_deref(), Some("Runtime.ImportModuleError"));
        assert_eq!(of(Some("unhandled")).as_deref(), Some("KeyError"));
        assert_eq!(of(None).as_deref(), Some("KeyError"));
        assert_eq!(FunctionFailure { body: Bytes::from_static(b"no json"), error_type: None }.kind(), None);
    }
}
