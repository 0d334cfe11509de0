//! Users and their access keys.

use super::{Entity, Holder, Kind, Named, Tagged, show_tags, whole_seconds};
use crate::api::{AccessKeyMetadata, StatusType, User};
use crate::error::IamError;
use crate::keys;
use gust_store::{Key, Record};
use gust_types::AccountId;
use serde::{Deserialize, Serialize};

/// A user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Name, path, policies.
    #[serde(flatten)]
    pub entity: Entity,
    /// The names of its groups, in lower case. Membership is kept here only.
    pub groups: Vec<String>,
    /// Its access keys. The secrets are with whoever verifies signatures.
    pub access_keys: Vec<AccessKey>,
}

/// An access key, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA...`
    pub id: String,
    /// Whether its signatures count.
    pub is_active: bool,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
}

impl Record for UserRecord {
    const VERSION: u8 = 1;
}

impl Named for UserRecord {
    fn all_of(account: &AccountId) -> Key {
        keys::entities(Kind::User, account)
    }

    fn missing(name: &str) -> IamError {
        IamError::NotFound(Kind::User, name.to_owned())
    }

    fn name(&self) -> &str {
        &self.entity.name
    }

    fn path(&self) -> &str {
        &self.entity.path
    }
}

impl Holder for UserRecord {
    const KIND: Kind = Kind::User;

    fn entity(&self) -> &Entity {
        &self.entity
    }

    fn entity_mut(&mut self) -> &mut Entity {
        &mut self.entity
    }
}

impl Tagged for UserRecord {
    fn tags(&self) -> &Vec<(String, String)> {
        &self.entity.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<(String, String)> {
        &mut self.entity.tags
    }
}

impl UserRecord {
    /// As CreateUser and GetUser show it.
    pub fn show(&self, account: &AccountId) -> User {
        User {
            permissions_boundary: self.entity.show_boundary(),
            tags: show_tags(&self.entity.tags),
            ..self.show_listed(account)
        }
    }

    /// As ListUsers shows it: without boundary and tags.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUsers.html>
    pub fn show_listed(&self, account: &AccountId) -> User {
        User {
            path: self.entity.path.clone(),
            user_name: self.entity.name.clone(),
            user_id: self.entity.id.clone(),
            arn: self.arn(account),
            create_date: whole_seconds(self.entity.created_at_ms),
            ..User::default()
        }
    }

    /// Whether it belongs to a group.
    pub fn belongs_to(&self, group: &str) -> bool {
        self.groups.iter().any(|name| name.eq_ignore_ascii_case(group))
    }

    /// Notes that it belongs to a group.
    pub fn join(&mut self, group: &str) {
        self.groups.push(group.to_ascii_lowercase());
    }

    /// Notes that it belongs to a group no more.
    pub fn leave(&mut self, group: &str) {
        self.groups.retain(|name| !name.eq_ignore_ascii_case(group));
    }

    /// Its key with this id.
    pub fn access_key(&self, id: &str) -> Option<&AccessKey> {
        self.access_keys.iter().find(|key| key.id == id)
    }
}

impl AccessKey {
    /// As ListAccessKeys shows it.
    pub fn show(&self, user: &str) -> AccessKeyMetadata {
        AccessKeyMetadata {
            user_name: Some(user.to_owned()),
            access_key_id: Some(self.id.clone()),
            status: Some(if self.is_active { StatusType::Active } else { StatusType::Inactive }),
            create_date: Some(whole_seconds(self.created_at_ms)),
        }
    }
}
