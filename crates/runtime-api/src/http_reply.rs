//! The Runtime API's replies, as Lambda words them.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use crate::http_state::Refusal;
use crate::{Invocation, RESPONSE_BYTES_MAX};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

pub(crate) type Reply = Response<Full<Bytes>>;

const REQUEST_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-request-id");
const DEADLINE: HeaderName = HeaderName::from_static("lambda-runtime-deadline-ms");
const FUNCTION_ARN: HeaderName = HeaderName::from_static("lambda-runtime-invoked-function-arn");
const TRACE_ID: HeaderName = HeaderName::from_static("lambda-runtime-trace-id");
const CLIENT_CONTEXT: HeaderName = HeaderName::from_static("lambda-runtime-client-context");
const COGNITO_IDENTITY: HeaderName = HeaderName::from_static("lambda-runtime-cognito-identity");
/// Not in AWS's documentation yet; its clients (awslambdaric 4.0.2 and later) send it back with their answer.
pub(crate) const INVOCATION_ID: HeaderName = HeaderName::from_static("lambda-runtime-invocation-id");
const TENANT_ID: HeaderName = HeaderName::from_static("lambda-runtime-aws-tenant-id");

/// 200 with an event.
pub(crate) fn event(invocation: Invocation) -> Reply {
    let mut reply = Response::new(Full::new(invocation.payload));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(DEADLINE, HeaderValue::from(invocation.deadline_ms));
    insert_text(headers, REQUEST_ID, &invocation.request_id);
    insert_text(headers, FUNCTION_ARN, &invocation.invoked_function_arn);
    let optional = [
        (INVOCATION_ID, invocation.invocation_id),
        (TRACE_ID, invocation.trace_id),
        (CLIENT_CONTEXT, invocation.client_context),
        (COGNITO_IDENTITY, invocation.cognito_identity),
        (TENANT_ID, invocation.tenant_id),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            insert_text(headers, name, &value);
        }
    }
    reply
}

/// Sets a header. JSON text with line breaks is written on one line; what cannot be a header's value even
/// then is left out, and said so.
fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    let value = HeaderValue::from_bytes(text.as_bytes()).ok().or_else(|| {
        let document: serde_json::Value = serde_json::from_str(text).ok()?;
        HeaderValue::from_bytes(document.to_string().as_bytes()).ok()
    });
    match value {
        Some(value) => {
            headers.insert(name, value);
        }
        None => tracing::warn!(header = %name, "a value cannot be sent to the runtime as a header"),
    }
}

/// 202.
pub(crate) fn accepted() -> Reply {
    json(StatusCode::ACCEPTED, &serde_json::json!({"status": "OK"}))
}

/// 400 or 403.
pub(crate) fn refused(refusal: &Refusal) -> Reply {
    match refusal {
        Refusal::RequestId => error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        Refusal::Over => error(StatusCode::GONE, "InvokeTimeout", "Invocation is over"),
        Refusal::State { from, to } => error(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            &format!("State transition from {from} to {to} failed for runtime. Error: State transition is not allowed"),
        ),
    }
}

/// 413.
pub(crate) fn too_large() -> Reply {
    let message = format!("Exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes).");
    error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

/// 400 for a body that ended too early.
pub(crate) fn truncated() -> Reply {
    error(StatusCode::BAD_REQUEST, "TruncatedHTTPRequest", "HTTP request detected as truncated")
}

/// 400 for a `Lambda-Runtime-Function-Response-Mode` that is not known.
pub(crate) fn invalid_response_mode() -> Reply {
    error(StatusCode::BAD_REQUEST, "InvalidFunctionResponseMode", "Invalid function response mode")
}

/// 501 for the parts of the API that gust has not got, by name.
pub(crate) fn not_implemented(path: &str) -> Reply {
    error(StatusCode::NOT_IMPLEMENTED, "NotImplemented", &format!("gust does not implement {path} yet."))
}

/// 404 or 405.
pub(crate) fn unknown(status: StatusCode) -> Reply {
    let message = status.canonical_reason().unwrap_or("Error");
    error(status, "InvalidRequest", message)
}

/// 403 with an error of this type.
pub(crate) fn forbidden(error_type: &str, message: &str) -> Reply {
    error(StatusCode::FORBIDDEN, error_type, message)
}

/// An error in the form that all of these APIs share.
pub(crate) fn error(status: StatusCode, error_type: &str, message: &str) -> Reply {
    json(status, &serde_json::json!({"errorMessage": message, "errorType": error_type}))
}

/// A JSON document.
pub(crate) fn json(status: StatusCode, document: &serde_json::Value) -> Reply {
    body(status, Bytes::from(format!("{document}\n")))
}

/// A body that is JSON already.
pub(crate) fn body(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_context_with_line_breaks_still_fits_a_header() {
        let reply = event(Invocation {
            client_context: Some("{\n \"a\": \"ä\"}".to_owned()),
            trace_id: Some("bad\nvalue".to_owned()),
            ..Invocation::default()
        });
        assert_eq!(reply.headers()[CLIENT_CONTEXT].as_bytes(), "{\"a\":\"ä\"}".as_bytes());
        assert!(!reply.headers().contains_key(TRACE_ID));
        assert!(!reply.headers().contains_key(TENANT_ID));
    }
}
