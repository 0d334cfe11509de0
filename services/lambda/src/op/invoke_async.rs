//! Accepts an event, in the way of the first Lambda.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html>
//! Deviations: none.
//! Errors: ResourceNotFoundException, ResourceConflictException, InvalidRequestContentException.

use crate::Lambda;
use crate::api::{InvokeAsync, InvokeAsyncRequest, InvokeAsyncResponse};
use crate::error::LambdaError;
use crate::op::invoke::accept;
use crate::rules::name;
use crate::rules::payload::{self, Mode};
use gust_kit::{Cx, Operation};

impl Operation for InvokeAsync {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: InvokeAsyncRequest) -> Result<InvokeAsyncResponse, LambdaError> {
        let reference = name::resolve(&input.function_name, None, &cx.call, "InvokeFunction")?;
        let payload = payload::check(Some(input.invoke_args), Mode::InvokeAsync)?;
        accept(cx, reference, payload, None, None).await?;
        Ok(InvokeAsyncResponse { status: Some(202) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn an_event_is_accepted() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let request = |name: &str, args: &'static [u8]| InvokeAsyncRequest {
            function_name: name.into(),
            invoke_args: args.into(),
        };
        assert_eq!(bed.run::<InvokeAsync>(request("a", b"{}")).await.unwrap().status, Some(202));
        assert_eq!(bed.queued().await.len(), 1);
        assert_eq!(bed.run::<InvokeAsync>(request("b", b"{}")).await.unwrap_err().status, 404);
        assert_eq!(
            bed.run::<InvokeAsync>(request("a", b"x")).await.unwrap_err().code,
            "InvalidRequestContentException"
        );
        assert_eq!(bed.queued().await.len(), 1);
    }
}
