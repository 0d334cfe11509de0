//! Removes a statement from the policy of a function, a version or an alias.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_RemovePermission.html>
//! Deviations: none. Errors: ResourceNotFoundException, PreconditionFailedException.

use super::add_permission::changed;
use crate::Lambda;
use crate::api::{RemovePermission, RemovePermissionRequest, RemovePermissionResponse};
use crate::attached::PolicyRecord;
use crate::error::{AttachedError, LambdaError};
use crate::rules::{name, policy};
use gust_kit::{Cx, Operation};

impl Operation for RemovePermission {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: RemovePermissionRequest) -> Result<RemovePermissionResponse, LambdaError> {
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, "RemovePermission")?;
        let function = reference.id.arn();
        let sid = input.statement_id;
        let change = move |policy: Option<PolicyRecord>| {
            let mut policy = policy.ok_or(AttachedError::NoPolicy)?;
            policy::remove(&mut policy.statements, &sid)?;
            Ok(policy)
        };
        match changed(cx, reference.id, reference.qualifier, input.revision_id, change).await {
            Ok(()) => Ok(RemovePermissionResponse {}),
            // For a function that does not exist AWS has other words here.
            Err(LambdaError::FunctionNotFound { arn }) if arn == function => {
                Err(AttachedError::NoPolicyFor { arn }.into())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AddPermission, AddPermissionRequest, GetPolicy, GetPolicyRequest};
    use crate::tests::Bed;

    fn request(sid: &str) -> RemovePermissionRequest {
        RemovePermissionRequest { function_name: "a".into(), statement_id: sid.into(), ..Default::default() }
    }

    #[tokio::test]
    async fn the_policy_goes_with_its_last_statement() {
        let bed = Bed::new().await;
        let no_function = "No policy found for: arn:aws:lambda:us-east-1:000000000000:function:a";
        assert_eq!(bed.refusal::<RemovePermission>(request("x")).await, no_function);
        bed.create_active("a").await;
        assert_eq!(
            bed.refusal::<RemovePermission>(request("x")).await,
            "No policy is associated with the given resource."
        );
        for sid in ["x", "y"] {
            let input = AddPermissionRequest {
                function_name: "a".into(),
                statement_id: sid.into(),
                action: "lambda:InvokeFunction".into(),
                principal: "*".into(),
                ..Default::default()
            };
            bed.run::<AddPermission>(input).await.unwrap();
        }
        assert_eq!(bed.refusal::<RemovePermission>(request("z")).await, "Statement z is not found in resource policy.");
        let stale = RemovePermissionRequest { revision_id: Some("stale".into()), ..request("x") };
        assert!(bed.refusal::<RemovePermission>(stale).await.starts_with("The Revision Id provided"));
        bed.run::<RemovePermission>(request("x")).await.unwrap();
        let policy = || GetPolicyRequest { function_name: "a".into(), ..Default::default() };
        let shown = bed.run::<GetPolicy>(policy()).await.unwrap();
        assert!(!shown.policy.unwrap().contains(r#""x""#));
        let latest = RemovePermissionRequest {
            revision_id: shown.revision_id,
            qualifier: Some("$LATEST".into()),
            ..request("y")
        };
        bed.run::<RemovePermission>(latest).await.unwrap();
        assert_eq!(bed.refusal::<GetPolicy>(policy()).await, "The resource you requested does not exist.");
        let alias = RemovePermissionRequest { qualifier: Some("PROD".into()), ..request("x") };
        assert!(bed.refusal::<RemovePermission>(alias).await.starts_with("Cannot find alias arn: "));
    }
}
