//! Decisions about requests: values in, values out, no effects.

pub mod aliases;
pub mod configuration;
pub mod destination;
pub mod environment;
pub mod layer;
pub mod name;
pub mod payload;
pub mod permission;
pub mod policy;
pub mod runtime;
pub mod tags;
pub mod unsupported;
pub mod url;
