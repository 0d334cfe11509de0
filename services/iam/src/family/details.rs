//! The parts of GetAccountAuthorizationDetails: what there is, by name, and each thing with all its policies.

use super::{attachment, inline, list};
use crate::api::{
    EntityType, GetAccountAuthorizationDetailsResponse, GroupDetail, ManagedPolicyDetail, PolicyDetail, PolicyVersion,
    RoleDetail, RoleLastUsed, UserDetail,
};
use crate::error::IamError;
use crate::keys;
use crate::limits::POLICY_VERSIONS_MAX;
use crate::model::{
    GroupRecord, Holder, Named, PolicyRecord, ProfileRecord, RoleRecord, UserRecord, Uses, VersionRecord, show_tags,
    url_encoded,
};
use crate::rules::managed;
use gust_store::{Order, Range, Read, Record};
use gust_types::AccountId;
use std::collections::HashMap;

/// One thing, by its kind and the name by which it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(EntityKind, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntityKind {
    Group,
    Role,
    User,
    Policy,
}

impl Name {
    /// Where it stands among all.
    pub fn order(&self) -> String {
        format!("{}/{}", self.0 as u8, self.1.to_ascii_lowercase())
    }
}

/// The names of everything whose kind is wanted, in order.
pub fn names(
    read: &mut dyn Read,
    account: &AccountId,
    wants: &dyn Fn(&EntityType) -> bool,
) -> Result<Vec<Name>, IamError> {
    let mut names = Vec::new();
    if wants(&EntityType::Group) {
        add_names::<GroupRecord>(read, account, EntityKind::Group, &mut names)?;
    }
    if wants(&EntityType::Role) {
        add_names::<RoleRecord>(read, account, EntityKind::Role, &mut names)?;
    }
    if wants(&EntityType::User) {
        add_names::<UserRecord>(read, account, EntityKind::User, &mut names)?;
    }
    let mut arns = Vec::new();
    if wants(&EntityType::LocalManagedPolicy) {
        arns.extend(list::all::<PolicyRecord, _>(read, account)?.iter().map(|policy| policy.arn(account)));
    }
    if wants(&EntityType::AWSManagedPolicy) {
        let used = attachment::uses(read, account)?.into_keys();
        arns.extend(used.filter(|arn| managed::document(arn).is_some()));
    }
    names.extend(arns.into_iter().map(|arn| Name(EntityKind::Policy, arn)));
    names.sort_unstable_by_key(Name::order);
    Ok(names)
}

fn add_names<N: Named>(
    read: &mut dyn Read,
    account: &AccountId,
    kind: EntityKind,
    names: &mut Vec<Name>,
) -> Result<(), IamError> {
    names.extend(list::all::<N, _>(read, account)?.iter().map(|thing| Name(kind, thing.name().to_owned())));
    Ok(())
}

/// Adds one thing to the response.
pub fn add(
    read: &mut dyn Read,
    account: &AccountId,
    name: Name,
    uses: &HashMap<String, Uses>,
    response: &mut GetAccountAuthorizationDetailsResponse,
) -> Result<(), IamError> {
    let Name(kind, name) = name;
    match kind {
        EntityKind::Group => {
            let group = group(read, account, &name)?;
            response.group_detail_list.get_or_insert_default().push(group);
        }
        EntityKind::Role => {
            let role = role(read, account, &name)?;
            response.role_detail_list.get_or_insert_default().push(role);
        }
        EntityKind::User => {
            let user = user(read, account, &name)?;
            response.user_detail_list.get_or_insert_default().push(user);
        }
        EntityKind::Policy => {
            let uses = uses.get(&name).copied().unwrap_or_default();
            let policy = policy(read, account, &name, uses)?;
            response.policies.get_or_insert_default().push(policy);
        }
    }
    Ok(())
}

fn inline<H: Holder>(read: &mut dyn Read, account: &AccountId, record: &H) -> Result<Vec<PolicyDetail>, IamError> {
    let show = |policy: crate::model::InlinePolicyRecord| PolicyDetail {
        policy_name: Some(policy.name),
        policy_document: Some(url_encoded(&policy.document)),
    };
    Ok(inline::all(read, H::KIND, account, record.name())?.into_iter().map(show).collect())
}

fn group(read: &mut dyn Read, account: &AccountId, name: &str) -> Result<GroupDetail, IamError> {
    let record = GroupRecord::find(read, account, name)?;
    let shown = record.show(account);
    Ok(GroupDetail {
        path: Some(shown.path),
        group_name: Some(shown.group_name),
        group_id: Some(shown.group_id),
        arn: Some(shown.arn),
        create_date: Some(shown.create_date),
        group_policy_list: Some(inline(read, account, &record)?),
        attached_managed_policies: Some(record.entity.attached.iter().map(|arn| attachment::show(arn)).collect()),
    })
}

fn user(read: &mut dyn Read, account: &AccountId, name: &str) -> Result<UserDetail, IamError> {
    let record = UserRecord::find(read, account, name)?;
    let shown = record.show(account);
    let groups = record.groups.iter().map(|name| Ok(GroupRecord::find(read, account, name)?.entity.name));
    let groups = groups.collect::<Result<Vec<_>, IamError>>()?;
    Ok(UserDetail {
        path: Some(shown.path),
        user_name: Some(shown.user_name),
        user_id: Some(shown.user_id),
        arn: Some(shown.arn),
        create_date: Some(shown.create_date),
        user_policy_list: Some(inline(read, account, &record)?),
        group_list: Some(groups),
        attached_managed_policies: Some(record.entity.attached.iter().map(|arn| attachment::show(arn)).collect()),
        permissions_boundary: shown.permissions_boundary,
        tags: shown.tags,
    })
}

fn role(read: &mut dyn Read, account: &AccountId, name: &str) -> Result<RoleDetail, IamError> {
    let record = RoleRecord::find(read, account, name)?;
    let shown = record.show(account);
    let mut profiles: Vec<ProfileRecord> = list::all(read, account)?;
    profiles.retain(|profile| profile.holds(name));
    let profiles = profiles.iter().map(|profile| profile.show_listed(read, account)).collect::<Result<_, _>>()?;
    Ok(RoleDetail {
        path: Some(shown.path),
        role_name: Some(shown.role_name),
        role_id: Some(shown.role_id),
        arn: Some(shown.arn),
        create_date: Some(shown.create_date),
        assume_role_policy_document: shown.assume_role_policy_document,
        instance_profile_list: Some(profiles),
        role_policy_list: Some(inline(read, account, &record)?),
        attached_managed_policies: Some(record.entity.attached.iter().map(|arn| attachment::show(arn)).collect()),
        permissions_boundary: shown.permissions_boundary,
        tags: show_tags(&record.entity.tags),
        role_last_used: Some(RoleLastUsed::default()),
    })
}

fn policy(read: &mut dyn Read, account: &AccountId, arn: &str, uses: Uses) -> Result<ManagedPolicyDetail, IamError> {
    let (shown, versions) = if managed::exists(arn) {
        (managed::show(arn, uses), vec![managed::show_document(arn, "v1")?])
    } else {
        let record = PolicyRecord::find(read, account, arn)?;
        let versions = versions(read, account, &record)?;
        (record.show(account, uses), versions)
    };
    Ok(ManagedPolicyDetail {
        policy_name: shown.policy_name,
        policy_id: shown.policy_id,
        arn: shown.arn,
        path: shown.path,
        default_version_id: shown.default_version_id,
        attachment_count: shown.attachment_count,
        permissions_boundary_usage_count: shown.permissions_boundary_usage_count,
        is_attachable: shown.is_attachable,
        description: shown.description,
        create_date: shown.create_date,
        update_date: shown.update_date,
        policy_version_list: Some(versions),
    })
}

fn versions(read: &mut dyn Read, account: &AccountId, policy: &PolicyRecord) -> Result<Vec<PolicyVersion>, IamError> {
    let range = Range::prefix(&keys::policy_versions_of(account, &policy.name));
    let pairs = read.range(&range, Order::Descending, POLICY_VERSIONS_MAX)?;
    pairs.iter().map(|(_, bytes)| Ok(VersionRecord::decode(bytes)?.show(policy.default_version))).collect()
}
