//! Shows what is reserved for a function; nothing if nothing is.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConcurrency.html>
//! Deviations: none. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{GetFunctionConcurrency, GetFunctionConcurrencyRequest, GetFunctionConcurrencyResponse};
use crate::error::LambdaError;
use crate::keys::Reservation;
use crate::lookup;
use crate::reservations::reservation_of;
use crate::rules::name;
use gust_kit::{Cx, Operation};
use gust_store::Read;

impl Operation for GetFunctionConcurrency {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: GetFunctionConcurrencyRequest,
    ) -> Result<GetFunctionConcurrencyResponse, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "GetFunctionConcurrency")?;
        let read = move |snapshot: &mut dyn Read| -> Result<Option<Reservation>, LambdaError> {
            lookup::latest(snapshot, &id, None)?;
            reservation_of(snapshot, &id)
        };
        let reservation = cx.store().read(read).await?;
        let executions = reservation.and_then(|it| i32::try_from(it.executions).ok());
        Ok(GetFunctionConcurrencyResponse { reserved_concurrent_executions: executions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn nothing_is_shown_where_nothing_is_reserved() {
        let bed = Bed::new().await;
        let request = || GetFunctionConcurrencyRequest { function_name: "a".into() };
        assert!(bed.refusal::<GetFunctionConcurrency>(request()).await.starts_with("Function not found: "));
        bed.create_active("a").await;
        let shown = bed.run::<GetFunctionConcurrency>(request()).await.unwrap();
        assert_eq!(shown.reserved_concurrent_executions, None);
        let put =
            crate::api::PutFunctionConcurrencyRequest { function_name: "a".into(), reserved_concurrent_executions: 0 };
        bed.run::<crate::api::PutFunctionConcurrency>(put).await.unwrap();
        let shown = bed.run::<GetFunctionConcurrency>(request()).await.unwrap();
        assert_eq!(shown.reserved_concurrent_executions, Some(0));
    }
}
