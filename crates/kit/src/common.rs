//! Errors that any operation of any service may return.
//!
//! Source: <https://docs.aws.amazon.com/awssupport/latest/APIReference/CommonErrors.html>

use gust_store::StoreError;
use gust_types::AwsError;

/// An error that does not belong to one service.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommonError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A fault of gust itself; the text is logged and never shown.
    #[error("{0}")]
    Internal(String),
    /// An error that is already in its final form.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl From<CommonError> for AwsError {
    fn from(error: CommonError) -> AwsError {
        match error {
            CommonError::Aws(error) => error,
            CommonError::Store(error) => store_error(&error),
            CommonError::Internal(cause) => {
                tracing::error!(cause, "internal failure");
                AwsError::internal()
            }
        }
    }
}

/// The client's view of a store failure: retryable ones are 503, so that SDKs retry them.
fn store_error(error: &StoreError) -> AwsError {
    let unavailable = |message| AwsError::receiver("ServiceUnavailableException", 503, message);
    match error {
        StoreError::DiskFull { .. } => unavailable("Service is unavailable: the disk of the data folder is full."),
        StoreError::Contended { .. } | StoreError::ClaimLost { .. } => {
            unavailable("Service is unavailable: too much contention. Try again later.")
        }
        other => {
            tracing::error!(cause = %other, "store failure");
            AwsError::internal()
        }
    }
}
