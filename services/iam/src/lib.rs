//! AWS Identity and Access Management: roles, users, groups and their policies. Policies are kept and checked for form
//! here; whoever evaluates them asks for those of a principal ([`Policies`]).

mod access;
mod directory;
mod error;
mod family;
mod keys;
pub mod limits;
mod model;
mod op;
mod policies;
mod rules;

pub use directory::Roles;
pub use error::IamError;
pub use policies::Policies;

use gust_kit::ports::UserKeys;
use gust_kit::{Call, CommonError, Need, Op, Platform, ResourceFacts, Service};
use gust_types::{AwsError, Doc};
use gust_wire::{OperationModel, ServiceModel};
use std::sync::Arc;

/// Types, operations, errors and tables, from `api.json`.
pub mod api {
    #![allow(missing_docs, non_upper_case_globals, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

/// The service.
pub struct Iam {
    platform: Platform,
    keys: Arc<dyn UserKeys>,
}

impl Iam {
    /// The service over what is in `platform`'s store; `keys` keeps the access keys of users.
    pub fn new(platform: Platform, keys: Arc<dyn UserKeys>) -> Iam {
        Iam { platform, keys }
    }
}

impl Service for Iam {
    const MODEL: &'static ServiceModel = &api::MODEL;
    const OPERATIONS: &'static [Op<Iam>] = op::OPERATIONS;

    fn platform(&self) -> &Platform {
        &self.platform
    }

    async fn needs(&self, operation: &'static OperationModel, input: &Doc, call: &Call) -> Result<Vec<Need>, AwsError> {
        Ok(self.needs_of(operation.route.name, input, call).await.map_err(CommonError::from)?)
    }

    async fn facts(&self, resource: &str) -> Result<ResourceFacts, AwsError> {
        Ok(self.facts_of(resource).await.map_err(CommonError::from)?)
    }
}

#[cfg(test)]
mod tests;
