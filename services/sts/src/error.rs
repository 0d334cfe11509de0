//! STS's errors: what happened, and how AWS words it.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html> and
//! <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>

use crate::api::errors;
use gust_kit::CommonError;
use gust_store::StoreError;
use gust_types::AwsError;

/// Why an operation of STS was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StsError {
    /// The role does not exist, which AWS does not tell from a role that may not be assumed.
    #[error("User: {principal} is not authorized to perform: sts:AssumeRole on resource: {role_arn}")]
    NotAuthorized {
        /// Who asked.
        principal: String,
        /// For what.
        role_arn: String,
    },
    /// The text is no role's ARN.
    #[error("{0} is invalid")]
    InvalidRoleArn(String),
    /// The session would outlast what its role allows.
    #[error("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")]
    DurationExceedsRole,
    /// A session may not make such a long one.
    #[error("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")]
    DurationExceedsChaining,
    /// Credentials of a session may not ask for this.
    #[error("Cannot call {0} with session credentials")]
    SessionCredentials(&'static str),
    /// A session policy is not well-formed.
    #[error("{0}")]
    MalformedPolicy(String),
    /// The session policies together are too long.
    #[error("Packed policy consumes {percent}% of allotted space, please use smaller policy.")]
    PolicyTooLarge {
        /// Of what is allowed.
        percent: usize,
    },
    /// A member's value makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// An error that is not STS's own.
    #[error(transparent)]
    Common(#[from] CommonError),
}

impl StsError {
    /// A member's value makes no sense.
    pub fn invalid(message: impl Into<String>) -> StsError {
        StsError::Invalid(message.into())
    }
}

impl From<StoreError> for StsError {
    fn from(error: StoreError) -> StsError {
        StsError::Common(error.into())
    }
}

impl From<StsError> for AwsError {
    fn from(error: StsError) -> AwsError {
        let message = error.to_string();
        match error {
            StsError::NotAuthorized { .. } | StsError::SessionCredentials(_) => {
                AwsError::sender("AccessDenied", 403, message)
            }
            StsError::InvalidRoleArn(_)
            | StsError::DurationExceedsRole
            | StsError::DurationExceedsChaining
            | StsError::Invalid(_) => AwsError::sender("ValidationError", 400, message),
            StsError::MalformedPolicy(_) => errors::malformed_policy_document_exception(message),
            StsError::PolicyTooLarge { .. } => errors::packed_policy_too_large_exception(message),
            StsError::Common(error) => error.into(),
        }
    }
}
