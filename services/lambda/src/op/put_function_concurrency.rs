//! Reserves concurrency for a function, over all of its versions; 0 stops it. Holds from the next invocation on.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionConcurrency.html>
//! Deviations: none.
//! Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{Concurrency, PutFunctionConcurrency, PutFunctionConcurrencyRequest};
use crate::error::LambdaError;
use crate::rules::name;
use gust_kit::{Cx, Operation};

impl Operation for PutFunctionConcurrency {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: PutFunctionConcurrencyRequest) -> Result<Concurrency, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "PutFunctionConcurrency")?;
        let executions = input.reserved_concurrent_executions;
        // The model lets no number below zero through.
        cx.service.set_reservation(id, Some(u32::try_from(executions).unwrap_or(0))).await?;
        Ok(Concurrency { reserved_concurrent_executions: Some(executions) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DeleteFunction, DeleteFunctionRequest, GetAccountSettings, GetFunction, GetFunctionRequest};
    use crate::tests::{Bed, function_id};

    fn request(name: &str, executions: i32) -> PutFunctionConcurrencyRequest {
        PutFunctionConcurrencyRequest { function_name: name.into(), reserved_concurrent_executions: executions }
    }

    async fn unreserved(bed: &Bed) -> Option<i32> {
        let settings = bed.run::<GetAccountSettings>(Default::default()).await.unwrap();
        settings.account_limit.unwrap().unreserved_concurrent_executions
    }

    #[tokio::test]
    async fn a_reservation_is_told_shown_and_counted() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.create_active("b").await;
        let before = bed.lambda.catalog().find(&function_id("a"), None).await.unwrap();
        for executions in [5, 200, 0] {
            let answer = bed.run::<PutFunctionConcurrency>(request("a", executions)).await.unwrap();
            assert_eq!(answer.reserved_concurrent_executions, Some(executions));
            assert_eq!(bed.invoker.reserved().last().unwrap(), &("a".to_owned(), u32::try_from(executions).ok()));
            let get = GetFunctionRequest { function_name: "a".into(), qualifier: None };
            let shown = bed.run::<GetFunction>(get).await.unwrap().concurrency.unwrap();
            assert_eq!(shown.reserved_concurrent_executions, Some(executions));
            assert_eq!(unreserved(&bed).await, Some(1_000 - executions));
        }
        bed.run::<PutFunctionConcurrency>(request("b", 900)).await.unwrap();
        assert!(bed.invoker.retired().is_empty(), "no environment is replaced");
        let after = bed.lambda.catalog().find(&function_id("a"), None).await.unwrap();
        assert!(std::sync::Arc::ptr_eq(&before, &after));

        // After a start the invoker knows nothing, and is told everything.
        let again = bed.restarted().await;
        assert_eq!(again.invoker.reserved(), [("a".to_owned(), Some(0)), ("b".to_owned(), Some(900))]);
        let delete = DeleteFunctionRequest { function_name: "b".into(), qualifier: None };
        again.run::<DeleteFunction>(delete).await.unwrap();
        assert_eq!(again.invoker.reserved().last().unwrap(), &("b".to_owned(), None));
        assert_eq!(unreserved(&again).await, Some(1_000));
    }

    #[tokio::test]
    async fn a_hundred_are_left_to_the_others() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.create_active("b").await;
        let too_much = "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [100].";
        let error = bed.run::<PutFunctionConcurrency>(request("a", 901)).await.unwrap_err();
        assert_eq!(
            (error.code.as_ref(), error.status, error.message.as_str()),
            ("InvalidParameterValueException", 400, too_much)
        );
        bed.run::<PutFunctionConcurrency>(request("a", 900)).await.unwrap();
        assert_eq!(bed.refusal::<PutFunctionConcurrency>(request("b", 1)).await, too_much);
        bed.run::<PutFunctionConcurrency>(request("b", 0)).await.unwrap();
        // What a function has itself does not stand in its way.
        bed.run::<PutFunctionConcurrency>(request("a", 899)).await.unwrap();
        bed.run::<PutFunctionConcurrency>(request("b", 1)).await.unwrap();
        assert_eq!(bed.refusal::<PutFunctionConcurrency>(request("a", i32::MAX)).await, too_much);
        assert_eq!(unreserved(&bed).await, Some(100));
    }

    #[tokio::test]
    async fn of_two_that_do_not_fit_together_one_is_refused() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.create_active("b").await;
        let (one, other) = tokio::join!(
            bed.run::<PutFunctionConcurrency>(request("a", 500)),
            bed.run::<PutFunctionConcurrency>(request("b", 500))
        );
        assert!(one.is_ok() != other.is_ok());
        assert_eq!(unreserved(&bed).await, Some(500));
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let missing = bed.refusal::<PutFunctionConcurrency>(request("a", 1)).await;
        assert_eq!(missing, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:a");
        bed.create_active("a").await;
        for name in ["a:1", "a:prod"] {
            let refusal = bed.refusal::<PutFunctionConcurrency>(request(name, 1)).await;
            assert!(refusal.starts_with("This operation is permitted on Lambda functions only."), "{refusal}");
        }
    }
}
