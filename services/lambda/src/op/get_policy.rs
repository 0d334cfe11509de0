//! Shows the policy of a function, a version or an alias.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html>
//! Deviations: none. Errors: ResourceNotFoundException.

use crate::api::{GetPolicy, GetPolicyRequest, GetPolicyResponse};
use crate::error::{AttachedError, LambdaError};
use crate::rules::name;
use crate::subject::Found;
use crate::{Lambda, subject, urls};
use gust_kit::{Cx, Operation};
use gust_store::Read;

impl Operation for GetPolicy {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: GetPolicyRequest) -> Result<GetPolicyResponse, LambdaError> {
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, "GetPolicy")?;
        let read = move |snapshot: &mut dyn Read| -> Result<(String, String), LambdaError> {
            let qualifier = reference.qualifier.as_ref();
            let revision_id = match subject::find(snapshot, &reference.id, qualifier)? {
                Found::Whole(revision_id) => revision_id,
                Found::FunctionOnly => return Err(AttachedError::NoResource.into()),
                Found::Nothing => return Err(LambdaError::FunctionNotFound { arn: reference.id.arn() }),
            };
            let policy = urls::policy_text(snapshot, &reference.id, qualifier)?;
            Ok((policy.ok_or(AttachedError::NoResource)?, revision_id))
        };
        let (policy, revision_id) = cx.store().read(read).await?;
        Ok(GetPolicyResponse { policy: Some(policy), revision_id: Some(revision_id) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let request = |qualifier: Option<&str>| GetPolicyRequest {
            function_name: "a".into(),
            qualifier: qualifier.map(str::to_owned),
        };
        let missing = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:a";
        assert_eq!(bed.refusal::<GetPolicy>(request(None)).await, missing);
        assert_eq!(bed.refusal::<GetPolicy>(request(Some("1"))).await, missing);
        bed.create_active("a").await;
        for qualifier in [None, Some("$LATEST"), Some("1"), Some("PROD")] {
            let error = bed.run::<GetPolicy>(request(qualifier)).await.unwrap_err();
            assert_eq!((error.code.as_ref(), error.status), ("ResourceNotFoundException", 404));
            assert_eq!(error.message, "The resource you requested does not exist.");
        }
    }
}
