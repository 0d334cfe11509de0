//! Shows what becomes of a function that invokes itself in a loop.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionRecursionConfig.html>
//! Deviations: none. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::api::{
    GetFunctionRecursionConfig, GetFunctionRecursionConfigRequest, GetFunctionRecursionConfigResponse, RecursiveLoop,
};
use crate::attached::RecursionRecord;
use crate::error::LambdaError;
use crate::rules::name;
use crate::{Lambda, keys, subject};
use gust_kit::{Cx, Operation};
use gust_store::Read;

impl Operation for GetFunctionRecursionConfig {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: GetFunctionRecursionConfigRequest,
    ) -> Result<GetFunctionRecursionConfigResponse, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "GetFunctionRecursionConfig")?;
        let read = move |snapshot: &mut dyn Read| -> Result<Option<RecursionRecord>, LambdaError> {
            subject::revision(snapshot, &id, None)?;
            Ok(snapshot.get(&keys::recursion(&id))?.map(|bytes| keys::decode(&bytes)).transpose()?)
        };
        let record = cx.store().read(read).await?;
        let recursive_loop = record.and_then(|record| RecursiveLoop::parse(&record.recursive_loop));
        Ok(GetFunctionRecursionConfigResponse {
            recursive_loop: Some(recursive_loop.unwrap_or(RecursiveLoop::Terminate)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PutFunctionRecursionConfig, PutFunctionRecursionConfigRequest};
    use crate::tests::Bed;

    #[tokio::test]
    async fn loops_are_terminated_unless_they_are_allowed() {
        let bed = Bed::new().await;
        let get = |name: &str| GetFunctionRecursionConfigRequest { function_name: name.into() };
        let put = |recursive_loop| PutFunctionRecursionConfigRequest { function_name: "a".into(), recursive_loop };
        assert!(bed.refusal::<GetFunctionRecursionConfig>(get("a")).await.starts_with("Function not found: "));
        assert!(
            bed.refusal::<PutFunctionRecursionConfig>(put(RecursiveLoop::Allow))
                .await
                .starts_with("Function not found: ")
        );
        bed.create_active("a").await;
        assert_eq!(
            bed.run::<GetFunctionRecursionConfig>(get("a")).await.unwrap().recursive_loop,
            Some(RecursiveLoop::Terminate)
        );
        for value in [RecursiveLoop::Allow, RecursiveLoop::Terminate] {
            assert_eq!(bed.run::<PutFunctionRecursionConfig>(put(value)).await.unwrap().recursive_loop, Some(value));
            assert_eq!(bed.run::<GetFunctionRecursionConfig>(get("a")).await.unwrap().recursive_loop, Some(value));
        }
        assert!(bed.refusal::<GetFunctionRecursionConfig>(get("a:1")).await.starts_with("This operation is permitted"));
    }
}
