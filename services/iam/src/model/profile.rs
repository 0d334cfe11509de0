//! Instance profiles: what tools make around a role for a virtual machine.

use super::{Named, RoleRecord, Tagged, show_tags, whole_seconds};
use crate::api::InstanceProfile;
use crate::error::IamError;
use crate::keys;
use gust_store::{Key, Read, Record};
use gust_types::{AccountId, Arn};
use serde::{Deserialize, Serialize};

/// An instance profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// The name as it was given.
    pub name: String,
    /// For example `/`.
    pub path: String,
    /// `AIPA...`
    pub id: String,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
    /// The names of its roles; at most one, and no role in a profile can be deleted.
    pub roles: Vec<String>,
}

impl Record for ProfileRecord {
    const VERSION: u8 = 1;
}

impl Named for ProfileRecord {
    fn all_of(account: &AccountId) -> Key {
        keys::profiles_of(account)
    }

    fn missing(name: &str) -> IamError {
        IamError::ProfileNotFound(name.to_owned())
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> &str {
        &self.path
    }
}

impl Tagged for ProfileRecord {
    fn tags(&self) -> &Vec<(String, String)> {
        &self.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<(String, String)> {
        &mut self.tags
    }
}

impl ProfileRecord {
    /// Whether it holds the role.
    pub fn holds(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held.eq_ignore_ascii_case(role))
    }

    /// As CreateInstanceProfile and GetInstanceProfile show it.
    pub fn show<T: Read + ?Sized>(&self, read: &mut T, account: &AccountId) -> Result<InstanceProfile, IamError> {
        Ok(InstanceProfile { tags: show_tags(&self.tags), ..self.show_listed(read, account)? })
    }

    /// As lists show it: without tags.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListInstanceProfiles.html>
    pub fn show_listed<T: Read + ?Sized>(
        &self,
        read: &mut T,
        account: &AccountId,
    ) -> Result<InstanceProfile, IamError> {
        let show = |role: &String| Ok(RoleRecord::find(read, account, role)?.show_listed(account));
        let roles = self.roles.iter().map(show).collect::<Result<Vec<_>, IamError>>()?;
        Ok(InstanceProfile {
            path: self.path.clone(),
            instance_profile_name: self.name.clone(),
            instance_profile_id: self.id.clone(),
            arn: Arn::global("iam", account, format!("instance-profile{}{}", self.path, self.name)).to_string(),
            create_date: whole_seconds(self.created_at_ms),
            roles,
            tags: None,
        })
    }
}
