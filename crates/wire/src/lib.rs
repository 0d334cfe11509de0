//! The AWS wire protocols, once each: they interpret interface tables and know no service.
//!
//! A request goes [`route`] -> [`decode`] -> [`check_members`] -> [`validate`] -> the operation -> [`encode`];
//! an error of any stage goes through [`encode_error`].

mod aws_json;
mod codec;
mod error_body;
mod event_stream;
mod failure;
#[cfg(test)]
mod fixture;
mod json_read;
mod json_write;
mod members;
mod message;
mod pattern;
mod percent;
mod query;
mod rest_json;
mod route;
mod scalar;
pub mod schema;
mod timestamp;
pub mod typed;
mod validate;
mod xml_write;

pub use bytes::Bytes;
pub use codec::{decode, encode, encode_error};
pub use gust_types::{AwsError, Doc, EventStream};
pub use http::HeaderMap;
pub use members::{Warning, check_members};
pub use message::{BodyStream, StreamCut, WireRequest, WireResponse};
pub use pattern::broken_patterns;
pub use route::{Routed, route};
pub use schema::{OperationModel, Protocol, ServiceModel};
pub use typed::{FromDoc, IntoDoc, OperationShape, TimestampMs};
pub use validate::validate;
