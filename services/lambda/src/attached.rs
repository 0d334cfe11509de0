//! What is attached to a function, a version or an alias beside its code and configuration: policies, URLs,
//! settings. The function's record does not hold it, because it changes without the function.

use crate::error::LambdaError;
use crate::keys;
use crate::model::{FunctionId, Qualifier};
use crate::provisioned;
use crate::rules::policy::Statement;
use gust_kit::ports::EventSettings;
use gust_store::{Order, Range, Tx};
use serde::{Deserialize, Serialize};

/// The policy of a function, a version or an alias. Never empty: the last statement goes with its record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its statements, in the order in which they were added.
    pub statements: Vec<Statement>,
}

/// A function URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlRecord {
    /// The first label of its host name.
    pub url_id: String,
    /// `NONE` or `AWS_IAM`.
    pub auth_type: String,
    /// `BUFFERED` or `RESPONSE_STREAM`.
    pub invoke_mode: String,
    /// What pages of other sites may do.
    pub cors: Option<CorsRecord>,
    /// When it was made, in milliseconds since the epoch.
    pub created_at_ms: i64,
    /// When it was last changed, in milliseconds since the epoch.
    pub modified_at_ms: i64,
}

/// A stored Cors. `None` is a member that was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorsRecord {
    /// Whether cookies and other credentials may be sent.
    pub allow_credentials: Option<bool>,
    /// Request headers.
    pub allow_headers: Option<Vec<String>>,
    /// Methods.
    pub allow_methods: Option<Vec<String>>,
    /// Origins.
    pub allow_origins: Option<Vec<String>>,
    /// Response headers that a page may read.
    pub expose_headers: Option<Vec<String>>,
    /// How long a browser may keep a preflight's answer, in seconds.
    pub max_age_s: Option<i32>,
}

/// Whose URL an id is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlOwner {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The function.
    pub function: String,
    /// The alias, if it is one's.
    pub qualifier: Option<String>,
}

/// What becomes of asynchronous events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventConfigRecord {
    /// How often a failed event is tried again: 0 to 2.
    pub retries_max: Option<i32>,
    /// How old an event may become, in seconds: 60 to 21,600.
    pub age_max_s: Option<i32>,
    /// Where the record of a success goes.
    pub on_success: Option<String>,
    /// Where the record of a failure goes.
    pub on_failure: Option<String>,
    /// When it was last changed, in milliseconds since the epoch.
    pub modified_at_ms: i64,
}

impl EventConfigRecord {
    /// As the queue of events acts on it.
    pub fn settings(self) -> EventSettings {
        EventSettings {
            retries_max: self.retries_max.and_then(|retries| u32::try_from(retries).ok()),
            age_ms_max: self.age_max_s.map(|age_s| i64::from(age_s) * 1_000),
            on_success: self.on_success,
            on_failure: self.on_failure,
        }
    }
}

/// What is kept ready of a version or an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvisionedRecord {
    /// How many environments.
    pub executions: u32,
    /// When it was last changed, in milliseconds since the epoch.
    pub modified_at_ms: i64,
}

/// When a function gets a newer build of its runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRecord {
    /// `Auto`, `FunctionUpdate` or `Manual`.
    pub update_on: String,
    /// The build, for `Manual`.
    pub version_arn: Option<String>,
}

/// What becomes of a function that invokes itself in a loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecursionRecord {
    /// `Terminate` or `Allow`.
    pub recursive_loop: String,
}

/// Most records that one read of [`remove_all`] takes.
const REMOVE_BATCH: usize = 256;

/// Removes everything that is attached to a function and its versions and aliases.
pub fn remove_all(tx: &mut dyn Tx, id: &FunctionId) -> Result<(), LambdaError> {
    provisioned::remove_all(tx, id)?;
    for prefix in keys::all_attached(id) {
        loop {
            let pairs = tx.range(&Range::prefix(&prefix), Order::Ascending, REMOVE_BATCH)?;
            for (key, bytes) in &pairs {
                if prefix == keys::urls_of(id) {
                    tx.delete(keys::url_id(&keys::decode::<UrlRecord>(bytes)?.url_id))?;
                }
                tx.delete(key.clone())?;
            }
            if pairs.len() < REMOVE_BATCH {
                break;
            }
        }
    }
    Ok(())
}

/// Removes everything that is attached to one version or alias.
pub fn remove_of(tx: &mut dyn Tx, id: &FunctionId, qualifier: &Qualifier) -> Result<(), LambdaError> {
    if let Some(bytes) = tx.get(&keys::url(id, Some(qualifier)))? {
        tx.delete(keys::url_id(&keys::decode::<UrlRecord>(&bytes)?.url_id))?;
    }
    provisioned::remove(tx, id, qualifier)?;
    keys::attached_to(id, qualifier).into_iter().try_for_each(|key| Ok(tx.delete(key)?))
}
