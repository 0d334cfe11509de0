//! STS's operations, one a file.

mod assume_role;
mod get_caller_identity;

use crate::Sts;
use crate::api::{AssumeRole, GetCallerIdentity};
use gust_kit::Op;

/// Every operation.
pub const OPERATIONS: &[Op<Sts>] = &[Op::of::<AssumeRole>(), Op::of::<GetCallerIdentity>()];
