//! Roles.

use super::{Entity, Holder, Kind, Named, Tagged, show_tags, url_encoded, whole_seconds};
use crate::api::{Role, RoleLastUsed};
use crate::error::IamError;
use crate::keys;
use gust_store::{Key, Record};
use gust_types::AccountId;
use serde::{Deserialize, Serialize};

/// The path of roles that AWS's services make for themselves, with the service's name behind it.
pub const SERVICE_ROLE_PATH: &str = "/aws-service-role/";

/// A role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleRecord {
    /// Name, path, policies.
    #[serde(flatten)]
    pub entity: Entity,
    /// The trust policy, as it was given.
    pub trust_policy: String,
    /// What it is for.
    pub description: Option<String>,
    /// How long a session may last, in seconds.
    pub max_session_duration_s: u32,
}

impl Record for RoleRecord {
    const VERSION: u8 = 1;
}

impl Named for RoleRecord {
    fn all_of(account: &AccountId) -> Key {
        keys::entities(Kind::Role, account)
    }

    fn missing(name: &str) -> IamError {
        IamError::NotFound(Kind::Role, name.to_owned())
    }

    fn name(&self) -> &str {
        &self.entity.name
    }

    fn path(&self) -> &str {
        &self.entity.path
    }
}

impl Holder for RoleRecord {
    const KIND: Kind = Kind::Role;

    fn entity(&self) -> &Entity {
        &self.entity
    }

    fn entity_mut(&mut self) -> &mut Entity {
        &mut self.entity
    }

    fn check_modifiable(&self) -> Result<(), IamError> {
        if self.is_service_linked() { Err(IamError::ProtectedRole(self.entity.name.clone())) } else { Ok(()) }
    }
}

impl Tagged for RoleRecord {
    fn tags(&self) -> &Vec<(String, String)> {
        &self.entity.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<(String, String)> {
        &mut self.entity.tags
    }

    fn check_taggable(&self) -> Result<(), IamError> {
        self.check_modifiable()
    }
}

impl RoleRecord {
    /// Whether it belongs to a service.
    pub fn is_service_linked(&self) -> bool {
        self.entity.path.starts_with(SERVICE_ROLE_PATH)
    }

    /// As CreateRole and GetRole show it.
    pub fn show(&self, account: &AccountId) -> Role {
        Role {
            permissions_boundary: self.entity.show_boundary(),
            tags: show_tags(&self.entity.tags),
            role_last_used: Some(RoleLastUsed::default()),
            ..self.show_listed(account)
        }
    }

    /// As ListRoles shows it: without boundary, tags and last use.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html>
    pub fn show_listed(&self, account: &AccountId) -> Role {
        Role {
            path: self.entity.path.clone(),
            role_name: self.entity.name.clone(),
            role_id: self.entity.id.clone(),
            arn: self.arn(account),
            create_date: whole_seconds(self.entity.created_at_ms),
            assume_role_policy_document: Some(url_encoded(&self.trust_policy)),
            description: self.description.clone(),
            max_session_duration: i32::try_from(self.max_session_duration_s).ok(),
            ..Role::default()
        }
    }
}

/// That a service-linked role was deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeletionRecord {
    /// `task/aws-service-role/SERVICE/ROLE/UUID`
    pub task_id: String,
}

impl Record for DeletionRecord {
    const VERSION: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first version's bytes as they lie in data folders.
    #[test]
    fn version_1_is_read() {
        let bytes = b"\x01{\"name\":\"R\",\"path\":\"/\",\"id\":\"AROA\",\"trust_policy\":\"{}\",\"description\":null,\
            \"max_session_duration_s\":3600,\"permissions_boundary\":null,\"tags\":[[\"k\",\"v\"]],\"created_at_ms\":1999,\
            \"attached\":[\"a\"],\"inline_characters\":7}";
        let role = RoleRecord::decode(bytes).unwrap();
        assert_eq!(role.entity.tags, [("k".to_owned(), "v".to_owned())]);
        assert_eq!((role.entity.attached.as_slice(), role.entity.inline_characters), (&["a".to_owned()][..], 7));
        assert_eq!(RoleRecord::decode(&role.encode().unwrap()).unwrap(), role);
        let shown = role.show(&AccountId::parse("000000000000").unwrap());
        assert_eq!((shown.arn.as_str(), shown.create_date), ("arn:aws:iam::000000000000:role/R", 1000));
    }
}
