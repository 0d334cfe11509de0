//! What Lambda remembers of a function, and the names by which it is found.

use crate::layer::{LayerUse, merged_name};
use gust_types::{AccountId, Arn, Region};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Which function: its owner, its region and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId {
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The name, without qualifier.
    pub name: Arc<str>,
}

impl FunctionId {
    /// The ARN without qualifier.
    pub fn arn(&self) -> String {
        Arn::new("lambda", &self.region, &self.account, format!("function:{}", self.name)).to_string()
    }

    /// The ARN with `qualifier`, if there is one.
    pub fn qualified_arn(&self, qualifier: Option<&Qualifier>) -> String {
        match qualifier {
            Some(qualifier) => format!("{}:{qualifier}", self.arn()),
            None => self.arn(),
        }
    }
}

/// A version or an alias of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Qualifier {
    /// `$LATEST`
    Latest,
    /// A published version's number, an alias, or `$LATEST.PUBLISHED`.
    Other(String),
}

impl Qualifier {
    /// Reads a qualifier that the model's pattern has accepted.
    pub fn parse(text: &str) -> Qualifier {
        match text {
            LATEST => Qualifier::Latest,
            other => Qualifier::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Qualifier::Latest => LATEST,
            Qualifier::Other(text) => text,
        })
    }
}

/// The version that is always there.
pub const LATEST: &str = "$LATEST";

/// A function as it is stored: its `$LATEST`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// What clients see as RevisionId: changes with every write.
    pub revision_id: String,
    /// Changes with code and configuration only: environments of another one are replaced.
    pub deployment_id: String,
    /// When code or configuration last changed, in milliseconds since the epoch.
    pub modified_at_ms: i64,
    /// Whether it can be invoked.
    pub state: State,
    /// How the last update went.
    pub last_update: LastUpdate,
    /// Its configuration.
    pub config: FunctionConfig,
    /// Its code.
    pub package: Package,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A function's State.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It is being created.
    Pending,
    /// It can be invoked.
    Active,
    /// Its code could not be set up.
    Failed {
        /// Why.
        reason: String,
    },
}

impl State {
    /// Its name on the wire.
    pub fn as_str(&self) -> &'static str {
        match self {
            State::Pending => "Pending",
            State::Active => "Active",
            State::Failed { .. } => "Failed",
        }
    }
}

/// A function's LastUpdateStatus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LastUpdate {
    /// The function is still being created.
    None,
    /// It is being applied.
    InProgress,
    /// It was applied.
    Successful,
    /// It could not be applied.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A function's configuration, defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionConfig {
    /// For example `python3.12`.
    pub runtime: String,
    /// For example `app.handler`.
    pub handler: String,
    /// The execution role.
    pub role: String,
    /// Free text.
    pub description: String,
    /// Time limit of an invocation in seconds.
    pub timeout_s: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Size of `/tmp` in MiB.
    pub ephemeral_mb: u32,
    /// Its variables; `None` if none were ever given, which AWS shows differently from an empty map.
    pub environment: Option<BTreeMap<String, String>>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `Active` or `PassThrough`.
    pub tracing_mode: String,
    /// How it logs.
    pub logging: LoggingRecord,
    /// The key named for its variables; kept and shown, without effect.
    pub kms_key_arn: Option<String>,
    /// Its network; kept and shown, without effect.
    pub vpc: Option<VpcRecord>,
    /// Its layers, in the order in which they are laid over each other.
    #[serde(default)]
    pub layers: Vec<LayerUse>,
}

/// A stored LoggingConfig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggingRecord {
    /// `Text` or `JSON`.
    pub format: String,
    /// Least level of the function's own lines (JSON only).
    pub application_level: Option<String>,
    /// Least level of platform lines (JSON only).
    pub system_level: Option<String>,
    /// The log group.
    pub group: String,
}

/// A stored VpcConfig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcRecord {
    /// Subnets.
    pub subnet_ids: Vec<String>,
    /// Security groups.
    pub security_group_ids: Vec<String>,
    /// Outbound IPv6 on dual-stack subnets.
    pub ipv6_allowed: bool,
}

/// A function's package: where its zip and its unpacked form are found, and their sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The zip's SHA-256 in hexadecimal: the name of blob and folder.
    pub sha256: String,
    /// The zip's size in bytes.
    pub zip_bytes: u64,
    /// The size of all files in bytes.
    pub unzipped_bytes: u64,
}

/// What an account uses in a region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The sum of all packages' zips in bytes.
    pub code_bytes: u64,
    /// How many functions there are.
    pub functions: u64,
}

impl FunctionRecord {
    /// The names of all packages that it needs on disk: its code, its layers, and what the layers are merged to.
    pub fn packages(&self) -> BTreeSet<String> {
        let layers = &self.config.layers;
        let zips = layers.iter().map(|layer| layer.package.sha256.clone());
        zips.chain(merged_name(layers)).chain([self.package.sha256.clone()]).collect()
    }

    /// Whether it is being created or updated.
    pub fn is_unsettled(&self) -> bool {
        self.state == State::Pending || self.last_update == LastUpdate::InProgress
    }
}
