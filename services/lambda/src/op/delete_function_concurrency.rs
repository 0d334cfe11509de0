//! Takes a function's reserved concurrency back. Nothing reserved is no error.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionConcurrency.html>
//! Deviations: none. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{DeleteFunctionConcurrency, DeleteFunctionConcurrencyRequest};
use crate::error::LambdaError;
use crate::rules::name;
use gust_kit::{Cx, Operation};

impl Operation for DeleteFunctionConcurrency {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: DeleteFunctionConcurrencyRequest) -> Result<Self::Output, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "DeleteFunctionConcurrency")?;
        cx.service.set_reservation(id, None).await?;
        Ok(Default::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn a_reservation_is_taken_back() {
        let bed = Bed::new().await;
        let request = || DeleteFunctionConcurrencyRequest { function_name: "a".into() };
        assert!(bed.refusal::<DeleteFunctionConcurrency>(request()).await.starts_with("Function not found: "));
        bed.create_active("a").await;
        bed.run::<DeleteFunctionConcurrency>(request()).await.unwrap();
        let put =
            crate::api::PutFunctionConcurrencyRequest { function_name: "a".into(), reserved_concurrent_executions: 7 };
        bed.run::<crate::api::PutFunctionConcurrency>(put).await.unwrap();
        bed.run::<DeleteFunctionConcurrency>(request()).await.unwrap();
        assert_eq!(bed.invoker.reserved().last().unwrap(), &("a".to_owned(), None));
        assert_eq!(bed.usage().await.reserved, 0);
    }
}
