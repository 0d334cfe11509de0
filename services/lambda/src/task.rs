//! Work that must not stop half-way.

use crate::error::LambdaError;
use gust_kit::CommonError;

/// Runs `work` to its end even if the caller goes away: a client that hangs up drops its request's future, and
/// what follows a commit has to happen all the same.
///
/// Errors: those of `work`; an internal one if it panicked.
pub async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, LambdaError>> + Send + 'static,
) -> Result<T, LambdaError> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(CommonError::Internal(format!("a change was aborted: {error}")).into()),
    }
}
