//! The only place that builds IAM's storage keys.
//!
//! Tables 0x0300 to 0x037f belong to this service, 0x0380 to 0x03ff to STS. A number, once given, is never used for
//! anything else. IAM is global: no key has a region. Names are not distinguished by case, so keys hold them in
//! lower case and records as they were given.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html> ("names are not distinguished
//! by case")

use crate::model::Kind;
use gust_store::{Key, Table};
use gust_types::AccountId;

/// account / name -> [`crate::model::RoleRecord`].
const ROLES: Table = Table(0x0300);
/// account -> [`crate::model::UsageRecord`].
const USAGE: Table = Table(0x0301);
/// account / role / policy -> [`crate::model::InlinePolicyRecord`].
const ROLE_POLICIES: Table = Table(0x0302);
/// account / name -> [`crate::model::UserRecord`].
const USERS: Table = Table(0x0303);
/// account / user / policy -> [`crate::model::InlinePolicyRecord`].
const USER_POLICIES: Table = Table(0x0304);
/// account / name -> [`crate::model::GroupRecord`].
const GROUPS: Table = Table(0x0305);
/// account / group / policy -> [`crate::model::InlinePolicyRecord`].
const GROUP_POLICIES: Table = Table(0x0306);
/// account / name -> [`crate::model::PolicyRecord`].
const POLICIES: Table = Table(0x0307);
/// account / policy / number -> [`crate::model::VersionRecord`].
const POLICY_VERSIONS: Table = Table(0x0308);
/// account / name -> [`crate::model::ProfileRecord`].
const INSTANCE_PROFILES: Table = Table(0x0309);
/// account / URL without scheme -> [`crate::model::ProviderRecord`].
const PROVIDERS: Table = Table(0x030a);
/// account -> [`crate::model::AliasRecord`].
const ALIASES: Table = Table(0x030b);
/// alias -> account, as text: no two accounts have the same.
const ALIAS_OWNERS: Table = Table(0x030c);
/// account / role -> [`crate::model::DeletionRecord`]: the last deletion of a service-linked role.
const DELETIONS: Table = Table(0x030d);

/// The prefix of all roles, users or groups of an account, in the order of their names.
pub fn entities(kind: Kind, account: &AccountId) -> Key {
    let table = match kind {
        Kind::Role => ROLES,
        Kind::User => USERS,
        Kind::Group => GROUPS,
    };
    table.key().text(account.as_str())
}

/// What an account uses.
pub fn usage(account: &AccountId) -> Key {
    USAGE.key().text(account.as_str())
}

/// Where an inline policy is stored.
pub fn inline_policy(kind: Kind, account: &AccountId, owner: &str, policy: &str) -> Key {
    inline_policies_of(kind, account, owner).text(&policy.to_ascii_lowercase())
}

/// The prefix of all inline policies of a role, user or group.
pub fn inline_policies_of(kind: Kind, account: &AccountId, owner: &str) -> Key {
    let table = match kind {
        Kind::Role => ROLE_POLICIES,
        Kind::User => USER_POLICIES,
        Kind::Group => GROUP_POLICIES,
    };
    table.key().text(account.as_str()).text(&owner.to_ascii_lowercase())
}

/// The prefix of all managed policies of an account.
pub fn policies_of(account: &AccountId) -> Key {
    POLICIES.key().text(account.as_str())
}

/// Where a version of a managed policy is stored.
pub fn policy_version(account: &AccountId, policy: &str, number: u32) -> Key {
    policy_versions_of(account, policy).number(u64::from(number))
}

/// The prefix of all versions of a managed policy, oldest first.
pub fn policy_versions_of(account: &AccountId, policy: &str) -> Key {
    POLICY_VERSIONS.key().text(account.as_str()).text(&policy.to_ascii_lowercase())
}

/// The prefix of all instance profiles of an account.
pub fn profiles_of(account: &AccountId) -> Key {
    INSTANCE_PROFILES.key().text(account.as_str())
}

/// The prefix of all OpenID Connect providers of an account.
pub fn providers_of(account: &AccountId) -> Key {
    PROVIDERS.key().text(account.as_str())
}

/// An account's alias.
pub fn alias(account: &AccountId) -> Key {
    ALIASES.key().text(account.as_str())
}

/// Whose an alias is.
pub fn alias_owner(alias: &str) -> Key {
    ALIAS_OWNERS.key().text(alias)
}

/// The last deletion of a service-linked role.
pub fn deletion(account: &AccountId, role: &str) -> Key {
    DELETIONS.key().text(account.as_str()).text(&role.to_ascii_lowercase())
}

/// The key that a name of another case has, too.
pub fn named(prefix: Key, name: &str) -> Key {
    prefix.text(&name.to_ascii_lowercase())
}
