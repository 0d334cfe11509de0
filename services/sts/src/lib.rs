//! AWS Security Token Service: who calls, sessions of roles, and the keys that all signatures are verified against.

mod access;
mod error;
mod key_cache;
mod key_ring;
mod keys;
pub mod limits;
mod model;
mod op;
mod rules;
mod user_keys;

pub use error::StsError;
pub use key_ring::KeyRing;

use gust_kit::ports::RoleDirectory;
use gust_kit::{Call, CommonError, Need, Op, Platform, ResourceFacts, Service};
use gust_types::{AwsError, Doc};
use gust_wire::{OperationModel, ServiceModel};
use std::sync::Arc;

/// Types, operations, errors and tables, from `api.json`.
pub mod api {
    #![allow(missing_docs, non_upper_case_globals, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

/// Which roles AssumeRole accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolePolicy {
    /// `--auth open`: also roles that do not exist, so that tools work before anything was made for them.
    Any,
    /// `--auth strict`: only roles that exist.
    Existing,
}

/// The service.
pub struct Sts {
    platform: Platform,
    key_ring: Arc<KeyRing>,
    roles: Arc<dyn RoleDirectory>,
    role_policy: RolePolicy,
}

impl Sts {
    /// The service over the keys of `key_ring` and the roles of `roles`.
    pub fn new(
        platform: Platform,
        key_ring: Arc<KeyRing>,
        roles: Arc<dyn RoleDirectory>,
        role_policy: RolePolicy,
    ) -> Sts {
        Sts { platform, key_ring, roles, role_policy }
    }
}

impl Service for Sts {
    const MODEL: &'static ServiceModel = &api::MODEL;
    const OPERATIONS: &'static [Op<Sts>] = op::OPERATIONS;

    fn platform(&self) -> &Platform {
        &self.platform
    }

    async fn needs(&self, operation: &'static OperationModel, input: &Doc, call: &Call) -> Result<Vec<Need>, AwsError> {
        Ok(access::needs(operation.route.name, input, call))
    }

    async fn facts(&self, resource: &str) -> Result<ResourceFacts, AwsError> {
        let role = self.roles.role(resource).await.map_err(CommonError::from)?;
        let facts = role.map(|role| ResourceFacts { policy: Some(role.trust_policy), tags: role.tags });
        Ok(facts.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
