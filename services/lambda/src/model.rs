//! What Lambda remembers of a function, and the names by which it is found.

use crate::layer::{LayerUse, merged_name};
use gust_types::{AccountId, Region};
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
        let (partition, region, account) = (self.region.partition(), self.region.as_str(), self.account.as_str());
        ["arn:", partition, ":lambda:", region, ":", account, ":function:", &self.name].concat()
    }

    /// The ARN with `qualifier`, if there is one.
    pub fn qualified_arn(&self, qualifier: Option<&Qualifier>) -> String {
        match qualifier {
            Some(qualifier) => format!("{}:{qualifier}", self.arn()),
            None => self.arn(),
        }
    }
}

/// A version of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// `$LATEST`: the one that can be changed.
    Latest,
    /// A published one, counted from 1.
    Number(u64),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Latest => f.write_str(LATEST),
            Version::Number(number) => number.fmt(f),
        }
    }
}

impl From<Version> for Qualifier {
    fn from(version: Version) -> Qualifier {
        match version {
            Version::Latest => Qualifier::Latest,
            Version::Number(number) => Qualifier::Number(number),
        }
    }
}

/// What follows a function's name: a version or an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Qualifier {
    /// `$LATEST`
    Latest,
    /// A published version.
    Number(u64),
    /// An alias.
    Alias(String),
    /// What no version and no alias is called: `$LATEST.PUBLISHED` (of functions on capacity providers), `007`.
    Other(String),
}

impl Qualifier {
    /// Reads a qualifier that the model's pattern has accepted.
    pub fn parse(text: &str) -> Qualifier {
        if text == LATEST {
            return Qualifier::Latest;
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number: &u64| *number > 0 && !text.starts_with('0'));
            return number.map_or_else(|| Qualifier::Other(text.to_owned()), Qualifier::Number);
        }
        if text.contains(['$', '.']) { Qualifier::Other(text.to_owned()) } else { Qualifier::Alias(text.to_owned()) }
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Qualifier::Latest => f.write_str(LATEST),
            Qualifier::Number(number) => number.fmt(f),
            Qualifier::Alias(text) | Qualifier::Other(text) => f.write_str(text),
        }
    }
}

/// The version that is always there.
pub const LATEST: &str = "$LATEST";

/// One version of a function as it is stored: its `$LATEST`, or, inside of a [`VersionRecord`], a published one.
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
    /// Its tags; a published version has none.
    pub tags: BTreeMap<String, String>,
}

/// A published version: what `$LATEST` was when it was published. Nothing of it changes any more but its state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The description that `$LATEST` had; the version may have been given its own.
    pub latest_description: String,
    /// All the rest.
    pub function: FunctionRecord,
}

/// A name for one version, or for two of which one gets a share of the invocations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// What clients see as RevisionId: changes with every write.
    pub revision_id: String,
    /// Free text.
    pub description: String,
    /// The version; `None` is `$LATEST`.
    pub number: Option<u64>,
    /// Another version, and its share between 0 and 1.
    pub additional: Option<(u64, f64)>,
}

impl AliasRecord {
    /// The version that the alias stands for.
    pub fn version(&self) -> Version {
        self.number.map_or(Version::Latest, Version::Number)
    }

    /// The version that serves one invocation, for a `random` number from 0 to below 1.
    pub fn choose(&self, random: f64) -> Version {
        match self.additional {
            Some((number, share)) if random < share => Version::Number(number),
            _ => self.version(),
        }
    }

    /// Whether invocations of it may reach version `number`.
    pub fn leads_to(&self, number: u64) -> bool {
        self.number == Some(number) || self.additional.is_some_and(|(additional, _)| additional == number)
    }
}

/// A function's State.
///
/// AWS has `Inactive`, too, for functions that have not been invoked for weeks, whose resources it takes back: the
/// next invocation fails and brings them back. gust takes back nothing that an invocation could not make anew
/// within its cold start, so that no function ever becomes Inactive.
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
    /// `PER_TENANT` if each of its environments serves one tenant only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_isolation: Option<String>,
    /// The queue or topic for events that could not be processed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_arn: Option<String>,
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
    /// The sum of all packages' zips in bytes; each version counts for itself.
    pub code_bytes: u64,
    /// How many functions there are.
    pub functions: u64,
    /// The sum of all reserved concurrency.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved: u64,
    /// The sum of all provisioned concurrency of functions that have no reservation.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub provisioned: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl FunctionRecord {
    /// The names of all packages that it needs on disk: its code, its layers, and what the layers are merged to.
    pub fn packages(&self) -> BTreeSet<String> {
        let layers = &self.config.layers;
        let zips = layers.iter().map(|layer| layer.package.sha256.clone());
        zips.chain(merged_name(layers)).chain([self.package.sha256.clone()]).collect()
    }

    /// Whether two versions run the same code with the same configuration, their descriptions included.
    pub fn is_same_deployment(&self, other: &FunctionRecord) -> bool {
        self.config == other.config && self.package == other.package
    }

    /// Whether it is being created or updated.
    pub fn is_unsettled(&self) -> bool {
        self.state == State::Pending || self.last_update == LastUpdate::InProgress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualifiers_are_told_apart() {
        for (text, qualifier) in [
            ("$LATEST", Qualifier::Latest),
            ("1", Qualifier::Number(1)),
            ("18446744073709551615", Qualifier::Number(u64::MAX)),
            ("prod", Qualifier::Alias("prod".into())),
            ("1_0", Qualifier::Alias("1_0".into())),
            ("0", Qualifier::Other("0".into())),
            ("007", Qualifier::Other("007".into())),
            ("18446744073709551616", Qualifier::Other("18446744073709551616".into())),
            ("$LATEST.PUBLISHED", Qualifier::Other("$LATEST.PUBLISHED".into())),
            ("a$b", Qualifier::Other("a$b".into())),
        ] {
            assert_eq!(Qualifier::parse(text), qualifier);
            assert_eq!(qualifier.to_string(), text);
        }
    }

    #[test]
    fn an_alias_gives_the_other_version_its_share() {
        let mut alias =
            AliasRecord { revision_id: "r".into(), description: String::new(), number: Some(1), additional: None };
        assert_eq!((alias.choose(0.0), alias.choose(0.999)), (Version::Number(1), Version::Number(1)));
        alias.additional = Some((2, 0.25));
        assert_eq!((alias.choose(0.0), alias.choose(0.249)), (Version::Number(2), Version::Number(2)));
        assert_eq!((alias.choose(0.25), alias.choose(0.999)), (Version::Number(1), Version::Number(1)));
        (alias.number, alias.additional) = (None, Some((2, 0.0)));
        assert_eq!(alias.choose(0.0), Version::Latest);
        alias.additional = Some((2, 1.0));
        assert_eq!(alias.choose(0.999_999), Version::Number(2));
        assert!(alias.leads_to(2) && !alias.leads_to(1));
    }
}
