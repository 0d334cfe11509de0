//! The one error type that leaves a service: everything a codec needs to render it.

use crate::Doc;
use std::borrow::Cow;

/// Who is to blame, as AWS's query and XML protocols report it (`Sender` or `Receiver`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller sent something that cannot be served (4xx).
    Sender,
    /// The service failed (5xx).
    Receiver,
}

/// An error as an AWS client sees it.
///
/// Services build it from their own error enums; the gateway renders it in the caller's protocol.
#[derive(Debug, Clone, PartialEq)]
pub struct AwsError {
    /// The wire code, for example `ResourceNotFoundException`.
    pub code: Cow<'static, str>,
    /// HTTP status.
    pub status: u16,
    /// Sender or receiver.
    pub fault: Fault,
    /// The message exactly as AWS prints it.
    pub message: String,
    /// Further members of the error's shape by *member name* (for example `Reason`, `Type`).
    pub fields: Vec<(&'static str, Doc)>,
    /// Extra response headers (for example `Retry-After`).
    pub headers: Vec<(&'static str, String)>,
}

impl AwsError {
    /// A caller's error with status `status` (4xx).
    pub fn sender(code: &'static str, status: u16, message: impl Into<String>) -> AwsError {
        AwsError {
            code: Cow::Borrowed(code),
            status,
            fault: Fault::Sender,
            message: message.into(),
            fields: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// A service's error with status `status` (5xx).
    pub fn receiver(code: &'static str, status: u16, message: impl Into<String>) -> AwsError {
        AwsError { fault: Fault::Receiver, ..AwsError::sender(code, status, message) }
    }

    /// Adds a member of the error's shape.
    pub fn with_field(mut self, name: &'static str, value: impl Into<String>) -> AwsError {
        self.fields.push((name, Doc::String(value.into())));
        self
    }

    /// Adds a response header.
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> AwsError {
        self.headers.push((name, value.into()));
        self
    }

    /// The error a client gets for a fault of gust itself. The cause is logged, never shown.
    pub fn internal() -> AwsError {
        AwsError::receiver(
            "InternalFailure",
            500,
            "The request processing has failed because of an unknown error, exception or failure.",
        )
    }

    /// An operation that AWS has and gust does not: named, so that nobody has to guess.
    pub fn not_implemented(service: &str, operation: &str) -> AwsError {
        AwsError::receiver("NotImplemented", 501, format!("gust does not implement {service}:{operation} yet."))
    }
}

impl std::fmt::Display for AwsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for AwsError {}
