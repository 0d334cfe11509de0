//! IAM's operations, one a file.

mod attach_role_policy;
mod create_role;
mod delete_role;
mod delete_role_policy;
mod detach_role_policy;
mod get_role;
mod get_role_policy;
mod list_attached_role_policies;
mod list_role_policies;
mod list_roles;
mod put_role_policy;
mod update_assume_role_policy;

use crate::Iam;
use crate::api::{
    AttachRolePolicy, CreateRole, DeleteRole, DeleteRolePolicy, DetachRolePolicy, GetRole, GetRolePolicy,
    ListAttachedRolePolicies, ListRolePolicies, ListRoles, PutRolePolicy, UpdateAssumeRolePolicy,
};
use gust_kit::Op;

/// Every operation.
pub const OPERATIONS: &[Op<Iam>] = &[
    Op::of::<AttachRolePolicy>(),
    Op::of::<CreateRole>(),
    Op::of::<DeleteRole>(),
    Op::of::<DeleteRolePolicy>(),
    Op::of::<DetachRolePolicy>(),
    Op::of::<GetRole>(),
    Op::of::<GetRolePolicy>(),
    Op::of::<ListAttachedRolePolicies>(),
    Op::of::<ListRolePolicies>(),
    Op::of::<ListRoles>(),
    Op::of::<PutRolePolicy>(),
    Op::of::<UpdateAssumeRolePolicy>(),
];
