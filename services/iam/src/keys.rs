//! The only place that builds IAM's storage keys.
//!
//! Tables 0x0300 to 0x037f belong to this service, 0x0380 to 0x03ff to STS. A number, once given, is never used for
//! anything else. IAM is global: no key has a region. Names are not distinguished by case, so keys hold them in
//! lower case and records as they were given.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html> ("names are not distinguished
//! by case")

use gust_store::{Key, Table};
use gust_types::AccountId;

/// account / name -> [`crate::model::RoleRecord`].
const ROLES: Table = Table(0x0300);
/// account -> [`crate::model::UsageRecord`].
const USAGE: Table = Table(0x0301);
/// account / role / policy -> [`crate::model::InlinePolicyRecord`].
const INLINE_POLICIES: Table = Table(0x0302);

/// Where a role is stored.
pub fn role(account: &AccountId, name: &str) -> Key {
    roles_of(account).text(&name.to_ascii_lowercase())
}

/// The prefix of all roles of an account, in the order of their names.
pub fn roles_of(account: &AccountId) -> Key {
    ROLES.key().text(account.as_str())
}

/// What an account uses.
pub fn usage(account: &AccountId) -> Key {
    USAGE.key().text(account.as_str())
}

/// Where an inline policy of a role is stored.
pub fn inline_policy(account: &AccountId, role: &str, policy: &str) -> Key {
    inline_policies_of(account, role).text(&policy.to_ascii_lowercase())
}

/// The prefix of all inline policies of a role.
pub fn inline_policies_of(account: &AccountId, role: &str) -> Key {
    INLINE_POLICIES.key().text(account.as_str()).text(&role.to_ascii_lowercase())
}
