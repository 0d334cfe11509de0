//! IAM's errors: what happened, and how AWS words it.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html> and each operation's page. The texts
//! are those that AWS is known to answer; those nobody has reported are marked "inferred".

use crate::api::errors;
use crate::limits;
use gust_kit::CommonError;
use gust_store::StoreError;
use gust_types::AwsError;

/// Why an operation of IAM was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IamError {
    /// No such role.
    #[error("The role with name {0} cannot be found.")]
    RoleNotFound(String),
    /// The role has no such inline policy.
    #[error("The role policy with name {0} cannot be found.")]
    RolePolicyNotFound(String),
    /// There is no such managed policy.
    #[error("Policy {0} does not exist or is not attachable.")]
    PolicyDoesNotExist(String),
    /// The policy is not attached to the role.
    #[error("Policy {0} was not found.")]
    PolicyNotAttached(String),
    /// There is no such policy to be a permissions boundary.
    #[error("Scope ARN: {0} does not exist or is not attachable.")]
    BoundaryDoesNotExist(String),
    /// The policy belongs to roles that AWS's services make for themselves.
    #[error("Cannot attach a Service Role Policy to a Customer Role.")]
    ServiceRolePolicy,
    /// The name is taken.
    #[error("Role with name {0} already exists.")]
    RoleExists(String),
    /// The role still has managed policies.
    #[error("Cannot delete entity, must detach all policies first.")]
    HasAttachedPolicies,
    /// The role still has inline policies.
    #[error("Cannot delete entity, must delete policies first.")]
    HasInlinePolicies,
    /// The account has as many roles as it may.
    #[error("Cannot exceed quota for RolesPerAccount: {}", limits::ROLES_MAX)]
    TooManyRoles,
    /// The role has as many managed policies as it may.
    #[error("Cannot exceed quota for PoliciesPerRole: {}", limits::ATTACHED_POLICIES_MAX)]
    TooManyPolicies,
    /// The trust policy is too long.
    #[error("Cannot exceed quota for ACLSizePerRole: {}", limits::TRUST_POLICY_CHARACTERS_MAX)]
    TrustPolicyTooLong,
    /// The inline policies together are too long.
    #[error("Maximum policy size of {max} bytes exceeded for role {0}", max = limits::INLINE_POLICIES_CHARACTERS_MAX)]
    InlinePoliciesTooLong(String),
    /// A policy document is not well-formed.
    #[error("{0}")]
    MalformedPolicy(String),
    /// A member's value makes no sense.
    #[error("{0}")]
    InvalidInput(String),
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
        let message = error.to_string();
        match error {
            IamError::RoleNotFound(_)
            | IamError::RolePolicyNotFound(_)
            | IamError::PolicyDoesNotExist(_)
            | IamError::PolicyNotAttached(_)
            | IamError::BoundaryDoesNotExist(_) => errors::no_such_entity_exception(message),
            IamError::ServiceRolePolicy => errors::policy_not_attachable_exception(message),
            IamError::RoleExists(_) => errors::entity_already_exists_exception(message),
            IamError::HasAttachedPolicies | IamError::HasInlinePolicies => errors::delete_conflict_exception(message),
            IamError::TooManyRoles
            | IamError::TooManyPolicies
            | IamError::TrustPolicyTooLong
            | IamError::InlinePoliciesTooLong(_) => errors::limit_exceeded_exception(message),
            IamError::MalformedPolicy(_) => errors::malformed_policy_document_exception(message),
            IamError::InvalidInput(_) => errors::invalid_input_exception(message),
            IamError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_are_those_of_aws() {
        for (error, code, status) in [
            (IamError::RoleNotFound("a".to_owned()), "NoSuchEntity", 404),
            (IamError::RoleExists("a".to_owned()), "EntityAlreadyExists", 409),
            (IamError::HasInlinePolicies, "DeleteConflict", 409),
            (IamError::TooManyRoles, "LimitExceeded", 409),
            (IamError::MalformedPolicy("a".to_owned()), "MalformedPolicyDocument", 400),
            (IamError::InvalidInput("a".to_owned()), "InvalidInput", 400),
            (IamError::ServiceRolePolicy, "PolicyNotAttachable", 400),
        ] {
            let error = AwsError::from(error);
            assert_eq!((error.code.as_ref(), error.status), (code, status));
        }
    }
}
