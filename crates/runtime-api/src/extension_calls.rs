//! The calls of the Extensions, Telemetry and Logs APIs over HTTP.
//!
//! Sources: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html>.

use crate::extensions::{NextEvent, Refusal};
use crate::http_reply::{self as reply, Reply};
use crate::telemetry::SubscribeError;
use crate::telemetry_request::{self, Endpoint};
use crate::{EXTENSION_BODY_BYTES_MAX, EnvironmentApi};
use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

const IDENTIFIER: &str = "lambda-extension-identifier";
const EVENT_IDENTIFIER: &str = "lambda-extension-event-identifier";
const ERROR_TYPE: &str = "lambda-extension-function-error-type";

/// The call that a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Register,
    Next,
    InitError,
    ExitError,
    Subscribe(Endpoint),
}

impl Call {
    fn of(path: &str) -> Option<Call> {
        match path {
            "/2020-01-01/extension/register" => Some(Call::Register),
            "/2020-01-01/extension/event/next" => Some(Call::Next),
            "/2020-01-01/extension/init/error" => Some(Call::InitError),
            "/2020-01-01/extension/exit/error" => Some(Call::ExitError),
            "/2020-08-15/logs" | "/2020-08-15/logs/" => Some(Call::Subscribe(Endpoint::Logs)),
            "/2022-07-01/telemetry" | "/2022-07-01/telemetry/" => Some(Call::Subscribe(Endpoint::Telemetry)),
            _ => None,
        }
    }

    fn method(self) -> Method {
        match self {
            Call::Register | Call::InitError | Call::ExitError => Method::POST,
            Call::Next => Method::GET,
            Call::Subscribe(_) => Method::PUT,
        }
    }
}

/// Answers a call of these APIs; `None` if `parts` is none.
pub(crate) async fn answer(api: &EnvironmentApi, parts: &Parts, body: &mut Incoming) -> Option<Reply> {
    let call = Call::of(parts.uri.path())?;
    if parts.method != call.method() {
        return Some(reply::unknown(StatusCode::METHOD_NOT_ALLOWED));
    }
    let headers = &parts.headers;
    let result = match call {
        Call::Register => register(api, headers, body).await,
        Call::Next => next(api, headers).await,
        Call::InitError | Call::ExitError => error(api, call, headers),
        Call::Subscribe(endpoint) => subscribe(api, endpoint, headers, body).await,
    };
    Some(result.unwrap_or_else(|refusal| reply::forbidden(refusal.error_type, &refusal.message)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registration {
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    configuration_keys: Vec<String>,
}

async fn register(api: &EnvironmentApi, headers: &HeaderMap, body: &mut Incoming) -> Result<Reply, Refusal> {
    let name = header(headers, "lambda-extension-name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| refusal("Extension.InvalidExtensionName", "Empty extension name"))?;
    let Some(body) = read(body).await else { return Ok(reply::too_large()) };
    let registration: Registration =
        serde_json::from_slice(&body).map_err(|error| refusal("InvalidRequestFormat", &error.to_string()))?;
    if !registration.configuration_keys.is_empty() {
        let message = "configurationKeys are deprecated; use environment variables instead";
        return Err(refusal("InvalidRequestFormat", message));
    }
    let id = api.extensions.register(name, &registration.events)?;
    let facts = api.extensions.facts();
    let mut document = json!({
        "functionName": facts.name,
        "functionVersion": facts.version,
        "handler": facts.handler,
    });
    let features = header(headers, "lambda-extension-accept-feature").unwrap_or_default();
    if features.split(',').any(|feature| feature.trim() == "accountId") {
        document["accountId"] = facts.account_id.clone().into();
    }
    let mut reply = reply::json(StatusCode::OK, &document);
    insert(reply.headers_mut(), IDENTIFIER, &id);
    Ok(reply)
}

async fn next(api: &EnvironmentApi, headers: &HeaderMap) -> Result<Reply, Refusal> {
    let id = identifier(headers)?;
    let event = match api.extensions.next(id)? {
        NextEvent::Now(event) => Some(event),
        NextEvent::Wait(waiting) => waiting.event().await,
    };
    // `None`: the environment ends, or another request of this extension took this one's place.
    let event = event.ok_or_else(|| refusal("Extension.InvalidExtensionState", "The request was given up"))?;
    let mut reply = reply::body(StatusCode::OK, event);
    insert(reply.headers_mut(), EVENT_IDENTIFIER, &api.extensions.new_id());
    Ok(reply)
}

fn error(api: &EnvironmentApi, call: Call, headers: &HeaderMap) -> Result<Reply, Refusal> {
    let id = identifier(headers)?;
    let error_type = header(headers, ERROR_TYPE).filter(|error_type| !error_type.is_empty());
    let missing = || refusal("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found");
    let error_type = error_type.ok_or_else(missing)?;
    if call == Call::InitError {
        api.extensions.init_error(id, error_type)?;
    } else {
        api.extensions.exit_error(id, error_type)?;
    }
    Ok(reply::accepted())
}

async fn subscribe(
    api: &EnvironmentApi,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &mut Incoming,
) -> Result<Reply, Refusal> {
    let name = api.extensions.name_of(identifier(headers)?)?;
    let Some(body) = read(body).await else { return Ok(reply::too_large()) };
    let subscription = match telemetry_request::parse(endpoint, &body) {
        Ok(subscription) => subscription,
        Err(faults) => return Ok(reply::error(StatusCode::BAD_REQUEST, "ValidationError", &faults)),
    };
    match api.telemetry.subscribe(&name, subscription) {
        Ok(()) => Ok(reply::json(StatusCode::OK, &json!("OK"))),
        Err(SubscribeError::Closed) => Err(match endpoint {
            Endpoint::Logs => refusal("Logs.SubscriptionClosed", "Logs API subscription is closed already"),
            Endpoint::Telemetry => {
                refusal("Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already")
            }
        }),
        Err(SubscribeError::OtherApi) => {
            let message = "an extension can subscribe to the Telemetry API or to the Logs API, but not to both";
            Ok(reply::error(StatusCode::BAD_REQUEST, "ValidationError", message))
        }
    }
}

/// The identifier that [`register`] gave.
fn identifier(headers: &HeaderMap) -> Result<&str, Refusal> {
    let missing = || refusal("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header");
    let id = header(headers, IDENTIFIER).filter(|id| !id.is_empty()).ok_or_else(missing)?;
    let is_uuid = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if is_uuid {
        Ok(id)
    } else {
        Err(refusal("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"))
    }
}

fn refusal(error_type: &'static str, message: &str) -> Refusal {
    Refusal { error_type, message: message.to_owned() }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The body; `None` if it is too large or broke off.
async fn read(body: &mut Incoming) -> Option<Bytes> {
    Limited::new(body, EXTENSION_BODY_BYTES_MAX).collect().await.ok().map(|body| body.to_bytes())
}
