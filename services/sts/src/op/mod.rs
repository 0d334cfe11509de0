//! STS's operations, one a file.

mod assume_role;
mod get_access_key_info;
mod get_caller_identity;
mod get_federation_token;
mod get_session_token;

use crate::Sts;
use crate::api::{AssumeRole, GetAccessKeyInfo, GetCallerIdentity, GetFederationToken, GetSessionToken};
use gust_kit::Op;

/// Every operation.
pub const OPERATIONS: &[Op<Sts>] = &[
    Op::of::<AssumeRole>(),
    Op::of::<GetAccessKeyInfo>(),
    Op::of::<GetCallerIdentity>(),
    Op::of::<GetFederationToken>(),
    Op::of::<GetSessionToken>(),
];
