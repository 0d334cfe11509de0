//! What a function URL answers in the function's place.

use super::reply::Malformed;
use crate::authenticate::Stop;
use gust_auth::{Refusal as AuthRefusal, Spelling};
use gust_kit::ports::InvokeError;
use gust_types::{AwsError, RequestId};
use gust_wire::WireResponse;
use serde_json::{Value, json};

/// Why the function's answer is not sent.
#[derive(Debug)]
pub enum Refusal {
    /// There is no such URL.
    NoSuchUrl,
    /// gust does not answer under this host name.
    ForeignHost,
    /// No signature, or the policies do not let the caller in.
    Forbidden,
    /// The signature is not good.
    Auth(AuthRefusal),
    /// The request, or the event made of it, is too large.
    TooLarge,
    /// The body did not arrive.
    Interrupted,
    /// Too many large bodies at once.
    Busy,
    /// The function failed, was too slow, or gave what is no response.
    FunctionFailed,
    /// It was not run.
    NotRun(InvokeError),
    /// Its function was not found, or the like.
    Aws(AwsError),
}

impl From<AuthRefusal> for Refusal {
    fn from(refusal: AuthRefusal) -> Refusal {
        match refusal {
            AuthRefusal::MissingToken => Refusal::Forbidden,
            other => Refusal::Auth(other),
        }
    }
}

impl From<Stop> for Refusal {
    fn from(stop: Stop) -> Refusal {
        match stop {
            Stop::Refused(refusal) => refusal.into(),
            Stop::Error(error) => Refusal::Aws(error),
        }
    }
}

impl From<AwsError> for Refusal {
    fn from(error: AwsError) -> Refusal {
        Refusal::Aws(error)
    }
}

impl From<InvokeError> for Refusal {
    fn from(error: InvokeError) -> Refusal {
        Refusal::NotRun(error)
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Refusal {
        Refusal::FunctionFailed
    }
}

/// What AWS says to whom it does not let in.
const FORBIDDEN: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: \
     https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

impl Refusal {
    pub fn response(&self, request_id: &RequestId) -> WireResponse {
        let (status, error_type, body) = self.parts(request_id);
        let mut response = WireResponse::new(status, request_id.as_str());
        response.set_header("content-type", "application/json");
        if let Some(error_type) = error_type {
            response.set_header("x-amzn-errortype", &error_type);
        }
        // The one body that is no JSON, although it says so: AWS sends it like this.
        response.body = body.map_or_else(|| "Internal Server Error".to_owned(), |body| body.to_string()).into();
        response
    }

    /// Status, error type, body; no body stands for AWS's `Internal Server Error`.
    fn parts(&self, request_id: &RequestId) -> (u16, Option<String>, Option<Value>) {
        let message = |status: u16, error_type: &str, text: &str| {
            (status, Some(error_type.to_owned()), Some(json!({ "Message": text })))
        };
        match self {
            // Observed: the message is null.
            Refusal::NoSuchUrl => (403, Some("AccessDeniedException".to_owned()), Some(json!({ "Message": null }))),
            Refusal::ForeignHost => {
                let text = "gust does not answer to this host: use a name below localhost, or configure the name.";
                message(403, "AccessDeniedException", text)
            }
            Refusal::Forbidden => message(403, "AccessDeniedException", FORBIDDEN),
            Refusal::Auth(refusal) => {
                let error = Spelling::REST_JSON.error(refusal);
                (error.status, Some(error.code.into_owned()), Some(json!({ "message": error.message })))
            }
            Refusal::TooLarge => {
                let text = "Request must be smaller than 6291456 bytes for the InvokeFunction operation";
                message(413, "RequestEntityTooLargeException", text)
            }
            Refusal::Interrupted => {
                message(408, "RequestTimeoutException", "The request's body did not arrive completely.")
            }
            Refusal::Busy => message(503, "ServiceUnavailableException", "Too many large requests at once."),
            Refusal::FunctionFailed => (502, None, None),
            Refusal::NotRun(error) => self.not_run(error, request_id),
            Refusal::Aws(error) if error.status >= 500 => {
                tracing::error!(code = %error.code, request_id = request_id.as_str(), "a function URL failed inside gust");
                (error.status, Some(error.code.to_string()), None)
            }
            Refusal::Aws(error) => message(error.status, &error.code, &error.message),
        }
    }

    fn not_run(&self, error: &InvokeError, request_id: &RequestId) -> (u16, Option<String>, Option<Value>) {
        match error {
            InvokeError::Throttled(reason) => {
                let body = json!({ "Reason": reason.as_str(), "Type": "User", "message": "Rate Exceeded." });
                (429, Some("TooManyRequestsException".to_owned()), Some(body))
            }
            InvokeError::RuntimeUnavailable(text) => {
                (502, Some("InvalidRuntimeException".to_owned()), Some(json!({ "Message": text })))
            }
            InvokeError::Sandbox(cause) => {
                tracing::error!(cause, request_id = request_id.as_str(), "a function could not be started");
                (500, Some("ServiceException".to_owned()), None)
            }
            InvokeError::RecursiveLoop => {
                (400, Some("RecursiveInvocationException".to_owned()), Some(json!({ "Message": error.to_string() })))
            }
            InvokeError::ShuttingDown => {
                (503, Some("ServiceUnavailableException".to_owned()), Some(json!({ "Message": error.to_string() })))
            }
        }
    }
}
