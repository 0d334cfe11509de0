//! IAM's policy language: documents, what they say of a request, and how several of them decide together.
//!
//! Text in, values out: nothing here knows where policies are kept or who asks. Everything is bounded by the size of
//! the document ([`DOCUMENT_BYTES_MAX`]); a pattern is matched in time proportional to its length times the text's.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies.html>

mod condition;
mod context;
mod decide;
mod document;
mod json;
mod parse;
mod principal;
mod template;
mod values;

pub use context::Context;
pub use decide::{Decision, Layer, PrincipalSide, Relation, Resource};
pub use document::{Effect, Policy, Request, Verdict};
pub use parse::{DOCUMENT_BYTES_MAX, Kind, Malformed};
pub use principal::{Caller, Grant};
