//! Lets a service or an account use a function, a version or an alias.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html>
//! Deviations: none. Errors: ResourceNotFoundException, ResourceConflictException, InvalidParameterValueException,
//! PolicyLengthExceededException, PreconditionFailedException.

use crate::api::{AddPermission, AddPermissionRequest, AddPermissionResponse};
use crate::attached::PolicyRecord;
use crate::error::{AttachedError, LambdaError};
use crate::model::{FunctionId, Qualifier};
use crate::rules::{name, permission, policy};
use crate::task::to_the_end;
use crate::{Lambda, keys, subject};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for AddPermission {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: AddPermissionRequest) -> Result<AddPermissionResponse, LambdaError> {
        let reference = name::resolve(&input.function_name, input.qualifier.as_deref(), &cx.call, "AddPermission")?;
        if reference.qualifier == Some(Qualifier::Latest) {
            return Err(AttachedError::PolicyForLatest.into());
        }
        let resource = reference.id.qualified_arn(reference.qualifier.as_ref());
        let statement = permission::statement(&input, resource, cx.call.region.partition())?;
        let text = policy::statement_text(&statement);
        let change = move |policy: Option<PolicyRecord>| {
            let mut policy = policy.unwrap_or_default();
            policy::add(&mut policy.statements, statement.clone())?;
            Ok(policy)
        };
        changed(cx, reference.id, reference.qualifier, input.revision_id, change).await?;
        Ok(AddPermissionResponse { statement: Some(text) })
    }
}

/// Changes the policy of a function, a version or an alias, and with it their RevisionId.
///
/// Errors: they do not exist, they have another RevisionId, those of `change`.
pub(super) async fn changed(
    cx: &Cx<Lambda>,
    id: FunctionId,
    qualifier: Option<Qualifier>,
    revision_id: Option<String>,
    change: impl Fn(Option<PolicyRecord>) -> Result<PolicyRecord, LambdaError> + Send + Sync + 'static,
) -> Result<(), LambdaError> {
    let new_revision = cx.platform().uuid();
    let work = move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
        let (current, key) = (subject::revision(tx, &id, qualifier.as_ref())?, keys::policy(&id, qualifier.as_ref()));
        let policy = change(tx.get(&key)?.map(|bytes| keys::decode(&bytes)).transpose()?)?;
        let asked = revision_id.as_deref().filter(|asked| !asked.is_empty());
        if asked.is_some_and(|asked| asked != current) {
            return Err(LambdaError::RevisionMismatch);
        }
        subject::set_revision(tx, &id, qualifier.as_ref(), &new_revision)?;
        if policy.statements.is_empty() {
            return Ok(tx.delete(key)?);
        }
        Ok(tx.put(key, keys::encode(&policy))?)
    };
    let (store, catalog) = (cx.store().clone(), cx.service.catalog.clone());
    to_the_end(async move {
        let outcome = store.transact(work).await;
        catalog.invalidate_urls();
        outcome.map(|_| ())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{GetFunctionConfiguration, GetFunctionConfigurationRequest, GetPolicy, GetPolicyRequest};
    use crate::tests::Bed;

    fn request(sid: &str) -> AddPermissionRequest {
        AddPermissionRequest {
            function_name: "a".into(),
            statement_id: sid.into(),
            action: "lambda:InvokeFunction".into(),
            principal: "s3.amazonaws.com".into(),
            ..Default::default()
        }
    }

    async fn revision(bed: &Bed) -> String {
        let get = GetFunctionConfigurationRequest { function_name: "a".into(), ..Default::default() };
        bed.run::<GetFunctionConfiguration>(get).await.unwrap().revision_id.unwrap()
    }

    #[tokio::test]
    async fn versions_and_aliases_have_policies_of_their_own_that_go_with_them() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        bed.create_alias("a", "prod", "1", None).await;
        let get = |qualifier: Option<&str>| GetPolicyRequest {
            function_name: "a".into(),
            qualifier: qualifier.map(str::to_owned),
        };
        for qualifier in ["1", "prod"] {
            let of = AddPermissionRequest { qualifier: Some(qualifier.into()), ..request("s") };
            let statement = bed.run::<AddPermission>(of).await.unwrap().statement.unwrap();
            assert!(statement.contains(&format!("function:a:{qualifier}")), "{statement}");
            assert!(bed.run::<GetPolicy>(get(Some(qualifier))).await.is_ok());
        }
        assert!(bed.run::<GetPolicy>(get(None)).await.is_err());
        let alias = crate::api::DeleteAliasRequest { function_name: "a".into(), name: "prod".into() };
        bed.run::<crate::api::DeleteAlias>(alias).await.unwrap();
        bed.lambda.remove_version(crate::tests::function_id("a"), 1).await.unwrap();
        bed.create_alias("a", "prod", "$LATEST", None).await;
        for qualifier in ["1", "prod"] {
            assert!(bed.run::<GetPolicy>(get(Some(qualifier))).await.is_err(), "{qualifier}");
        }
    }

    #[tokio::test]
    async fn the_statement_is_printed_and_the_revision_changes() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let before = revision(&bed).await;
        let input = AddPermissionRequest {
            source_arn: Some("arn:aws:s3:::b".into()),
            revision_id: Some(before.clone()),
            ..request("s3")
        };
        let added = bed.run::<AddPermission>(input).await.unwrap().statement.unwrap();
        assert_eq!(
            added,
            r#"{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:us-east-1:000000000000:function:a","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"}}}"#
        );
        let after = revision(&bed).await;
        assert_ne!(before, after);
        let shown =
            bed.run::<GetPolicy>(GetPolicyRequest { function_name: "a".into(), ..Default::default() }).await.unwrap();
        assert_eq!(
            shown.policy.unwrap(),
            format!(r#"{{"Version":"2012-10-17","Id":"default","Statement":[{added}]}}"#)
        );
        assert_eq!(shown.revision_id, Some(after));
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let missing = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:a";
        assert_eq!(bed.refusal::<AddPermission>(request("s")).await, missing);
        bed.create_active("a").await;
        bed.run::<AddPermission>(request("s")).await.unwrap();
        let error = bed.run::<AddPermission>(request("s")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("ResourceConflictException", 409));
        let with = |qualifier: &str| AddPermissionRequest { qualifier: Some(qualifier.into()), ..request("q") };
        assert_eq!(
            bed.refusal::<AddPermission>(with("$LATEST")).await,
            "We currently do not support adding policies for $LATEST."
        );
        assert_eq!(bed.refusal::<AddPermission>(with("42")).await, format!("{missing}:42"));
        assert_eq!(bed.refusal::<AddPermission>(with("with-$")).await, format!("{missing}:with-$"));
        let alias = "Cannot find alias arn: arn:aws:lambda:us-east-1:000000000000:function:a:PROD";
        assert_eq!(bed.refusal::<AddPermission>(with("PROD")).await, alias);
        let named = AddPermissionRequest { function_name: "a:1".into(), qualifier: Some("2".into()), ..request("q") };
        assert!(bed.refusal::<AddPermission>(named).await.starts_with("The derived qualifier"));
        let stale = AddPermissionRequest { revision_id: Some("stale".into()), ..request("q") };
        let error = bed.run::<AddPermission>(stale).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("PreconditionFailedException", 412));
        let nobody = AddPermissionRequest { principal: "invalid.nonaws.com".into(), ..request("q") };
        assert_eq!(
            bed.refusal::<AddPermission>(nobody).await,
            "The provided principal was invalid. Please check the principal and try again."
        );
    }

    #[tokio::test]
    async fn a_policy_has_an_end() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let long = |n: usize| AddPermissionRequest {
            source_arn: Some(format!("arn:aws:s3:::{}", "b".repeat(9_000))),
            ..request(&format!("s{n}"))
        };
        for n in 0..2 {
            bed.run::<AddPermission>(long(n)).await.unwrap();
        }
        let error = bed.run::<AddPermission>(long(2)).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("PolicyLengthExceededException", 400));
        assert!(error.message.ends_with("is bigger than the limit (20480)."), "{}", error.message);
    }
}
