//! Function URLs: plain HTTP in, a function's answer out.
//!
//! What a URL is, who may call it and how its requests and responses translate is AWS's:
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>. Refusals have the bodies that URLs on AWS show
//! (inferred: no page lists them).

mod cors;
mod event;
mod refusal;
mod reply;
mod stream;

use crate::Gateway;
use crate::body::{self, BodyError};
use crate::classify::UrlAddress;
use crate::limits::URL_EVENT_BYTES_MAX;
use crate::pipeline::{Raw, drain_if_sent, trace_header};
use gust_auth::{Claim, Head};
use gust_kit::Principal;
use gust_kit::ports::{
    AccessRequest, FunctionCatalog, FunctionUrl, InvokeRequest, Invoker, LogTail, UrlAuth, UrlDirectory, UrlInvokeMode,
};
use gust_types::RequestId;
use gust_wire::WireResponse;
use refusal::Refusal;
use reply::Reply;
use std::sync::Arc;

/// What serving function URLs takes.
#[derive(Clone)]
pub struct FunctionUrls {
    /// Finds URLs.
    pub directory: Arc<dyn UrlDirectory>,
    /// Finds their functions.
    pub catalog: Arc<dyn FunctionCatalog>,
    /// Runs them.
    pub invoker: Arc<dyn Invoker>,
}

/// A request to a URL that exists, and its trace.
struct Visit<'a> {
    urls: &'a FunctionUrls,
    url: FunctionUrl,
    address: UrlAddress<'a>,
    trace: String,
}

impl Gateway {
    /// Answers a request to a function URL.
    pub(crate) async fn function_url(
        &self,
        raw: &mut Raw<'_>,
        head: &Head<'_>,
        address: UrlAddress<'_>,
    ) -> WireResponse {
        let trace = self.trace_of(raw, head);
        let mut cors = None;
        let answer = match self.find_url(head, address, &trace).await {
            Ok(visit) => {
                let answer = self.visit(raw, head, &visit).await;
                cors = visit.url.cors;
                answer
            }
            Err(refusal) => Err(refusal),
        };
        let mut response = match answer {
            Ok(response) => response,
            Err(refusal) => {
                drain_if_sent(raw).await;
                refusal.response(raw.request_id)
            }
        };
        if !is_preflight(cors.as_ref(), head) {
            push_all(cors::added(cors.as_ref(), head.headers), &mut response);
        }
        response.headers.push(("x-amzn-trace-id".to_owned(), trace));
        response
    }

    /// The client's trace, or a new one.
    fn trace_of(&self, raw: &Raw<'_>, head: &Head<'_>) -> String {
        let new = || format!("Root=1-{:08x}-{}", raw.received_at_ms / 1_000, self.inner.ids.hex(24));
        trace_header(head.headers).unwrap_or_else(new)
    }

    async fn find_url<'a>(
        &'a self,
        head: &Head<'_>,
        address: UrlAddress<'a>,
        trace: &str,
    ) -> Result<Visit<'a>, Refusal> {
        if self.is_open() && !self.authenticator().hosts.allows(head.host) {
            return Err(Refusal::ForeignHost);
        }
        let urls = self.inner.urls.as_ref().ok_or(Refusal::NoSuchUrl)?;
        let found = urls.directory.url(&address.id.to_ascii_lowercase()).await?;
        let is_there =
            |url: &FunctionUrl| address.region.is_none_or(|region| region.eq_ignore_ascii_case(url.region.as_str()));
        let url = found.filter(is_there).ok_or(Refusal::NoSuchUrl)?;
        Ok(Visit { urls, url, address, trace: trace.to_owned() })
    }

    /// Each line is a stage, as in the pipeline of operations.
    async fn visit(&self, raw: &mut Raw<'_>, head: &Head<'_>, visit: &Visit<'_>) -> Result<WireResponse, Refusal> {
        let url = &visit.url;
        if let Some(headers) = cors::preflight(url.cors.as_ref(), head.method, head.headers) {
            let mut response = WireResponse::new(200, raw.request_id.as_str());
            push_all(headers, &mut response);
            return Ok(response);
        }
        let claim = if url.auth == UrlAuth::AwsIam { Claim::of(head)? } else { None };
        let now_ms = raw.received_at_ms;
        let identity = match url.auth {
            UrlAuth::None => None,
            UrlAuth::AwsIam => {
                Some(self.authenticator().recognise(claim.as_ref(), &["lambda"], raw.origin, now_ms).await?)
            }
        };
        let received = body::read(raw.body, URL_EVENT_BYTES_MAX, self.budget()).await.map_err(|error| match error {
            BodyError::TooLarge => Refusal::TooLarge,
            BodyError::Interrupted => Refusal::Interrupted,
            BodyError::Busy => Refusal::Busy,
        })?;
        let caller = match identity {
            Some(identity) => Some(identity.prove(head, claim.as_ref(), &["lambda"], &received.bytes, now_ms)?),
            None => None,
        };
        self.admit(url, caller.as_ref()).await?;
        let request = self.invocation(raw, head, visit, caller.as_ref(), &received.bytes).await?;
        match url.invoke_mode {
            UrlInvokeMode::Buffered => {
                let outcome = visit.urls.invoker.invoke(request).await?;
                if outcome.failure.is_some() {
                    return Err(Refusal::FunctionFailed);
                }
                Ok(respond(reply::from_result(&outcome.payload)?, raw.request_id))
            }
            UrlInvokeMode::ResponseStream => {
                let stream = visit.urls.invoker.invoke_streaming(request).await?;
                let (reply, body) = stream::begin(stream).await?;
                let mut response = respond(reply, raw.request_id);
                response.stream = body;
                Ok(response)
            }
        }
    }

    /// Asks the policies, where they are evaluated. Both actions are needed since October 2025:
    /// <https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html>
    async fn admit(&self, url: &FunctionUrl, caller: Option<&Principal>) -> Result<(), Refusal> {
        let Some(authorizer) = self.authorizer() else { return Ok(()) };
        let auth = match url.auth {
            UrlAuth::None => "NONE",
            UrlAuth::AwsIam => "AWS_IAM",
        };
        for (action, key, value) in [
            ("lambda:InvokeFunctionUrl", "lambda:FunctionUrlAuthType", auth),
            ("lambda:InvokeFunction", "lambda:InvokedViaFunctionUrl", "true"),
        ] {
            let request = AccessRequest {
                principal: caller.cloned(),
                action: action.to_owned(),
                resource: url.function_arn(),
                context: vec![(key.to_owned(), vec![value.to_owned()])],
                resource_policy: url.resource_policy.clone(),
            };
            if !authorizer.decide(&request).await?.is_allowed() {
                return Err(Refusal::Forbidden);
            }
        }
        Ok(())
    }

    async fn invocation(
        &self,
        raw: &Raw<'_>,
        head: &Head<'_>,
        visit: &Visit<'_>,
        caller: Option<&Principal>,
        body: &[u8],
    ) -> Result<InvokeRequest, Refusal> {
        let Visit { urls, url, address, trace } = visit;
        let (host, port) = split_port(head.host);
        let own_name = format!("{}.lambda-url.{}.localhost", url.url_id, url.region);
        let event = event::encode(&event::Request {
            url_id: &url.url_id,
            domain_name: if address.region.is_some() { host } else { &own_name },
            port: port.unwrap_or(80),
            method: head.method,
            path: address.path,
            query: head.query,
            version: raw.parts.version,
            headers: head.headers,
            peer: raw.peer,
            caller,
            request_id: raw.request_id.as_str(),
            trace,
            received_at_ms: raw.received_at_ms,
            body,
        });
        if event.len() > URL_EVENT_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let function = urls.catalog.resolve(&url.account, &url.region, &url.function, url.qualifier.as_deref()).await?;
        Ok(InvokeRequest {
            function,
            invoked_arn: url.function_arn(),
            request_id: raw.request_id.clone(),
            payload: event.into(),
            client_context: None,
            trace_header: Some(trace.clone()),
            tenant_id: None,
            tail: LogTail::Omitted,
        })
    }
}

fn is_preflight(cors: Option<&gust_kit::ports::UrlCors>, head: &Head<'_>) -> bool {
    cors::preflight(cors, head.method, head.headers).is_some()
}

fn push_all(headers: cors::Headers, response: &mut WireResponse) {
    response.headers.extend(headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

/// A response of a function. One without content has no body, whatever the function says.
fn respond(reply: Reply, request_id: &RequestId) -> WireResponse {
    let Reply { status, headers, body } = reply;
    let mut response = WireResponse::new(status, request_id.as_str());
    response.headers.extend(headers);
    if !matches!(status, 100..=199 | 204 | 304) {
        response.body = body;
    }
    response
}

/// The name in a `Host` header, and the port if there is one.
fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') => port.parse().map_or((host, None), |port| (name, Some(port))),
        _ => (host, None),
    }
}
