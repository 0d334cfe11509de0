//! gust's own endpoint inside each environment, served by the gateway.

use gust_types::{AccountId, Region};
use std::net::TcpListener;

/// Whose environment a listener is in: calls that come in there are this function's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointOwner {
    /// The function's account.
    pub account: AccountId,
    /// Its region.
    pub region: Region,
    /// Its execution role.
    pub role_arn: String,
    /// Its ARN.
    pub function_arn: String,
    /// The environment.
    pub environment_id: String,
}

/// Serves the endpoints of environments. Implemented over the gateway.
pub trait EndpointServer: Send + Sync + 'static {
    /// Serves `listener` (non-blocking) until the guard is dropped. Called inside the tokio runtime.
    fn serve(&self, listener: TcpListener, owner: EndpointOwner) -> Box<dyn Send>;
}

/// Serves nothing: connections are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoEndpoint;

impl EndpointServer for NoEndpoint {
    fn serve(&self, listener: TcpListener, _owner: EndpointOwner) -> Box<dyn Send> {
        drop(listener);
        Box::new(())
    }
}
