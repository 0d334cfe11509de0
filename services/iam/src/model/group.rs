//! Groups of users. Who belongs to one stands in the users' records.

use super::{Entity, Holder, Kind, Named, whole_seconds};
use crate::api::Group;
use crate::error::IamError;
use crate::keys;
use gust_store::{Key, Record};
use gust_types::AccountId;
use serde::{Deserialize, Serialize};

/// A group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Name, path, policies.
    #[serde(flatten)]
    pub entity: Entity,
}

impl Record for GroupRecord {
    const VERSION: u8 = 1;
}

impl Named for GroupRecord {
    fn all_of(account: &AccountId) -> Key {
        keys::entities(Kind::Group, account)
    }

    fn missing(name: &str) -> IamError {
        IamError::NotFound(Kind::Group, name.to_owned())
    }

    fn name(&self) -> &str {
        &self.entity.name
    }

    fn path(&self) -> &str {
        &self.entity.path
    }
}

impl Holder for GroupRecord {
    const KIND: Kind = Kind::Group;

    fn entity(&self) -> &Entity {
        &self.entity
    }

    fn entity_mut(&mut self) -> &mut Entity {
        &mut self.entity
    }
}

impl GroupRecord {
    /// As responses show it.
    pub fn show(&self, account: &AccountId) -> Group {
        Group {
            path: self.entity.path.clone(),
            group_name: self.entity.name.clone(),
            group_id: self.entity.id.clone(),
            arn: self.arn(account),
            create_date: whole_seconds(self.entity.created_at_ms),
        }
    }
}
