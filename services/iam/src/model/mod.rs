//! What IAM remembers, and how it shows it. One file a kind of thing; here is what they share.

mod group;
mod policy;
mod profile;
mod provider;
mod role;
mod user;

pub use group::GroupRecord;
pub use policy::{PolicyRecord, Uses, VersionRecord};
pub use profile::ProfileRecord;
pub use provider::ProviderRecord;
pub use role::{DeletionRecord, RoleRecord, SERVICE_ROLE_PATH};
pub use user::{AccessKey, UserRecord};

use crate::api::{AttachedPermissionsBoundary, PermissionsBoundaryAttachmentType, Tag};
use crate::error::IamError;
use crate::keys;
use crate::limits;
use gust_store::{Key, Read, Record, Tx};
use gust_types::{AccountId, Arn, Ids};
use serde::{Deserialize, Serialize};

/// The letters of unique ids.
const ID_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What has policies: the three kinds of identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A role.
    Role,
    /// A user.
    User,
    /// A group of users.
    Group,
}

impl Kind {
    /// As it begins a sentence.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Role => "Role",
            Kind::User => "User",
            Kind::Group => "Group",
        }
    }

    /// Greatest size of its inline policies together.
    pub fn inline_characters_max(self) -> usize {
        match self {
            Kind::Role => limits::ROLE_POLICIES_CHARACTERS_MAX,
            Kind::User => limits::USER_POLICIES_CHARACTERS_MAX,
            Kind::Group => limits::GROUP_POLICIES_CHARACTERS_MAX,
        }
    }

    /// AWS's name of the quota of attached policies.
    pub fn attached_quota(self) -> &'static str {
        match self {
            Kind::Role => "PoliciesPerRole",
            Kind::User => "PoliciesPerUser",
            Kind::Group => "PoliciesPerGroup",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Role => "role",
            Kind::User => "user",
            Kind::Group => "group",
        })
    }
}

/// What roles, users and groups have in common. Its fields lie in their records as if they were their own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// The name as it was given.
    pub name: String,
    /// For example `/` or `/service/`.
    pub path: String,
    /// `AROA...`, `AIDA...` or `AGPA...`
    pub id: String,
    /// The ARN of the permissions boundary (groups have none).
    #[serde(default)]
    pub permissions_boundary: Option<String>,
    /// Keys and values (groups have none).
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
    /// The ARNs of the attached managed policies, in the order in which they were attached.
    pub attached: Vec<String>,
    /// The size of all inline policies, in characters without white space.
    pub inline_characters: usize,
}

impl Entity {
    /// The boundary as responses show it.
    pub fn show_boundary(&self) -> Option<AttachedPermissionsBoundary> {
        self.permissions_boundary.as_ref().map(|arn| AttachedPermissionsBoundary {
            permissions_boundary_type: Some(PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
            permissions_boundary_arn: Some(arn.clone()),
        })
    }
}

/// A record of a thing that has a name and a path.
pub trait Named: Record + Clone + Send + Sync + 'static {
    /// Where an account's things of this kind are stored, in the order of their names.
    fn all_of(account: &AccountId) -> Key;
    /// The refusal of a name that nothing has.
    fn missing(name: &str) -> IamError;
    /// Its name as it was given.
    fn name(&self) -> &str;
    /// Its path.
    fn path(&self) -> &str;

    /// Where a thing of this name is stored.
    fn key(account: &AccountId, name: &str) -> Key {
        keys::named(Self::all_of(account), name)
    }

    /// Finds it by what requests call it.
    fn find<T: Read + ?Sized>(read: &mut T, account: &AccountId, name: &str) -> Result<Self, IamError> {
        Self::load(read, &Self::key(account, name))?.ok_or_else(|| Self::missing(name))
    }

    /// Stores it.
    fn keep(&self, tx: &mut dyn Tx, account: &AccountId) -> Result<(), IamError> {
        Ok(self.save(tx, Self::key(account, self.name()))?)
    }
}

/// A role, a user or a group.
pub trait Holder: Named {
    /// Which of them.
    const KIND: Kind;
    /// What it has in common with the others.
    fn entity(&self) -> &Entity;
    /// The same, to be changed.
    fn entity_mut(&mut self) -> &mut Entity;

    /// Refuses what only a service of AWS's may change.
    fn check_modifiable(&self) -> Result<(), IamError> {
        Ok(())
    }

    /// Its ARN.
    fn arn(&self, account: &AccountId) -> String {
        let Entity { path, name, .. } = self.entity();
        Arn::global("iam", account, format!("{}{path}{name}", Self::KIND)).to_string()
    }
}

/// What can be tagged.
pub trait Tagged: Named {
    /// Keys and values.
    fn tags(&self) -> &Vec<(String, String)>;
    /// The same, to be changed.
    fn tags_mut(&mut self) -> &mut Vec<(String, String)>;

    /// Refuses what only a service of AWS's may change.
    fn check_taggable(&self) -> Result<(), IamError> {
        Ok(())
    }
}

/// An inline policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InlinePolicyRecord {
    /// The name as it was given.
    pub name: String,
    /// The document as it was given.
    pub document: String,
}

impl Record for InlinePolicyRecord {
    const VERSION: u8 = 1;
}

/// The name by which people know an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The alias.
    pub alias: String,
}

impl Record for AliasRecord {
    const VERSION: u8 = 1;
}

/// What an account uses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Roles.
    pub roles: usize,
    /// Users.
    #[serde(default)]
    pub users: usize,
    /// Groups.
    #[serde(default)]
    pub groups: usize,
    /// Managed policies of the account's own.
    #[serde(default)]
    pub policies: usize,
    /// Instance profiles.
    #[serde(default)]
    pub profiles: usize,
    /// OpenID Connect providers.
    #[serde(default)]
    pub providers: usize,
}

impl Record for UsageRecord {
    const VERSION: u8 = 1;
}

/// A new unique id, for example `AROA` and 17 letters.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>
pub fn fresh_id(prefix: &str, ids: &dyn Ids) -> String {
    format!("{prefix}{}", ids.text(ID_LETTERS, 17))
}

/// IAM's times have whole seconds.
pub fn whole_seconds(at_ms: i64) -> i64 {
    at_ms.div_euclid(1000) * 1000
}

/// Tags as responses carry them: absent where there are none.
pub fn show_tags(tags: &[(String, String)]) -> Option<Vec<Tag>> {
    let shown = tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() });
    (!tags.is_empty()).then(|| shown.collect())
}

/// A policy document as responses carry it.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html> ("URL-encoded compliant with RFC 3986")
pub fn url_encoded(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// The size of a policy as IAM counts it: white space is free.
pub fn characters(document: &str) -> usize {
    document.chars().filter(|letter| !letter.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_url_encoded() {
        assert_eq!(url_encoded("{\"a\": [\"*\"]}"), "%7B%22a%22%3A%20%5B%22%2A%22%5D%7D");
        assert_eq!(url_encoded("é-._~"), "%C3%A9-._~");
    }

    /// A usage record of a gust that had roles only.
    #[test]
    fn version_1_is_read() {
        let usage = UsageRecord::decode(b"\x01{\"roles\":7}").unwrap();
        assert_eq!(usage, UsageRecord { roles: 7, ..UsageRecord::default() });
    }
}
