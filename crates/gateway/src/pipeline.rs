//! The path of every request, on one page:
//! raw -> classify -> authenticate -> resolve -> decode + validate -> authorize -> run -> encode.
//!
//! The body is read between the two halves of authentication: a stranger's is not read at all, and an operation's
//! bound is known from the head.

use crate::Gateway;
use crate::authenticate::Stop;
use crate::authorize::{Circumstances, authorize};
use crate::body::{self, BodyError, Received};
use crate::classify::{Address, Route, classify};
use crate::detach::Finish;
use crate::limits::{TRACE_HEADER_BYTES_MAX, UNSIGNED_BODY_BYTES_MAX, body_limit};
use crate::respond;
use crate::serve::ConnectionOrigin;
use bytes::Bytes;
use gust_auth::{Claim, Head, Refusal};
use gust_kit::{Call, Endpoint, Principal};
use gust_types::{AwsError, Doc, Region, RequestId};
use gust_wire::{OperationModel, Protocol, Routed, WireRequest, WireResponse};
use http::header::{CONTENT_TYPE, EXPECT, HOST, HeaderMap};
use http::request::Parts;
use hyper::body::{Body, Incoming};
use std::net::IpAddr;

/// A request as it came, and where from.
pub(crate) struct Raw<'a> {
    pub parts: &'a Parts,
    pub body: &'a mut Incoming,
    pub origin: &'a ConnectionOrigin,
    /// Who is at the other end of the connection.
    pub peer: Option<IpAddr>,
    pub request_id: &'a RequestId,
    pub received_at_ms: i64,
}

/// What the access log says of a request, filled in as it becomes known.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub service: &'static str,
    pub operation: Option<&'static OperationModel>,
}

/// A decoded request of a known caller.
struct Ready {
    address: Address,
    operation: &'static OperationModel,
    call: Call,
    input: Doc,
}

impl Gateway {
    /// Everything that arrives goes through here.
    pub(crate) async fn answer(&self, mut raw: Raw<'_>, outline: &mut Outline) -> WireResponse {
        let head = head_of(raw.parts);
        let claim = Claim::of(&head);
        let scope = claim.as_ref().ok().and_then(Option::as_ref).and_then(Claim::scope).map(|scope| scope.service);
        let services = self.services();
        let form: Received;
        let mut route = classify(services, &head, scope, None);
        if route == Route::Unknown && matches!(claim, Ok(None)) && is_form(&head) {
            // An unsigned form says only inside what it is. Too large a one stays unknown.
            form = body::read(raw.body, UNSIGNED_BODY_BYTES_MAX, self.budget())
                .await
                .unwrap_or_else(|_| Received::empty());
            route = classify(services, &head, None, std::str::from_utf8(&form.bytes).ok());
        }
        match route {
            Route::Aws(address) => {
                outline.service = address.service.id;
                match self.operate(&mut raw, &head, claim, address, outline).await {
                    Ok(response) => response,
                    Err(stop) => self.refuse(&mut raw, address, outline.operation, stop).await,
                }
            }
            Route::FunctionUrl(address) => self.function_url(&mut raw, &head, address).await,
            Route::Missing { service, protocol } => self.missing(&mut raw, &head, service, protocol).await,
            Route::Stats => self.stats(&raw, &head, claim).await,
            Route::Clock => self.clock(&mut raw, &head).await,
            Route::Health | Route::Reset | Route::CodeDownload => self.own(&raw, &head, route).await,
            Route::Unknown => respond::unknown(&head, raw.request_id),
        }
    }

    /// An AWS operation: each line is a stage, and takes what the one before returned.
    async fn operate(
        &self,
        raw: &mut Raw<'_>,
        head: &Head<'_>,
        claim: Result<Option<Claim<'_>>, Refusal>,
        address: Address,
        outline: &mut Outline,
    ) -> Result<WireResponse, Stop> {
        let (claim, names) = (claim?, [address.service.signing_name]);
        let now_ms = raw.received_at_ms;
        let identity = self.authenticator().identify(head, claim.as_ref(), &names, raw.origin, now_ms).await?;
        let expected = expect(address, raw.parts, head);
        let received = self.receive(raw, address, expected.as_ref()).await?;
        let region = identity.region.clone();
        let principal = identity.prove(head, claim.as_ref(), &names, &received.bytes, now_ms)?;
        let request = wire_request(raw.parts, head, received.bytes.clone());
        let operation = resolve(address, expected, &request)?;
        outline.operation = Some(operation);
        let input = decode(address, operation, &request)?;
        let call = self.call(raw, head, principal, region);
        let ready = self.authorize(raw, Ready { address, operation, call, input }).await?;
        let output = self.run(ready).await?;
        Ok(encode(address, operation, &output, raw.request_id))
    }

    async fn receive(
        &self,
        raw: &mut Raw<'_>,
        address: Address,
        expected: Option<&Result<Routed, AwsError>>,
    ) -> Result<Received, Stop> {
        let name = match expected {
            Some(Ok(Routed::Operation(operation))) => operation.route.name,
            Some(Ok(Routed::Unimplemented(name))) => name,
            Some(Err(_)) | None => "",
        };
        let limit = body_limit(address.service.id, name);
        body::read(raw.body, limit.bytes, self.budget()).await.map_err(|error| match error {
            BodyError::TooLarge => Stop::Error(respond::too_large(limit)),
            BodyError::Interrupted => {
                let message = "The request's body did not arrive completely.";
                Stop::Error(AwsError::sender("RequestTimeoutException", 408, message))
            }
            BodyError::Busy => {
                let message = "Service is unavailable: too many large requests at once. Try again later.";
                Stop::Error(AwsError::receiver("ServiceUnavailableException", 503, message))
            }
        })
    }

    fn call(&self, raw: &Raw<'_>, head: &Head<'_>, principal: Principal, region: Region) -> Call {
        Call {
            principal,
            region,
            granted_account: None,
            request_id: raw.request_id.clone(),
            received_at_ms: raw.received_at_ms,
            trace_header: trace_header(&raw.parts.headers),
            origin: format!("http://{}", head.host),
        }
    }

    /// Whether the caller may do this. Where no policies are evaluated, every known caller may do everything in its own
    /// account; for that reason the binary refuses to listen on other than loopback addresses then.
    async fn authorize(&self, raw: &Raw<'_>, mut ready: Ready) -> Result<Ready, AwsError> {
        let Some(authorizer) = self.authorizer() else { return Ok(ready) };
        let Ready { address, operation, call, input } = &mut ready;
        let endpoint = self.endpoint(*address, operation)?;
        let circumstances = Circumstances { peer: raw.peer, headers: &raw.parts.headers };
        authorize(authorizer, endpoint, address.protocol, operation, call, input, &circumstances).await?;
        Ok(ready)
    }

    fn endpoint(&self, address: Address, operation: &OperationModel) -> Result<&dyn Endpoint, AwsError> {
        let missing = || AwsError::not_implemented(address.service.id, operation.route.name);
        self.registry().service(address.service.id).map(|endpoint| &**endpoint).ok_or_else(missing)
    }

    /// The operation itself. It goes on to its end even if the client goes away, as at AWS.
    async fn run(&self, ready: Ready) -> Result<Doc, AwsError> {
        let Ready { address, operation, call, input } = ready;
        let endpoint = self.endpoint(address, operation)?;
        Finish::new(endpoint.call(operation.route.name, call, input)).await
    }

    async fn refuse(
        &self,
        raw: &mut Raw<'_>,
        address: Address,
        operation: Option<&'static OperationModel>,
        stop: Stop,
    ) -> WireResponse {
        let error = match stop {
            Stop::Refused(refusal) => respond::spelling(address.protocol).error(&refusal),
            Stop::Error(error) => error,
        };
        if error.code == "InternalFailure" {
            // The cause was logged where it ended; this line says which request it was.
            let operation = operation.map_or("", |operation| operation.route.name);
            let request_id = raw.request_id.as_str();
            tracing::error!(request_id, service = address.service.id, operation, "a request failed inside gust");
        }
        drain_if_sent(raw).await;
        respond::error(address.protocol, address.service, operation, &error, raw.request_id)
    }

    /// A service that gust has not: said in the caller's own protocol.
    async fn missing(&self, raw: &mut Raw<'_>, head: &Head<'_>, service: &str, protocol: Protocol) -> WireResponse {
        let refused = if self.is_open() { self.authenticator().check_access(head).err() } else { None };
        let error = refused.unwrap_or_else(|| {
            AwsError::receiver("NotImplemented", 501, format!("gust does not have the service '{service}' yet."))
        });
        drain_if_sent(raw).await;
        respond::error(protocol, respond::nameless(protocol), None, &error, raw.request_id)
    }
}

/// The head of a request, as a signature covers it.
pub(crate) fn head_of(parts: &Parts) -> Head<'_> {
    let host = parts.headers.get(HOST).and_then(|value| value.to_str().ok());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    Head {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        host: host.or(authority).unwrap_or_default(),
    }
}

/// The trace that a request is part of. What is no tracing header, or too long for one, is not passed on.
///
/// Source: <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
pub(crate) fn trace_header(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-amzn-trace-id")?.to_str().ok()?;
    (text.len() <= TRACE_HEADER_BYTES_MAX && text.contains("Root=1-")).then(|| text.to_owned())
}

fn is_form(head: &Head<'_>) -> bool {
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    head.method == "POST" && content_type.starts_with("application/x-www-form-urlencoded")
}

fn wire_request<'a>(parts: &'a Parts, head: &Head<'a>, body: Bytes) -> WireRequest<'a> {
    WireRequest { method: head.method, path: head.path, query: head.query, headers: &parts.headers, body }
}

/// The operation, where the head alone names it: all protocols but query.
fn expect(address: Address, parts: &Parts, head: &Head<'_>) -> Option<Result<Routed, AwsError>> {
    let in_head = address.protocol != Protocol::Query;
    in_head.then(|| gust_wire::route(address.service, address.protocol, &wire_request(parts, head, Bytes::new())))
}

fn resolve(
    address: Address,
    expected: Option<Result<Routed, AwsError>>,
    request: &WireRequest<'_>,
) -> Result<&'static OperationModel, AwsError> {
    match expected.unwrap_or_else(|| gust_wire::route(address.service, address.protocol, request))? {
        Routed::Operation(operation) => Ok(operation),
        Routed::Unimplemented(name) => Err(AwsError::not_implemented(address.service.id, name)),
    }
}

fn decode(address: Address, operation: &'static OperationModel, request: &WireRequest<'_>) -> Result<Doc, AwsError> {
    let input = gust_wire::decode(address.protocol, operation, request)?;
    for warning in gust_wire::check_members(operation, &input)? {
        let (service, operation) = (address.service.id, operation.route.name);
        tracing::warn!(service, operation, member = warning.member, reason = warning.reason, "accepted without effect");
    }
    gust_wire::validate(address.service, operation, &input)?;
    Ok(input)
}

fn encode(address: Address, operation: &OperationModel, output: &Doc, request_id: &RequestId) -> WireResponse {
    let response = gust_wire::encode(address.protocol, address.service, operation, output, request_id.as_str());
    respond::with_ids(response, address.protocol, request_id)
}

/// A client that is already sending its body is heard out, so that it sees the refusal; one that waits for
/// `100 Continue` is not made to send.
pub(crate) async fn drain_if_sent(raw: &mut Raw<'_>) {
    if !raw.body.is_end_stream() && !raw.parts.headers.contains_key(EXPECT) {
        body::drain(raw.body).await;
    }
}
