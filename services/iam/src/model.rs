//! What IAM remembers, and how it shows it.

use crate::api::{AttachedPermissionsBoundary, PermissionsBoundaryAttachmentType, Role, RoleLastUsed, Tag};
use crate::error::IamError;
use crate::keys;
use gust_store::{Read, Record};
use gust_types::{AccountId, Arn};
use serde::{Deserialize, Serialize};

/// A role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// The name as it was given.
    pub name: String,
    /// For example `/` or `/service/`.
    pub path: String,
    /// `AROA...`
    pub id: String,
    /// The trust policy, as it was given.
    pub trust_policy: String,
    /// What it is for.
    pub description: Option<String>,
    /// How long a session may last, in seconds.
    pub max_session_duration_s: u32,
    /// The ARN of the permissions boundary.
    pub permissions_boundary: Option<String>,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
    /// The ARNs of the attached managed policies, in the order in which they were attached.
    pub attached: Vec<String>,
    /// The size of all inline policies, in characters without white space.
    pub inline_characters: usize,
}

impl Record for RoleRecord {
    const VERSION: u8 = 1;
}

/// An inline policy of a role.
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

/// What an account uses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Roles.
    pub roles: u64,
}

impl Record for UsageRecord {
    const VERSION: u8 = 1;
}

impl RoleRecord {
    /// Finds a role.
    pub fn find<T: Read + ?Sized>(read: &mut T, account: &AccountId, name: &str) -> Result<RoleRecord, IamError> {
        RoleRecord::load(read, &keys::role(account, name))?.ok_or_else(|| IamError::RoleNotFound(name.to_owned()))
    }

    /// Its ARN.
    pub fn arn(&self, account: &AccountId) -> String {
        Arn::global("iam", account, format!("role{}{}", self.path, self.name)).to_string()
    }

    /// As CreateRole and GetRole show it.
    pub fn show(&self, account: &AccountId) -> Role {
        let boundary = |arn: &String| AttachedPermissionsBoundary {
            permissions_boundary_type: Some(PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
            permissions_boundary_arn: Some(arn.clone()),
        };
        let tag = |(key, value): &(String, String)| Tag { key: key.clone(), value: value.clone() };
        let tags: Vec<Tag> = self.tags.iter().map(tag).collect();
        Role {
            permissions_boundary: self.permissions_boundary.as_ref().map(boundary),
            tags: (!tags.is_empty()).then_some(tags),
            role_last_used: Some(RoleLastUsed::default()),
            ..self.show_listed(account)
        }
    }

    /// As ListRoles shows it: without boundary, tags and last use.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html>
    pub fn show_listed(&self, account: &AccountId) -> Role {
        Role {
            path: self.path.clone(),
            role_name: self.name.clone(),
            role_id: self.id.clone(),
            arn: self.arn(account),
            // IAM's times have whole seconds.
            create_date: self.created_at_ms.div_euclid(1000) * 1000,
            assume_role_policy_document: Some(url_encoded(&self.trust_policy)),
            description: self.description.clone(),
            max_session_duration: i32::try_from(self.max_session_duration_s).ok(),
            ..Role::default()
        }
    }
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

    /// The first version's bytes as they lie in data folders.
    #[test]
    fn version_1_is_read() {
        let bytes = b"\x01{\"name\":\"R\",\"path\":\"/\",\"id\":\"AROA\",\"trust_policy\":\"{}\",\"description\":null,\
            \"max_session_duration_s\":3600,\"permissions_boundary\":null,\"tags\":[[\"k\",\"v\"]],\"created_at_ms\":1999,\
            \"attached\":[\"a\"],\"inline_characters\":7}";
        let role = RoleRecord::decode(bytes).unwrap();
        assert_eq!(role.tags, [("k".to_owned(), "v".to_owned())]);
        assert_eq!(role.encode().unwrap().as_ref(), bytes);
        let shown = role.show(&AccountId::parse("000000000000").unwrap());
        assert_eq!((shown.arn.as_str(), shown.create_date), ("arn:aws:iam::000000000000:role/R", 1000));
    }
}
