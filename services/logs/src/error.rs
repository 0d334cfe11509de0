//! The errors of CloudWatch Logs, in AWS's words.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/CommonErrors.html> and the
//! operations' pages; messages as the service is seen to print them.

use crate::api::errors;
use gust_blob::BlobError;
use gust_filter_pattern::PatternError;
use gust_kit::CommonError;
use gust_store::StoreError;
use gust_types::AwsError;

/// What an operation of CloudWatch Logs fails with.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogsError {
    /// No such log group.
    #[error("The specified log group does not exist.")]
    GroupNotFound,
    /// No such log stream.
    #[error("The specified log stream does not exist.")]
    StreamNotFound,
    /// A tagged resource that does not exist.
    #[error("The specified resource does not exist.")]
    ResourceNotFound,
    /// The log group is already there.
    #[error("The specified log group already exists")]
    GroupExists,
    /// The log stream is already there.
    #[error("The specified log stream already exists")]
    StreamExists,
    /// An input that breaks a rule which the interface description does not have.
    #[error("{0}")]
    InvalidParameter(String),
    /// An input that the service's newer validation refuses.
    #[error("{0}")]
    Validation(String),
    /// A log group would have more than 50 tags.
    #[error("The log group {resource} can have no more than 50 tags.")]
    TooManyTags {
        /// The log group's ARN.
        resource: String,
    },
    /// More is waiting to be written than gust holds in memory, or gust is shutting down.
    #[error("The service cannot complete the request.")]
    Unavailable,
    /// An error of every service.
    #[error(transparent)]
    Common(#[from] CommonError),
}

impl LogsError {
    /// A page token that is none of ours, or is too old.
    pub fn invalid_token() -> LogsError {
        LogsError::InvalidParameter("The specified nextToken is invalid.".to_owned())
    }
}

impl From<StoreError> for LogsError {
    fn from(error: StoreError) -> LogsError {
        LogsError::Common(CommonError::Store(error))
    }
}

impl From<BlobError> for LogsError {
    fn from(error: BlobError) -> LogsError {
        match error {
            BlobError::DiskFull { free_bytes } => StoreError::DiskFull { free_bytes }.into(),
            other => LogsError::Common(CommonError::Internal(other.to_string())),
        }
    }
}

impl From<PatternError> for LogsError {
    fn from(error: PatternError) -> LogsError {
        LogsError::InvalidParameter(error.to_string())
    }
}

impl From<LogsError> for AwsError {
    fn from(error: LogsError) -> AwsError {
        let message = error.to_string();
        match error {
            LogsError::GroupNotFound | LogsError::StreamNotFound | LogsError::ResourceNotFound => {
                errors::resource_not_found_exception(message)
            }
            LogsError::GroupExists | LogsError::StreamExists => errors::resource_already_exists_exception(message),
            LogsError::InvalidParameter(_) => errors::invalid_parameter_exception(message),
            LogsError::Validation(_) => errors::validation_exception(message),
            LogsError::TooManyTags { resource } => {
                errors::too_many_tags_exception(message).with_field("resourceName", resource)
            }
            LogsError::Unavailable => AwsError::receiver("ServiceUnavailableException", 503, message),
            LogsError::Common(error) => error.into(),
        }
    }
}
