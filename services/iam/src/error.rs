//! IAM's errors: what happened, and how AWS words it.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html> and each operation's page. The texts
//! are those that AWS is known to answer; those nobody has reported are marked "inferred".

use crate::api::errors;
use crate::limits;
use crate::model::Kind;
use gust_kit::CommonError;
use gust_store::StoreError;
use gust_types::AwsError;

/// Why an operation of IAM was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IamError {
    /// No such role, user or group.
    #[error("The {0} with name {1} cannot be found.")]
    NotFound(Kind, String),
    /// The role, user or group has no such inline policy.
    #[error("The {0} policy with name {1} cannot be found.")]
    InlinePolicyNotFound(Kind, String),
    /// There is no such managed policy to be attached.
    #[error("Policy {0} does not exist or is not attachable.")]
    PolicyDoesNotExist(String),
    /// There is no such managed policy, or it is not attached.
    #[error("Policy {0} was not found.")]
    PolicyNotFound(String),
    /// The managed policy has no such version.
    #[error("Policy {arn} version {version} does not exist or is not attachable.")]
    VersionNotFound {
        /// The policy.
        arn: String,
        /// For example `v2`.
        version: String,
    },
    /// There is no such policy to be a permissions boundary.
    #[error("Scope ARN: {0} does not exist or is not attachable.")]
    BoundaryDoesNotExist(String),
    /// There is no such instance profile.
    #[error("Instance Profile {0} cannot be found.")]
    ProfileNotFound(String),
    /// The instance profile does not hold that role.
    #[error("The role with name {role} cannot be found in instance profile {profile}.")]
    RoleNotInProfile {
        /// The role.
        role: String,
        /// The instance profile.
        profile: String,
    },
    /// The user has no such key.
    #[error("The Access Key with id {0} cannot be found.")]
    KeyNotFound(String),
    /// There is no such OpenID Connect provider.
    #[error("OpenIDConnect Provider not found for arn {0}")]
    ProviderNotFound(String),
    /// The account has no such alias (inferred).
    #[error("The account alias {0} cannot be found.")]
    AliasNotFound(String),
    /// No role was deleted under this id (inferred).
    #[error("Deletion task id {0} cannot be found.")]
    DeletionNotFound(String),
    /// The name of a role, user or group is taken.
    #[error("{kind} with name {1} already exists.", kind = .0.title())]
    Exists(Kind, String),
    /// The name of a managed policy is taken.
    #[error("A policy called {0} already exists. Duplicate names are not allowed.")]
    PolicyExists(String),
    /// The name of an instance profile is taken.
    #[error("Instance Profile {0} already exists.")]
    ProfileExists(String),
    /// There is such a provider.
    #[error("Provider with url {0} already exists.")]
    ProviderExists(String),
    /// Some account has this alias.
    #[error("The account alias {0} already exists.")]
    AliasExists(String),
    /// Something still hangs on what is to be deleted.
    #[error("Cannot delete entity, must {0} first.")]
    StillHas(&'static str),
    /// The managed policy is in use.
    #[error("Cannot delete a policy attached to entities.")]
    PolicyInUse,
    /// The managed policy has versions besides the default one.
    #[error(
        "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. \
         The default version is deleted with the policy."
    )]
    PolicyHasVersions,
    /// The version is the one that counts.
    #[error("Cannot delete the default version of a policy.")]
    DefaultVersion,
    /// There are as many of something as there may be.
    #[error("Cannot exceed quota for {quota}: {max}")]
    Quota {
        /// AWS's name of the quota.
        quota: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// The managed policy has as many versions as it may.
    #[error(
        "A managed policy can have up to {} versions. Before you create a new version, you must delete an existing \
         version.",
        limits::POLICY_VERSIONS_MAX
    )]
    TooManyVersions,
    /// There are too many tags.
    #[error("The number of tags has reached the maximum limit.")]
    TooManyTags,
    /// The inline policies together are too long.
    #[error("Maximum policy size of {max} bytes exceeded for {0} {1}", max = .0.inline_characters_max())]
    InlinePoliciesTooLong(Kind, String),
    /// The policy belongs to roles that AWS's services make for themselves.
    #[error("Cannot attach a Service Role Policy to a Customer Role.")]
    ServiceRolePolicy,
    /// The role belongs to a service.
    #[error("Cannot perform the operation on the protected role '{0}' - this role is only modifiable by AWS")]
    ProtectedRole(String),
    /// A policy of somebody else cannot be changed.
    #[error("Policy is outside your own account.")]
    ForeignPolicy,
    /// A policy document is not well-formed.
    #[error("{0}")]
    MalformedPolicy(String),
    /// A member's value makes no sense.
    #[error("{0}")]
    InvalidInput(String),
    /// A member is missing where the caller is no user.
    #[error("{0}")]
    Validation(String),
    /// gust does not know what the policy says.
    #[error("gust does not know the document of the AWS managed policy {0}.")]
    DocumentUnknown(String),
    /// An error that is not IAM's own.
    #[error(transparent)]
    Common(#[from] CommonError),
}

impl From<StoreError> for IamError {
    fn from(error: StoreError) -> IamError {
        IamError::Common(error.into())
    }
}

impl From<IamError> for AwsError {
    fn from(error: IamError) -> AwsError {
        use IamError as E;
        let message = error.to_string();
        match error {
            E::NotFound(..)
            | E::InlinePolicyNotFound(..)
            | E::PolicyDoesNotExist(_)
            | E::PolicyNotFound(_)
            | E::VersionNotFound { .. }
            | E::BoundaryDoesNotExist(_)
            | E::ProfileNotFound(_)
            | E::RoleNotInProfile { .. }
            | E::KeyNotFound(_)
            | E::ProviderNotFound(_)
            | E::AliasNotFound(_)
            | E::DeletionNotFound(_) => errors::no_such_entity_exception(message),
            E::Exists(..) | E::PolicyExists(_) | E::ProfileExists(_) | E::ProviderExists(_) | E::AliasExists(_) => {
                errors::entity_already_exists_exception(message)
            }
            E::StillHas(_) | E::PolicyInUse | E::PolicyHasVersions | E::DefaultVersion => {
                errors::delete_conflict_exception(message)
            }
            E::Quota { .. } | E::TooManyVersions | E::TooManyTags | E::InlinePoliciesTooLong(..) => {
                errors::limit_exceeded_exception(message)
            }
            E::ServiceRolePolicy => errors::policy_not_attachable_exception(message),
            E::ProtectedRole(_) => errors::unmodifiable_entity_exception(message),
            E::ForeignPolicy => AwsError::sender("AccessDenied", 403, message),
            E::MalformedPolicy(_) => errors::malformed_policy_document_exception(message),
            E::InvalidInput(_) => errors::invalid_input_exception(message),
            E::Validation(_) => AwsError::sender("ValidationError", 400, message),
            E::DocumentUnknown(_) => AwsError::receiver("NotImplemented", 501, message),
            E::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_are_those_of_aws() {
        let text = || "a".to_owned();
        for (error, code, status, message) in [
            (IamError::NotFound(Kind::User, text()), "NoSuchEntity", 404, "The user with name a cannot be found."),
            (IamError::Exists(Kind::Group, text()), "EntityAlreadyExists", 409, "Group with name a already exists."),
            (
                IamError::StillHas("delete policies"),
                "DeleteConflict",
                409,
                "Cannot delete entity, must delete policies first.",
            ),
            (
                IamError::Quota { quota: "RolesPerAccount", max: 5 },
                "LimitExceeded",
                409,
                "Cannot exceed quota for RolesPerAccount: 5",
            ),
            (
                IamError::InlinePoliciesTooLong(Kind::User, text()),
                "LimitExceeded",
                409,
                "Maximum policy size of 2048 bytes exceeded for user a",
            ),
            (IamError::MalformedPolicy(text()), "MalformedPolicyDocument", 400, "a"),
            (IamError::InvalidInput(text()), "InvalidInput", 400, "a"),
            (IamError::ForeignPolicy, "AccessDenied", 403, "Policy is outside your own account."),
            (
                IamError::ServiceRolePolicy,
                "PolicyNotAttachable",
                400,
                "Cannot attach a Service Role Policy to a Customer Role.",
            ),
        ] {
            let error = AwsError::from(error);
            assert_eq!((error.code.as_ref(), error.status, error.message.as_str()), (code, status, message));
        }
    }
}
