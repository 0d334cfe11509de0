//! IAM's operations, one a file.

mod add_client_id_to_open_id_connect_provider;
mod add_role_to_instance_profile;
mod add_user_to_group;
mod attach_group_policy;
mod attach_role_policy;
mod attach_user_policy;
mod create_access_key;
mod create_account_alias;
mod create_group;
mod create_instance_profile;
mod create_open_id_connect_provider;
mod create_policy;
mod create_policy_version;
mod create_role;
mod create_service_linked_role;
mod create_user;
mod delete_access_key;
mod delete_account_alias;
mod delete_group;
mod delete_group_policy;
mod delete_instance_profile;
mod delete_open_id_connect_provider;
mod delete_policy;
mod delete_policy_version;
mod delete_role;
mod delete_role_permissions_boundary;
mod delete_role_policy;
mod delete_service_linked_role;
mod delete_user;
mod delete_user_permissions_boundary;
mod delete_user_policy;
mod detach_group_policy;
mod detach_role_policy;
mod detach_user_policy;
mod get_access_key_last_used;
mod get_account_authorization_details;
mod get_account_summary;
mod get_group;
mod get_group_policy;
mod get_instance_profile;
mod get_open_id_connect_provider;
mod get_policy;
mod get_policy_version;
mod get_role;
mod get_role_policy;
mod get_service_linked_role_deletion_status;
mod get_user;
mod get_user_policy;
mod list_access_keys;
mod list_account_aliases;
mod list_attached_group_policies;
mod list_attached_role_policies;
mod list_attached_user_policies;
mod list_entities_for_policy;
mod list_group_policies;
mod list_groups;
mod list_groups_for_user;
mod list_instance_profile_tags;
mod list_instance_profiles;
mod list_instance_profiles_for_role;
mod list_open_id_connect_provider_tags;
mod list_open_id_connect_providers;
mod list_policies;
mod list_policy_tags;
mod list_policy_versions;
mod list_role_policies;
mod list_role_tags;
mod list_roles;
mod list_user_policies;
mod list_user_tags;
mod list_users;
mod put_group_policy;
mod put_role_permissions_boundary;
mod put_role_policy;
mod put_user_permissions_boundary;
mod put_user_policy;
mod remove_client_id_from_open_id_connect_provider;
mod remove_role_from_instance_profile;
mod remove_user_from_group;
mod set_default_policy_version;
mod tag_instance_profile;
mod tag_open_id_connect_provider;
mod tag_policy;
mod tag_role;
mod tag_user;
mod untag_instance_profile;
mod untag_open_id_connect_provider;
mod untag_policy;
mod untag_role;
mod untag_user;
mod update_access_key;
mod update_assume_role_policy;
mod update_group;
mod update_open_id_connect_provider_thumbprint;
mod update_role;
mod update_role_description;
mod update_user;

use crate::Iam;
use crate::api::{
    AddClientIDToOpenIDConnectProvider, AddRoleToInstanceProfile, AddUserToGroup, AttachGroupPolicy, AttachRolePolicy,
    AttachUserPolicy, CreateAccessKey, CreateAccountAlias, CreateGroup, CreateInstanceProfile,
    CreateOpenIDConnectProvider, CreatePolicy, CreatePolicyVersion, CreateRole, CreateServiceLinkedRole, CreateUser,
    DeleteAccessKey, DeleteAccountAlias, DeleteGroup, DeleteGroupPolicy, DeleteInstanceProfile,
    DeleteOpenIDConnectProvider, DeletePolicy, DeletePolicyVersion, DeleteRole, DeleteRolePermissionsBoundary,
    DeleteRolePolicy, DeleteServiceLinkedRole, DeleteUser, DeleteUserPermissionsBoundary, DeleteUserPolicy,
    DetachGroupPolicy, DetachRolePolicy, DetachUserPolicy, GetAccessKeyLastUsed, GetAccountAuthorizationDetails,
    GetAccountSummary, GetGroup, GetGroupPolicy, GetInstanceProfile, GetOpenIDConnectProvider, GetPolicy,
    GetPolicyVersion, GetRole, GetRolePolicy, GetServiceLinkedRoleDeletionStatus, GetUser, GetUserPolicy,
    ListAccessKeys, ListAccountAliases, ListAttachedGroupPolicies, ListAttachedRolePolicies, ListAttachedUserPolicies,
    ListEntitiesForPolicy, ListGroupPolicies, ListGroups, ListGroupsForUser, ListInstanceProfileTags,
    ListInstanceProfiles, ListInstanceProfilesForRole, ListOpenIDConnectProviderTags, ListOpenIDConnectProviders,
    ListPolicies, ListPolicyTags, ListPolicyVersions, ListRolePolicies, ListRoleTags, ListRoles, ListUserPolicies,
    ListUserTags, ListUsers, PutGroupPolicy, PutRolePermissionsBoundary, PutRolePolicy, PutUserPermissionsBoundary,
    PutUserPolicy, RemoveClientIDFromOpenIDConnectProvider, RemoveRoleFromInstanceProfile, RemoveUserFromGroup,
    SetDefaultPolicyVersion, TagInstanceProfile, TagOpenIDConnectProvider, TagPolicy, TagRole, TagUser,
    UntagInstanceProfile, UntagOpenIDConnectProvider, UntagPolicy, UntagRole, UntagUser, UpdateAccessKey,
    UpdateAssumeRolePolicy, UpdateGroup, UpdateOpenIDConnectProviderThumbprint, UpdateRole, UpdateRoleDescription,
    UpdateUser,
};
use gust_kit::Op;

/// Every operation.
pub const OPERATIONS: &[Op<Iam>] = &[
    Op::of::<AddClientIDToOpenIDConnectProvider>(),
    Op::of::<AddRoleToInstanceProfile>(),
    Op::of::<AddUserToGroup>(),
    Op::of::<AttachGroupPolicy>(),
    Op::of::<AttachRolePolicy>(),
    Op::of::<AttachUserPolicy>(),
    Op::of::<CreateAccessKey>(),
    Op::of::<CreateAccountAlias>(),
    Op::of::<CreateGroup>(),
    Op::of::<CreateInstanceProfile>(),
    Op::of::<CreateOpenIDConnectProvider>(),
    Op::of::<CreatePolicy>(),
    Op::of::<CreatePolicyVersion>(),
    Op::of::<CreateRole>(),
    Op::of::<CreateServiceLinkedRole>(),
    Op::of::<CreateUser>(),
    Op::of::<DeleteAccessKey>(),
    Op::of::<DeleteAccountAlias>(),
    Op::of::<DeleteGroup>(),
    Op::of::<DeleteGroupPolicy>(),
    Op::of::<DeleteInstanceProfile>(),
    Op::of::<DeleteOpenIDConnectProvider>(),
    Op::of::<DeletePolicy>(),
    Op::of::<DeletePolicyVersion>(),
    Op::of::<DeleteRole>(),
    Op::of::<DeleteRolePermissionsBoundary>(),
    Op::of::<DeleteRolePolicy>(),
    Op::of::<DeleteServiceLinkedRole>(),
    Op::of::<DeleteUser>(),
    Op::of::<DeleteUserPermissionsBoundary>(),
    Op::of::<DeleteUserPolicy>(),
    Op::of::<DetachGroupPolicy>(),
    Op::of::<DetachRolePolicy>(),
    Op::of::<DetachUserPolicy>(),
    Op::of::<GetAccessKeyLastUsed>(),
    Op::of::<GetAccountAuthorizationDetails>(),
    Op::of::<GetAccountSummary>(),
    Op::of::<GetGroup>(),
    Op::of::<GetGroupPolicy>(),
    Op::of::<GetInstanceProfile>(),
    Op::of::<GetOpenIDConnectProvider>(),
    Op::of::<GetPolicy>(),
    Op::of::<GetPolicyVersion>(),
    Op::of::<GetRole>(),
    Op::of::<GetRolePolicy>(),
    Op::of::<GetServiceLinkedRoleDeletionStatus>(),
    Op::of::<GetUser>(),
    Op::of::<GetUserPolicy>(),
    Op::of::<ListAccessKeys>(),
    Op::of::<ListAccountAliases>(),
    Op::of::<ListAttachedGroupPolicies>(),
    Op::of::<ListAttachedRolePolicies>(),
    Op::of::<ListAttachedUserPolicies>(),
    Op::of::<ListEntitiesForPolicy>(),
    Op::of::<ListGroupPolicies>(),
    Op::of::<ListGroups>(),
    Op::of::<ListGroupsForUser>(),
    Op::of::<ListInstanceProfileTags>(),
    Op::of::<ListInstanceProfiles>(),
    Op::of::<ListInstanceProfilesForRole>(),
    Op::of::<ListOpenIDConnectProviderTags>(),
    Op::of::<ListOpenIDConnectProviders>(),
    Op::of::<ListPolicies>(),
    Op::of::<ListPolicyTags>(),
    Op::of::<ListPolicyVersions>(),
    Op::of::<ListRolePolicies>(),
    Op::of::<ListRoleTags>(),
    Op::of::<ListRoles>(),
    Op::of::<ListUserPolicies>(),
    Op::of::<ListUserTags>(),
    Op::of::<ListUsers>(),
    Op::of::<PutGroupPolicy>(),
    Op::of::<PutRolePermissionsBoundary>(),
    Op::of::<PutRolePolicy>(),
    Op::of::<PutUserPermissionsBoundary>(),
    Op::of::<PutUserPolicy>(),
    Op::of::<RemoveClientIDFromOpenIDConnectProvider>(),
    Op::of::<RemoveRoleFromInstanceProfile>(),
    Op::of::<RemoveUserFromGroup>(),
    Op::of::<SetDefaultPolicyVersion>(),
    Op::of::<TagInstanceProfile>(),
    Op::of::<TagOpenIDConnectProvider>(),
    Op::of::<TagPolicy>(),
    Op::of::<TagRole>(),
    Op::of::<TagUser>(),
    Op::of::<UntagInstanceProfile>(),
    Op::of::<UntagOpenIDConnectProvider>(),
    Op::of::<UntagPolicy>(),
    Op::of::<UntagRole>(),
    Op::of::<UntagUser>(),
    Op::of::<UpdateAccessKey>(),
    Op::of::<UpdateAssumeRolePolicy>(),
    Op::of::<UpdateGroup>(),
    Op::of::<UpdateOpenIDConnectProviderThumbprint>(),
    Op::of::<UpdateRole>(),
    Op::of::<UpdateRoleDescription>(),
    Op::of::<UpdateUser>(),
];
