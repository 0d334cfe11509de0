//! Decisions about requests: values in, values out, no effects.

pub mod configuration;
pub mod environment;
pub mod name;
pub mod payload;
pub mod runtime;
pub mod tags;
pub mod unsupported;
