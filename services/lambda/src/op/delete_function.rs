//! Deletes a function.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html>
//! Deviations: none. A version that does not exist is deleted with success, as AWS does it; there are none yet.
//! Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{DeleteFunction, DeleteFunctionRequest, DeleteFunctionResponse};
use crate::error::{LambdaError, ParameterError};
use crate::model::Qualifier;
use crate::rules::name;
use gust_kit::{Cx, Operation};

impl Operation for DeleteFunction {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: DeleteFunctionRequest) -> Result<DeleteFunctionResponse, LambdaError> {
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, "DeleteFunction")?;
        let id = reference.id;
        match reference.qualifier {
            None => cx.service.remove(id).await?,
            Some(Qualifier::Latest) => return Err(ParameterError::LatestNotDeletable.into()),
            Some(Qualifier::Other(text)) if !text.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(ParameterError::AliasNotDeletable.into());
            }
            Some(Qualifier::Other(_)) => {
                if cx.service.catalog.read(&id).await?.is_none() {
                    return Err(LambdaError::FunctionNotFound { arn: id.arn() });
                }
            }
        }
        Ok(DeleteFunctionResponse { status_code: Some(204) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, Retired, function_id};

    fn request(name: &str, qualifier: Option<&str>) -> DeleteFunctionRequest {
        DeleteFunctionRequest { function_name: name.into(), qualifier: qualifier.map(str::to_owned) }
    }

    #[tokio::test]
    async fn a_deleted_function_is_gone_with_all_it_used() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.create_active("b").await;
        let catalog = bed.lambda.catalog();
        let spec = catalog.find(&function_id("a"), None).await.unwrap();

        assert_eq!(bed.run::<DeleteFunction>(request("a", None)).await.unwrap().status_code, Some(204));
        assert!(catalog.find(&function_id("a"), None).await.is_err());
        assert_eq!(bed.invoker.retired(), [Retired { function: "a".into(), keep: None }]);
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert!(spec.code_dir.exists(), "b uses the same package");

        bed.run::<DeleteFunction>(request("b", None)).await.unwrap();
        assert_eq!(bed.lambda.collect().await.unwrap(), 1);
        assert!(spec.code_dir.exists(), "an environment still reads it");
        let folder = spec.code_dir.clone();
        drop(spec);
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert!(!folder.exists());
        assert!(catalog.code().stored().await.unwrap().is_empty());
        assert_eq!(bed.usage().await, Default::default());
    }

    #[tokio::test]
    async fn what_a_crash_kept_from_being_removed_is_removed_at_the_next_start() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.run::<DeleteFunction>(request("a", None)).await.unwrap();
        let again = bed.restarted().await;
        let code = again.lambda.catalog().code().clone();
        assert_eq!(code.stored().await.unwrap().len(), 1);
        let worker = tokio::spawn(again.lambda.clone().work());
        let gone = async {
            while !code.stored().await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
        worker.abort();
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let refusal = bed.refusal::<DeleteFunction>(request("a", None)).await;
        assert_eq!(refusal, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:a");
        bed.create_active("a").await;
        let refusal = bed.refusal::<DeleteFunction>(request("a", Some("$LATEST"))).await;
        assert_eq!(refusal, "$LATEST version cannot be deleted without deleting the function.");
        assert_eq!(
            bed.refusal::<DeleteFunction>(request("a:PROD", None)).await,
            "Deletion of aliases is not currently supported."
        );
        assert_eq!(bed.run::<DeleteFunction>(request("a", Some("7"))).await.unwrap().status_code, Some(204));
        assert!(bed.refusal::<DeleteFunction>(request("b", Some("7"))).await.starts_with("Function not found"));
        assert!(bed.lambda.catalog().find(&function_id("a"), None).await.is_ok());
    }

    #[tokio::test]
    async fn of_two_deletes_one_finds_nothing() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let (one, other) =
            tokio::join!(bed.run::<DeleteFunction>(request("a", None)), bed.run::<DeleteFunction>(request("a", None)));
        assert!(one.is_ok() != other.is_ok());
        assert_eq!(one.err().or(other.err()).unwrap().status, 404);
    }
}
