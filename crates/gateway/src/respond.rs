//! Responses: of operations, of errors, of gust's own routes.

use crate::Gateway;
use crate::access::is_loopback;
use crate::admin::{ClockError, ResetError};
use crate::authenticate::Stop;
use crate::authorize::may_list;
use crate::body;
use crate::classify::Route;
use crate::limits::BodyLimit;
use crate::limits::CLOCK_BODY_BYTES_MAX;
use crate::outgoing::Outgoing;
use crate::pipeline::Raw;
use crate::serve::ConnectionOrigin;
use bytes::Bytes;
use gust_auth::{Claim, Head, Refusal, Spelling};
use gust_kit::Principal;
use gust_types::{AwsError, RequestId};
use gust_wire::{OperationModel, Protocol, ServiceModel, WireResponse};
use http::{HeaderName, HeaderValue, Response, StatusCode};

/// How a protocol spells that a caller is not known.
pub(crate) fn spelling(protocol: Protocol) -> &'static Spelling {
    match protocol {
        Protocol::AwsJson10 | Protocol::AwsJson11 => &Spelling::AWS_JSON,
        Protocol::RestJson => &Spelling::REST_JSON,
        Protocol::Query => &Spelling::QUERY,
        Protocol::RestXml => &Spelling::REST_XML,
    }
}

/// The interface of a service that gust has not: it has a protocol and nothing else.
pub(crate) fn nameless(protocol: Protocol) -> &'static ServiceModel {
    const NAMELESS: ServiceModel = ServiceModel {
        id: "",
        signing_name: "",
        endpoint_prefix: "",
        target_prefix: None,
        protocols: &[],
        api_version: "",
        xml_namespace: None,
        validation_code: "ValidationException",
        operations: &[],
        unimplemented: &[],
    };
    static OTHER: ServiceModel = NAMELESS;
    static QUERY: ServiceModel =
        ServiceModel { xml_namespace: Some("http://webservices.amazon.com/AWSFault/2005-15-09"), ..NAMELESS };
    if protocol == Protocol::Query { &QUERY } else { &OTHER }
}

/// An error in the caller's protocol.
pub(crate) fn error(
    protocol: Protocol,
    service: &ServiceModel,
    operation: Option<&OperationModel>,
    error: &AwsError,
    request_id: &RequestId,
) -> WireResponse {
    let response = gust_wire::encode_error(protocol, service, operation, error, request_id.as_str());
    with_ids(response, protocol, request_id)
}

/// The refusal of a body.
pub(crate) fn too_large(limit: BodyLimit) -> AwsError {
    let BodyLimit { bytes, operation } = limit;
    let operation = if operation.is_empty() { String::new() } else { format!(" for the {operation} operation") };
    let message = format!("Request must be smaller than {bytes} bytes{operation}");
    AwsError::sender("RequestEntityTooLargeException", 413, message)
}

/// Adds the header in which the XML protocols repeat the request's id.
pub(crate) fn with_ids(mut response: WireResponse, protocol: Protocol, request_id: &RequestId) -> WireResponse {
    if matches!(protocol, Protocol::Query | Protocol::RestXml) {
        response.set_header("x-amz-request-id", request_id.as_str());
    }
    response
}

fn json(status: u16, value: &serde_json::Value, request_id: &RequestId) -> WireResponse {
    let mut response = WireResponse::new(status, request_id.as_str());
    response.set_header("content-type", "application/json");
    response.body = Bytes::from(value.to_string());
    response
}

fn message(status: u16, text: &str, request_id: &RequestId) -> WireResponse {
    json(status, &serde_json::json!({ "message": text }), request_id)
}

/// A request that is nothing gust knows.
pub(crate) fn unknown(head: &Head<'_>, request_id: &RequestId) -> WireResponse {
    let text = format!("gust knows nothing at {} {}. Its state is at /_gust/health.", head.method, head.path);
    message(404, &text, request_id)
}

/// gust broke: the client gets the id under which the cause is logged.
pub(crate) fn broken(request_id: &RequestId) -> WireResponse {
    let error = AwsError::internal();
    let mut response = message(error.status, &error.message, request_id);
    response.set_header("x-amzn-errortype", &error.code);
    response
}

impl Gateway {
    /// gust's own routes.
    pub(crate) async fn own(&self, raw: &Raw<'_>, head: &Head<'_>, route: Route<'_>) -> WireResponse {
        match route {
            Route::Health => self.health(raw).await,
            Route::Reset => self.reset(raw, head).await,
            _ => self.download(head, raw.request_id).await,
        }
    }

    /// Everything to somebody on this machine; to all others, a load balancer for example, only that gust is well.
    async fn health(&self, raw: &Raw<'_>) -> WireResponse {
        let health = self.admin().health().await;
        if is_from_here(raw) {
            return json(200, &health, raw.request_id);
        }
        json(200, &serde_json::json!({ "status": health["status"] }), raw.request_id)
    }

    /// For whoever could call an AWS operation: the caller is authenticated as for one, and sees its own account. A
    /// function is not let in, because no policy says what it may see here.
    pub(crate) async fn stats(
        &self,
        raw: &Raw<'_>,
        head: &Head<'_>,
        claim: Result<Option<Claim<'_>>, Refusal>,
    ) -> WireResponse {
        let request_id = raw.request_id;
        if !matches!(raw.origin, ConnectionOrigin::Public) {
            return message(403, "statistics are not shown to functions", request_id);
        }
        match self.reader(raw, head, claim).await {
            Ok(principal) => json(200, &self.admin().stats(&principal.account).await, request_id),
            Err(Stop::Refused(refusal)) => {
                let error = spelling(Protocol::RestJson).error(&refusal);
                message(error.status, &error.message, request_id)
            }
            Err(Stop::Error(error)) => message(error.status, &error.message, request_id),
        }
    }

    /// Who sends a request to a route of gust's own, signed as for Lambda and without a body. Where policies are evaluated,
    /// it must be somebody who may list functions.
    async fn reader(
        &self,
        raw: &Raw<'_>,
        head: &Head<'_>,
        claim: Result<Option<Claim<'_>>, Refusal>,
    ) -> Result<Principal, Stop> {
        let (claim, names, now_ms) = (claim?, ["lambda"], raw.received_at_ms);
        let identity = self.authenticator().identify(head, claim.as_ref(), &names, raw.origin, now_ms).await?;
        let principal = identity.prove(head, claim.as_ref(), &names, b"", now_ms)?;
        if let Some(authorizer) = self.authorizer() {
            may_list(authorizer, &principal).await?;
        }
        Ok(principal)
    }

    /// Moves the clock: a JSON body `{"advance_ms": 60000}`.
    pub(crate) async fn clock(&self, raw: &mut Raw<'_>, head: &Head<'_>) -> WireResponse {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Advance {
            advance_ms: i64,
        }
        let request_id = raw.request_id;
        if !self.is_trusted(raw, head) {
            let text = "the clock is moved from this machine only, from no page and from no function";
            return message(403, text, request_id);
        }
        let received = body::read(raw.body, CLOCK_BODY_BYTES_MAX, self.budget()).await;
        let advance = received.ok().and_then(|body| serde_json::from_slice::<Advance>(&body.bytes).ok());
        let Some(Advance { advance_ms }) = advance else {
            return message(400, "the body has to be {\"advance_ms\": <milliseconds>}", request_id);
        };
        match self.admin().move_clock(advance_ms).await {
            Ok(now_ms) => json(200, &serde_json::json!({ "now_ms": now_ms }), request_id),
            Err(ClockError::NotEphemeral) => {
                message(409, "this gust lives in real time: only one started with --ephemeral can be moved", request_id)
            }
            Err(ClockError::OutOfRange) => {
                message(400, "advance_ms has to be at least 0, and all of them together at most ten years", request_id)
            }
        }
    }

    /// Whether a request comes from this machine, from no page and from no function.
    fn is_trusted(&self, raw: &Raw<'_>, head: &Head<'_>) -> bool {
        is_from_here(raw) && is_loopback(head.host) && self.authenticator().hosts.allows_page(head.headers)
    }

    async fn reset(&self, raw: &Raw<'_>, head: &Head<'_>) -> WireResponse {
        let request_id = raw.request_id;
        if !self.is_trusted(raw, head) {
            let text = "a reset is accepted from this machine only, from no page and from no function";
            return message(403, text, request_id);
        }
        match self.admin().reset().await {
            Ok(()) => json(200, &serde_json::json!({ "status": "reset" }), request_id),
            Err(ResetError::NotEphemeral) => {
                message(409, "this gust keeps its data: only one started with --ephemeral can be reset", request_id)
            }
            Err(ResetError::Failed(cause)) => {
                tracing::error!(cause, request_id = request_id.as_str(), "the reset failed");
                message(500, "the reset failed; the cause is in gust's log", request_id)
            }
        }
    }

    /// The link itself is the permission: it was given to somebody who may read what is behind it.
    async fn download(&self, head: &Head<'_>, request_id: &RequestId) -> WireResponse {
        if self.is_open()
            && let Err(error) = self.authenticator().check_access(head)
        {
            return message(error.status, &error.message, request_id);
        }
        let path_and_query =
            if head.query.is_empty() { head.path.to_owned() } else { format!("{}?{}", head.path, head.query) };
        let Some((content_type, bytes)) = self.admin().download(&path_and_query).await else {
            return message(404, "there is no such link, or it has expired", request_id);
        };
        let mut response = WireResponse::new(200, request_id.as_str());
        response.set_header("content-type", &content_type);
        response.body = bytes;
        response
    }
}

/// Whether a request comes from a process of this machine that is no function, and was passed on by no proxy.
fn is_from_here(raw: &Raw<'_>) -> bool {
    let is_local = raw.peer.is_some_and(|peer| peer.to_canonical().is_loopback());
    let is_passed_on = ["forwarded", "x-forwarded-for"].iter().any(|name| raw.parts.headers.contains_key(*name));
    matches!(raw.origin, ConnectionOrigin::Public) && is_local && !is_passed_on
}

/// Hands a response to the HTTP server. The body is not copied.
pub(crate) fn http(response: WireResponse) -> Response<Outgoing> {
    let WireResponse { status, headers, body, stream } = response;
    let mut http = Response::new(Outgoing::new(body, stream));
    *http.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let target = http.headers_mut();
    target.reserve(headers.len() + 2);
    for (name, value) in headers {
        let pair =
            HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_maybe_shared(Bytes::from(value)).ok());
        match pair {
            Some((name, value)) => {
                target.append(name, value);
            }
            None => tracing::error!(name, "a response header cannot be sent and was left out"),
        }
    }
    http
}
