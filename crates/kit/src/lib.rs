//! What every service stands on: operations, the context they run in, and ports to other services.
//!
//! A service depends on this crate and never on another service. What it needs of another it asks
//! of a port ([`ports`]); the owner implements it and the binary wires it.

mod access;
mod call;
mod common;
mod operation;
mod platform;
pub mod ports;
mod registry;

pub use access::{Need, PolicyUse, ResourceFacts, request_tags};
pub use call::{Call, Principal, PrincipalKind, Session};
pub use common::CommonError;
pub use operation::{Cx, Op, Operation, Service};
pub use platform::Platform;
pub use registry::{Caller, Endpoint, Registry, ServiceEndpoint};
