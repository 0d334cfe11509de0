//! AWS Lambda's interface: functions, their code, and their invocation. What runs them is a port
//! ([`gust_kit::ports::Invoker`]).

mod access;
mod attached;
mod catalog;
mod code;
mod development;
mod error;
mod event_configs;
mod keys;
mod layer;
mod layers;
mod lifecycle;
pub mod limits;
mod link;
mod lookup;
mod marker;
mod model;
mod op;
mod output;
mod package;
mod provisioned;
mod publish;
mod reservations;
mod rules;
mod subject;
mod target;
mod task;
mod urls;

pub use catalog::Catalog;
pub use code::{CodeStore, Durability, UNFINISHED_PREFIX};
pub use development::Substitute;
pub use error::{LambdaError, ParameterError, ValidationError};
pub use link::LINK_PATH;
pub use target::FunctionTarget;

use bytes::Bytes;
use gust_kit::ports::{Invoker, Sender, ServiceRoles, TargetError, Targets};
use gust_kit::{Call, Need, Op, Platform, ResourceFacts, Service};
use gust_store::Tx;
use gust_types::{AwsError, Doc, Ids};
use gust_wire::{OperationModel, ServiceModel};
use link::{LinkSigner, SECRET_BYTES};
use model::{FunctionConfig, FunctionId};
use rules::destination;
use std::sync::Arc;

/// Types, operations, errors and tables, from `api.json`.
pub mod api {
    #![allow(missing_docs, non_upper_case_globals, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

/// The size of all files of a package, as it is checked; nothing is written. For tests of hostile input.
///
/// Errors: why it cannot be unpacked.
pub fn unpacked_bytes(zip: &[u8]) -> Result<u64, String> {
    package::unpack(zip, package::Target::Nowhere).map_err(|error| error.to_string())
}

/// What a gust may set about Lambda.
#[derive(Clone)]
pub struct Settings {
    /// The architecture of programs that this machine runs: `x86_64` or `arm64`.
    pub machine: &'static str,
    /// Concurrent executions of an account in a region, as GetAccountSettings shows them.
    pub concurrent_executions: i32,
    /// Asked whether Lambda may act in a function's role; `None` where every role will do (`--auth open`).
    pub roles: Option<Arc<dyn ServiceRoles>>,
    /// What can take records of asynchronous invocations, and dead letters.
    pub targets: Targets,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            machine: if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" },
            concurrent_executions: limits::CONCURRENT_EXECUTIONS_DEFAULT,
            roles: None,
            targets: Targets::default(),
        }
    }
}

/// The service.
pub struct Lambda {
    platform: Platform,
    catalog: Arc<Catalog>,
    invoker: Arc<dyn Invoker>,
    links: LinkSigner,
    settings: Settings,
    /// Whoever holds it tells the invoker what is reserved for a function.
    telling: tokio::sync::Mutex<()>,
    /// Whoever holds it tells the invoker what is to be kept ready of a function, and sees what it was told last.
    provisioning: tokio::sync::Mutex<provisioned::Told>,
}

impl Lambda {
    /// The service over the functions of `catalog`, run by `invoker`. Makes the key for links at the first
    /// start, and tells the invoker what is reserved. Run [`Lambda::work`] beside it: without it no function becomes Active
    /// and nothing is kept ready.
    ///
    /// Errors: the store's.
    pub async fn open(
        platform: Platform,
        catalog: Arc<Catalog>,
        invoker: Arc<dyn Invoker>,
        settings: Settings,
    ) -> Result<Arc<Lambda>, LambdaError> {
        let links = LinkSigner::new(link_secret(&platform).await?);
        let (telling, provisioning) = Default::default();
        let lambda = Arc::new(Lambda { platform, catalog, invoker, links, settings, telling, provisioning });
        lambda.tell_all_reservations().await?;
        Ok(lambda)
    }

    /// Refuses a role that Lambda may not act in for the function `function_arn`.
    ///
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html>
    async fn check_role(&self, role_arn: &str, function_arn: &str) -> Result<(), LambdaError> {
        let Some(roles) = &self.settings.roles else { return Ok(()) };
        let may_assume = roles.may_assume("lambda.amazonaws.com", role_arn, function_arn).await?;
        if may_assume { Ok(()) } else { Err(ParameterError::RoleNotAssumable.into()) }
    }

    /// A function as it sends what became of its events.
    fn sender(&self, id: &FunctionId, role_arn: &str) -> Sender {
        Sender {
            account: id.account.clone(),
            region: id.region.clone(),
            function: id.name.to_string(),
            role_arn: role_arn.to_owned(),
        }
    }

    async fn check_target(&self, arn: &str, sender: &Sender) -> Result<(), TargetError> {
        self.settings.targets.of(arn)?.check(arn, sender).await
    }

    /// Refuses a DeadLetterConfig that nothing can be sent to.
    async fn check_dead_letters(&self, id: &FunctionId, config: &FunctionConfig) -> Result<(), LambdaError> {
        let Some(arn) = &config.dead_letter_arn else { return Ok(()) };
        let kind = destination::check_dead_letters(arn)?;
        let checked = self.check_target(arn, &self.sender(id, &config.role)).await;
        checked.map_err(|error| destination::dead_letter_refusal(error, arn, kind))
    }

    /// Its functions.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The zip that a link of `Code.Location` leads to, for requests whose path begins with [`LINK_PATH`].
    ///
    /// `None` if the link is not good, has expired, or its package is gone.
    pub async fn download(&self, path_and_query: &str) -> Option<Bytes> {
        let sha256 = self.links.check(path_and_query, self.platform.now_ms())?;
        match self.catalog.code().zip(sha256).await {
            Ok(zip) => zip,
            Err(error) => {
                tracing::error!(cause = %error, package = sha256, "a package could not be read");
                None
            }
        }
    }
}

impl Service for Lambda {
    const MODEL: &'static ServiceModel = &api::MODEL;
    const OPERATIONS: &'static [Op<Lambda>] = op::OPERATIONS;

    fn platform(&self) -> &Platform {
        &self.platform
    }

    async fn needs(&self, operation: &'static OperationModel, input: &Doc, call: &Call) -> Result<Vec<Need>, AwsError> {
        Ok(access::needs(operation.route.name, input, call)?)
    }

    async fn facts(&self, resource: &str) -> Result<ResourceFacts, AwsError> {
        Ok(self.facts_of(resource).await?)
    }
}

async fn link_secret(platform: &Platform) -> Result<[u8; SECRET_BYTES], LambdaError> {
    let mut fresh = [0u8; SECRET_BYTES];
    Ids::fill(&*platform.ids, &mut fresh);
    let kept = move |tx: &mut dyn Tx| -> Result<[u8; SECRET_BYTES], LambdaError> {
        let key = keys::link_secret();
        if let Some(secret) = tx.get(&key)?.and_then(|bytes| bytes.as_ref().try_into().ok()) {
            return Ok(secret);
        }
        tx.put(key, Bytes::copy_from_slice(&fresh))?;
        Ok(fresh)
    };
    Ok(platform.store.transact(kept).await?.value)
}

#[cfg(test)]
mod tests;
