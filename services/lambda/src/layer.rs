//! What Lambda remembers of layers, and how they are named.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html>.

use crate::model::Package;
use crate::rules::policy::Statement;
use gust_types::{AccountId, Arn, Region};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Which layer: its owner, its region and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerId {
    /// The owner.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The name.
    pub name: Arc<str>,
}

impl LayerId {
    /// The layer's ARN.
    pub fn arn(&self) -> String {
        Arn::new("lambda", &self.region, &self.account, format!("layer:{}", self.name)).to_string()
    }

    /// The ARN of one of its versions.
    pub fn version_arn(&self, version: u64) -> String {
        format!("{}:{version}", self.arn())
    }
}

/// A layer as such. Kept when its versions are gone, so that no number is given twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The number of the newest version that there has been.
    pub last_version: u64,
}

/// A version of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerVersionRecord {
    /// Free text.
    pub description: String,
    /// The licence, in whatever form.
    pub license_info: Option<String>,
    /// The runtimes that it is said to fit.
    pub runtimes: Vec<String>,
    /// The architectures that it is said to fit.
    pub architectures: Vec<String>,
    /// When it was published, in milliseconds since the epoch.
    pub created_at_ms: i64,
    /// Its content.
    pub package: Package,
    /// Who else may use it.
    pub statements: Vec<Statement>,
    /// What clients see as the policy's RevisionId.
    pub policy_revision_id: String,
}

/// A layer as a function uses it. What happens to the layer afterwards does not touch the function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerUse {
    /// The ARN of the version.
    pub arn: String,
    /// Its content.
    pub package: Package,
}

/// The name of the folder that these layers are merged to; `None` if there is nothing to merge, because there
/// is no layer or only one.
pub fn merged_name(layers: &[LayerUse]) -> Option<String> {
    if layers.len() < 2 {
        return None;
    }
    let mut hash = Sha256::new();
    hash.update("gust merged layers");
    for layer in layers {
        hash.update("\n");
        hash.update(&layer.package.sha256);
    }
    Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The name of the folder that appears as `/opt`.
pub fn folder_name(layers: &[LayerUse]) -> Option<String> {
    merged_name(layers).or_else(|| layers.first().map(|layer| layer.package.sha256.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(sha256: &str) -> LayerUse {
        let package = Package { sha256: sha256.repeat(64), zip_bytes: 1, unzipped_bytes: 1 };
        LayerUse { arn: format!("arn:{sha256}"), package }
    }

    #[test]
    fn a_list_of_layers_has_one_folder() {
        assert_eq!((folder_name(&[]), merged_name(&[layer("a")])), (None, None));
        assert_eq!(folder_name(&[layer("a")]), Some("a".repeat(64)));
        let ab = folder_name(&[layer("a"), layer("b")]).unwrap();
        assert_eq!(ab.len(), 64);
        assert_ne!(Some(ab.clone()), folder_name(&[layer("b"), layer("a")]), "their order counts");
        let other_name = LayerUse { arn: "arn:other".into(), ..layer("a") };
        assert_eq!(Some(ab), folder_name(&[other_name, layer("b")]), "only their content counts");
    }
}
