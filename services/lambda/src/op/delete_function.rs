//! Deletes a function with its versions and aliases, or one version.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunction.html>
//! Deviations: none. A version that does not exist is deleted with success, as AWS does it.
//! Errors: ResourceNotFoundException, InvalidParameterValueException, ResourceConflictException.

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
            Some(Qualifier::Number(number)) => cx.service.remove_version(id, number).await?,
            Some(Qualifier::Alias(_)) => return Err(ParameterError::AliasNotDeletable.into()),
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
    async fn a_version_goes_alone_unless_an_alias_leads_to_it() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        bed.update_code("a", b"two").await;
        bed.publish("a").await;
        bed.create_alias("a", "prod", "1", None).await;
        bed.create_alias("a", "canary", "$LATEST", None).await;
        bed.create_alias("a", "both", "1", Some(("2", 0.5))).await;
        let code_bytes = bed.usage().await.code_bytes;
        let catalog = bed.lambda.catalog();
        let second = catalog.find(&function_id("a"), Some(&Qualifier::Number(2))).await.unwrap();
        let error = bed.run::<DeleteFunction>(request("a", Some("1"))).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("ResourceConflictException", 409));
        assert_eq!(error.message, "Unable to delete version because the following aliases reference it: [both, prod]");
        assert!(bed.refusal::<DeleteFunction>(request("a:2", None)).await.ends_with("[both]"));

        let both = crate::api::DeleteAliasRequest { function_name: "a".into(), name: "both".into() };
        bed.run::<crate::api::DeleteAlias>(both).await.unwrap();
        bed.run::<DeleteFunction>(request("a:2", None)).await.unwrap();
        assert!(catalog.find(&function_id("a"), Some(&Qualifier::Number(2))).await.is_err());
        assert_eq!(bed.invoker.retired().last().unwrap(), &Retired { function: "a:2".into(), keep: None });
        assert_eq!(bed.usage().await.code_bytes, code_bytes - u64::try_from(bed.zip_of("two").len()).unwrap());
        assert!(second.code_dir.exists(), "$LATEST uses the same package");
        assert_eq!(bed.run::<DeleteFunction>(request("a:2", None)).await.unwrap().status_code, Some(204));
        assert!(catalog.find(&function_id("a"), Some(&Qualifier::parse("prod"))).await.is_ok());
    }

    #[tokio::test]
    async fn versions_and_aliases_go_with_their_function_and_numbers_are_not_given_again() {
        let bed = Bed::new().await;
        for content in [&b"one"[..], b"two", b"three"] {
            if content == b"one" {
                bed.create_active("a").await;
            } else {
                bed.update_code("a", content).await;
            }
            bed.publish("a").await;
        }
        bed.create_alias("a", "prod", "2", Some(("3", 0.1))).await;
        bed.run::<DeleteFunction>(request("a", None)).await.unwrap();
        let retired: Vec<String> = bed.invoker.retired().into_iter().rev().take(4).map(|it| it.function).collect();
        assert_eq!(retired, ["a", "a:3", "a:2", "a:1"]);
        assert_eq!(bed.usage().await, Default::default());
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert!(bed.lambda.catalog().code().stored().await.unwrap().is_empty());

        bed.create_active("a").await;
        for qualifier in ["1", "2", "3", "prod"] {
            assert!(bed.lambda.catalog().find(&function_id("a"), Some(&Qualifier::parse(qualifier))).await.is_err());
        }
        assert_eq!(bed.publish("a").await.version.as_deref(), Some("4"));
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
