//! AWS Identity and Access Management: roles and their policies. Policies are kept and checked for
//! form; they are not evaluated yet.

mod directory;
mod error;
mod keys;
pub mod limits;
mod model;
mod op;
mod policies;
mod rules;

pub use directory::Roles;
pub use error::IamError;
pub use policies::Policies;

use gust_kit::{Op, Platform, Service};
use gust_store::Tx;
use gust_wire::ServiceModel;

/// Types, operations, errors and tables, from `api.json`.
pub mod api {
    #![allow(missing_docs, non_upper_case_globals, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

/// The service.
pub struct Iam {
    platform: Platform,
}

impl Iam {
    /// The service over the roles in `platform`'s store.
    pub fn new(platform: Platform) -> Iam {
        Iam { platform }
    }

    /// Commits a change. Whoever keeps policies in memory hears of it before it is acknowledged.
    async fn change<R: Send + 'static>(
        &self,
        change: impl Fn(&mut dyn Tx) -> Result<R, IamError> + Send + Sync + 'static,
    ) -> Result<R, IamError> {
        let change = move |tx: &mut dyn Tx| {
            let result = change(tx)?;
            tx.wake(policies::CHANGES_TOPIC);
            Ok(result)
        };
        self.platform.store.transact(change).await.map(|committed| committed.value)
    }
}

impl Service for Iam {
    const MODEL: &'static ServiceModel = &api::MODEL;
    const OPERATIONS: &'static [Op<Iam>] = op::OPERATIONS;

    fn platform(&self) -> &Platform {
        &self.platform
    }
}

#[cfg(test)]
mod tests;
