//! What the Runtime API's listener offers besides the runtime's own calls, in every environment.

use crate::http;
use crate::{Extensions, Telemetry};
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Says whether a connection comes from inside the environment. Needed where the listener is on the host's loopback.
pub trait PeerGuard: Send + Sync + 'static {
    /// Whether the process at `peer`, connected to `local`, is one of the environment's.
    fn is_inside(&self, peer: SocketAddr, local: SocketAddr) -> BoxFuture<'_, bool>;
}

/// The Extensions, Telemetry and Logs APIs of one environment.
pub struct EnvironmentApi {
    /// Who takes part.
    pub extensions: Extensions,
    /// Who listens.
    pub telemetry: Telemetry,
    guard: OnceLock<Arc<dyn PeerGuard>>,
}

impl EnvironmentApi {
    /// One for these extensions.
    pub fn new(extensions: Extensions) -> Arc<EnvironmentApi> {
        Arc::new(EnvironmentApi { extensions, telemetry: Telemetry::default(), guard: OnceLock::new() })
    }

    /// Lets only those connect whom `guard` knows. Set before the listener is served.
    pub fn set_guard(&self, guard: Arc<dyn PeerGuard>) {
        let is_first = self.guard.set(guard).is_ok();
        debug_assert!(is_first, "an environment has one guard");
    }

    pub(crate) fn guard(&self) -> Option<&Arc<dyn PeerGuard>> {
        self.guard.get()
    }
}

/// Serves the listener of an environment whose runtime uses the private channel: internal extensions call here.
pub struct ApiListener(AbortHandle);

impl ApiListener {
    /// Serves `listener` until it is dropped. Must be called inside a tokio runtime.
    pub fn serve(listener: TcpListener, api: Arc<EnvironmentApi>) -> ApiListener {
        ApiListener(tokio::spawn(http::accept(listener, None, Some(api))).abort_handle())
    }
}

impl Drop for ApiListener {
    fn drop(&mut self) {
        self.0.abort();
    }
}
