//! AWS Signature Version 4: reads it, verifies it, makes it. Pure: no I/O, no clock, no store.
//!
//! A request goes through three steps, so that a key is looked up only for a request that is worth it:
//! [`Claim::of`] finds what the request says about its signer, [`Claim::check`] judges all that needs
//! no key (completeness, age, scope), [`Checked::verify`] compares the signature. Every refusal is a
//! [`Refusal`], spelled for the caller's protocol by a [`Spelling`].
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

mod canonical;
mod claim;
mod key;
mod refusal;
mod sign;
mod time;
mod verify;

pub use claim::{Claim, Head, Scheme, Scope};
pub use refusal::{Refusal, Spelling};
pub use sign::Signer;
pub use verify::{Checked, Payload};

/// How far a request's date may be from ours, in seconds.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>
pub const CLOCK_SKEW_S: i64 = 900;
/// The longest life of a presigned request, in seconds: a week.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
pub const PRESIGNED_S_MAX: i64 = 604_800;
/// Most headers that a signature may cover; more is refused before any work is done.
pub const SIGNED_HEADERS_MAX: usize = 128;

/// The only algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The last element of a credential scope.
pub(crate) const TERMINATOR: &str = "aws4_request";
