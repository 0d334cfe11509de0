//! Managed policies of an account's own, and their versions.

use super::{Named, Tagged, show_tags, url_encoded, whole_seconds};
use crate::api::{Policy, PolicyVersion};
use crate::error::IamError;
use crate::keys;
use crate::rules::managed;
use gust_store::{Key, Read, Record};
use gust_types::{AccountId, Arn};
use serde::{Deserialize, Serialize};

/// A managed policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// The name as it was given.
    pub name: String,
    /// For example `/` or `/team/`.
    pub path: String,
    /// `ANPA...`
    pub id: String,
    /// What it is for; it cannot be changed.
    pub description: Option<String>,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
    /// When a version was made, removed or chosen last, in milliseconds since the epoch.
    pub updated_at_ms: i64,
    /// The version that counts.
    pub default_version: u32,
    /// The number of the version that was made last; none is used twice.
    pub last_version: u32,
}

/// One version of a managed policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// 1 for `v1`.
    pub number: u32,
    /// The document as it was given.
    pub document: String,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
}

/// How often a managed policy is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// Roles, users and groups that it is attached to.
    pub attached: i32,
    /// Roles and users whose boundary it is.
    pub boundaries: i32,
}

impl Record for PolicyRecord {
    const VERSION: u8 = 1;
}

impl Record for VersionRecord {
    const VERSION: u8 = 1;
}

/// Requests call a managed policy by its ARN.
impl Named for PolicyRecord {
    fn all_of(account: &AccountId) -> Key {
        keys::policies_of(account)
    }

    fn missing(arn: &str) -> IamError {
        IamError::PolicyNotFound(arn.to_owned())
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn find<T: Read + ?Sized>(read: &mut T, account: &AccountId, arn: &str) -> Result<PolicyRecord, IamError> {
        if managed::owner(arn)? != account.as_str() {
            return Err(IamError::ForeignPolicy);
        }
        PolicyRecord::existing(read, account, arn)?.ok_or_else(|| Self::missing(arn))
    }
}

impl Tagged for PolicyRecord {
    fn tags(&self) -> &Vec<(String, String)> {
        &self.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<(String, String)> {
        &mut self.tags
    }
}

impl PolicyRecord {
    /// The account's policy with this ARN, if it has one.
    pub fn existing<T: Read + ?Sized>(
        read: &mut T,
        account: &AccountId,
        arn: &str,
    ) -> Result<Option<PolicyRecord>, gust_store::StoreError> {
        let name = managed::path_and_name(arn).1;
        let found = PolicyRecord::load(read, &Self::key(account, name))?;
        Ok(found.filter(|policy| policy.arn(account) == arn))
    }

    /// Its ARN.
    pub fn arn(&self, account: &AccountId) -> String {
        Arn::global("iam", account, format!("policy{}{}", self.path, self.name)).to_string()
    }

    /// Its version that counts.
    pub fn default_document<T: Read + ?Sized>(
        &self,
        read: &mut T,
        account: &AccountId,
    ) -> Result<Option<String>, gust_store::StoreError> {
        let version = VersionRecord::load(read, &keys::policy_version(account, &self.name, self.default_version))?;
        Ok(version.map(|version| version.document))
    }

    /// As responses show it. Lists leave out description and tags.
    pub fn show(&self, account: &AccountId, uses: Uses) -> Policy {
        Policy { description: self.description.clone(), tags: show_tags(&self.tags), ..self.show_listed(account, uses) }
    }

    /// As ListPolicies shows it.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicies.html>
    pub fn show_listed(&self, account: &AccountId, uses: Uses) -> Policy {
        Policy {
            policy_name: Some(self.name.clone()),
            policy_id: Some(self.id.clone()),
            arn: Some(self.arn(account)),
            path: Some(self.path.clone()),
            default_version_id: Some(format!("v{}", self.default_version)),
            attachment_count: Some(uses.attached),
            permissions_boundary_usage_count: Some(uses.boundaries),
            is_attachable: Some(true),
            create_date: Some(whole_seconds(self.created_at_ms)),
            update_date: Some(whole_seconds(self.updated_at_ms)),
            ..Policy::default()
        }
    }
}

impl VersionRecord {
    /// As lists show it: without the document.
    pub fn show_listed(&self, default_version: u32) -> PolicyVersion {
        PolicyVersion {
            document: None,
            version_id: Some(format!("v{}", self.number)),
            is_default_version: Some(self.number == default_version),
            create_date: Some(whole_seconds(self.created_at_ms)),
        }
    }

    /// As GetPolicyVersion shows it.
    pub fn show(&self, default_version: u32) -> PolicyVersion {
        PolicyVersion { document: Some(url_encoded(&self.document)), ..self.show_listed(default_version) }
    }

    /// The number of `v7`.
    pub fn parse_id(id: &str) -> Option<u32> {
        id.strip_prefix('v')?.parse().ok()
    }
}
