//! The request path: from a socket to an operation and back, in whichever AWS protocol the caller speaks.
//!
//! [`Gateway::serve`] takes any listener, any time: the public one, and one for each execution environment.

mod access;
mod admin;
mod authenticate;
mod authorize;
mod body;
mod classify;
mod detach;
pub mod limits;
mod outgoing;
mod pipeline;
mod respond;
mod serve;
mod url;
mod watch;

pub use admin::{AdminHandlers, ClockError, ResetError};
pub use authenticate::AuthPolicy;
pub use serve::{ConnectionOrigin, Serving};
pub use url::FunctionUrls;

use access::Hosts;
use authenticate::Authenticator;
use body::Budget;
use futures_util::FutureExt;
use gust_kit::Registry;
use gust_kit::ports::{Authorizer, CredentialSource};
use gust_types::{AccountId, RequestId, SharedClock, SharedIds};
use gust_wire::{ServiceModel, WireResponse};
use http::{Request, Response};
use hyper::body::Incoming;
use outgoing::Outgoing;
use pipeline::{Outline, Raw};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;

/// What a gateway is told about its surroundings.
pub struct GatewayConfig {
    /// The account of keys that say nothing of one (`--auth open`).
    pub default_account: AccountId,
    /// Host names, besides loopback ones, under which gust may be addressed (`--auth open`): `gust.example.com`, or
    /// `*.example.com` for all names below.
    pub hosts: Vec<String>,
    /// Evaluates policies; `None` lets every known caller do everything in its account (`--auth open`).
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// Serves function URLs; `None`: there are none.
    pub urls: Option<FunctionUrls>,
    /// Real time: signatures and credentials are never judged by a moved clock.
    pub clock: SharedClock,
    /// Request ids.
    pub ids: SharedIds,
}

/// The way into gust. Clones share it.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    services: Vec<&'static ServiceModel>,
    authenticator: Authenticator,
    authorizer: Option<Arc<dyn Authorizer>>,
    urls: Option<FunctionUrls>,
    admin: Arc<dyn AdminHandlers>,
    budget: Budget,
    clock: SharedClock,
    ids: SharedIds,
}

impl Gateway {
    /// A gateway to the services of `registry`.
    pub fn new(
        registry: Registry,
        policy: AuthPolicy,
        credentials: Arc<dyn CredentialSource>,
        admin: Arc<dyn AdminHandlers>,
        config: GatewayConfig,
    ) -> Gateway {
        let GatewayConfig { default_account, hosts, authorizer, urls, clock, ids } = config;
        let mut services: Vec<&'static ServiceModel> = registry.services().map(|endpoint| endpoint.model()).collect();
        services.sort_unstable_by_key(|service| service.id);
        let authenticator = Authenticator { policy, credentials, hosts: Hosts::new(hosts), default_account };
        let budget = Budget::new();
        let inner = Inner { registry, services, authenticator, authorizer, urls, admin, budget, clock, ids };
        Gateway { inner: Arc::new(inner) }
    }

    /// Serves `listener` until the returned handle is stopped or dropped. Must be called inside a Tokio runtime.
    pub fn serve(&self, listener: TcpListener, origin: ConnectionOrigin) -> Serving {
        serve::serve(self.clone(), listener, origin)
    }

    fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    fn services(&self) -> &[&'static ServiceModel] {
        &self.inner.services
    }

    fn authenticator(&self) -> &Authenticator {
        &self.inner.authenticator
    }

    fn authorizer(&self) -> Option<&dyn Authorizer> {
        self.inner.authorizer.as_deref()
    }

    fn admin(&self) -> &dyn AdminHandlers {
        &*self.inner.admin
    }

    fn budget(&self) -> &Budget {
        &self.inner.budget
    }

    fn is_open(&self) -> bool {
        self.inner.authenticator.policy == AuthPolicy::Open
    }

    /// One request, whatever it is. A panic ends the request and nothing else.
    async fn handle(
        &self,
        request: Request<Incoming>,
        origin: &ConnectionOrigin,
        peer: Option<IpAddr>,
    ) -> Response<Outgoing> {
        let started = Instant::now();
        let (parts, mut body) = request.into_parts();
        let request_id = self.request_id();
        let received_at_ms = self.inner.clock.now_ms();
        let mut outline = Outline::default();
        let raw = Raw { parts: &parts, body: &mut body, origin, peer, request_id: &request_id, received_at_ms };
        let outcome = AssertUnwindSafe(self.answer(raw, &mut outline)).catch_unwind().await;
        let response = outcome.unwrap_or_else(|panic| {
            let request_id = request_id.as_str();
            tracing::error!(cause = panic_text(&*panic), request_id, "a request panicked");
            respond::broken(&RequestId::from_text(request_id))
        });
        log_access(&parts.method, &outline, &request_id, &response, started);
        respond::http(response)
    }

    /// A version 4 UUID, written without detours: every request has one.
    fn request_id(&self) -> RequestId {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0u8; 16];
        self.inner.ids.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        RequestId::from_text(text)
    }
}

/// The access log: never a header, a query or a body, for they hold secrets.
fn log_access(
    method: &http::Method,
    outline: &Outline,
    request_id: &RequestId,
    response: &WireResponse,
    started: Instant,
) {
    tracing::debug!(
        target: "gust::access",
        %method,
        service = outline.service,
        operation = outline.operation.map_or("", |operation| operation.route.name),
        status = response.status,
        duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        request_id = request_id.as_str(),
        "request"
    );
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("of an unknown kind")
}
