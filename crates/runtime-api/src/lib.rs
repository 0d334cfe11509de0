//! How gust talks to a function's runtime: one interface over two transports.
//!
//! - [`Channel`]: gust's private framed channel on a unix socket, for its own runtimes;
//! - [`HttpRuntime`]: the Lambda Runtime API, for custom runtimes.
//!
//! [`EnvironmentApi`] is what every environment has besides: the Extensions, Telemetry and Logs APIs.
//!
//! [`RuntimeConnection`] hides which one it is. Log output comes over pipes of its own: [`LineSplitter`]
//! reads stdout and stderr, [`LogFrames`] the framed log pipe of gust's runtimes.

mod channel;
mod connection;
mod environment_api;
mod extension_calls;
#[cfg(test)]
mod extension_tests;
mod extension_types;
mod extensions;
mod frame;
mod http;
mod http_reply;
mod http_state;
mod limits;
mod lines;
mod log_frames;
mod telemetry;
mod telemetry_delivery;
mod telemetry_request;

pub use channel::Channel;
pub use connection::{Answer, FunctionFailure, Invocation, Ready, RuntimeConnection};
pub use environment_api::{ApiListener, EnvironmentApi, PeerGuard};
pub use extension_types::{ExtensionFailure, ExtensionSummary, FunctionFacts, ProcessEnd, ShutdownReason};
pub use extensions::Extensions;
pub use frame::{FrameKind, encode_invocation_head};
pub use http::HttpRuntime;
pub use limits::*;
pub use lines::LineSplitter;
pub use log_frames::{LogFrame, LogFrames};
pub use telemetry::{Category, Record, SubscriptionSummary, Telemetry, TelemetryEvent};
pub use telemetry_delivery::Connector;
