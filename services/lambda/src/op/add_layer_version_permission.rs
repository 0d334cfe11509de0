//! Lets other accounts use a version of a layer.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_AddLayerVersionPermission.html>
//! Deviations: OrganizationId is kept and shown, and lets nobody in: gust has no organizations.
//! Errors: ResourceNotFoundException, ResourceConflictException, PolicyLengthExceededException,
//! PreconditionFailedException.

use crate::api::{AddLayerVersionPermission, AddLayerVersionPermissionRequest, AddLayerVersionPermissionResponse};
use crate::error::{AttachedError, LambdaError};
use crate::layer::{LayerId, LayerVersionRecord};
use crate::rules::layer;
use crate::rules::policy::{self, Condition, Statement};
use crate::{Lambda, keys, layers};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for AddLayerVersionPermission {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: AddLayerVersionPermissionRequest,
    ) -> Result<AddLayerVersionPermissionResponse, LambdaError> {
        let version = layers::version_number(input.version_number)?;
        let id = layer::resolve(&input.layer_name, &cx.call)?;
        layers::check_owned(&id, &cx.call, "AddLayerVersionPermission", Some(version))?;
        let condition = Condition {
            string_equals: input.organization_id.map(|id| ("aws:PrincipalOrgID".to_owned(), id)).into_iter().collect(),
            ..Default::default()
        };
        let statement = Statement {
            sid: input.statement_id,
            effect: "Allow".to_owned(),
            principal: policy::principal(&input.principal, cx.call.region.partition())?,
            action: input.action,
            resource: id.version_arn(version),
            condition: condition.if_any(),
        };
        let text = policy::statement_text(&statement);
        let change = move |record: &mut LayerVersionRecord| policy::add(&mut record.statements, statement.clone());
        let revision_id = changed(cx, id, version, input.revision_id, change).await?;
        Ok(AddLayerVersionPermissionResponse { statement: Some(text), revision_id: Some(revision_id) })
    }
}

/// Changes the policy of a version; returns its new RevisionId.
///
/// Errors: the version does not exist, the policy has another RevisionId, those of `change`.
pub(super) async fn changed(
    cx: &Cx<Lambda>,
    id: LayerId,
    version: u64,
    revision_id: Option<String>,
    change: impl Fn(&mut LayerVersionRecord) -> Result<(), LambdaError> + Send + Sync + 'static,
) -> Result<String, LambdaError> {
    let new_revision = cx.platform().uuid();
    let work = move |tx: &mut dyn Tx| -> Result<String, LambdaError> {
        let key = keys::layer_version(&id, version);
        let missing = || AttachedError::LayerVersionMissing { arn: id.version_arn(version) };
        let mut record: LayerVersionRecord = keys::decode(&tx.get(&key)?.ok_or_else(missing)?)?;
        let asked = revision_id.as_deref().filter(|asked| !asked.is_empty());
        if asked.is_some_and(|asked| asked != record.policy_revision_id) {
            return Err(AttachedError::LayerRevisionMismatch.into());
        }
        change(&mut record)?;
        record.policy_revision_id.clone_from(&new_revision);
        tx.put(key, keys::encode(&record))?;
        Ok(new_revision.clone())
    };
    Ok(cx.store().transact(work).await?.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{CreateFunction, GetLayerVersion, GetLayerVersionRequest, PublishLayerVersion};
    use crate::tests::{Bed, call_in, create_request, layer_request};

    const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:layer:l";

    fn request(sid: &str, principal: &str) -> AddLayerVersionPermissionRequest {
        AddLayerVersionPermissionRequest {
            layer_name: "l".into(),
            version_number: 1,
            statement_id: sid.into(),
            action: "lambda:GetLayerVersion".into(),
            principal: principal.into(),
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn the_statement_is_printed_and_opens_the_layer() {
        let bed = Bed::new().await;
        bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
        let other = call_in("us-east-1", "111111111111");
        let get = || GetLayerVersionRequest { layer_name: ARN.into(), version_number: 1 };
        let mut function = create_request("a");
        function.layers = Some(vec![format!("{ARN}:1")]);
        assert_eq!(bed.run_as::<GetLayerVersion>(other.clone(), get()).await.unwrap_err().status, 403);
        let error = bed.run_as::<CreateFunction>(other.clone(), function.clone()).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("AccessDeniedException", 403));
        let added = bed.run::<AddLayerVersionPermission>(request("x", "111111111111")).await.unwrap();
        let statement = format!(
            r#"{{"Sid":"x","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::111111111111:root"}},"Action":"lambda:GetLayerVersion","Resource":"{ARN}:1"}}"#
        );
        assert_eq!(added.statement, Some(statement));
        assert_eq!(bed.run_as::<GetLayerVersion>(other.clone(), get()).await.unwrap().version, Some(1));
        bed.run_as::<CreateFunction>(other, function).await.unwrap();
    }

    #[tokio::test]
    async fn an_organization_is_printed_and_lets_nobody_in() {
        let bed = Bed::new().await;
        bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
        let input =
            AddLayerVersionPermissionRequest { organization_id: Some("o-t194hfs8cz".into()), ..request("x", "*") };
        let added = bed.run::<AddLayerVersionPermission>(input).await.unwrap().statement.unwrap();
        assert!(added.ends_with(r#""Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-t194hfs8cz"}}}"#), "{added}");
        let get = GetLayerVersionRequest { layer_name: ARN.into(), version_number: 1 };
        assert!(bed.run_as::<GetLayerVersion>(call_in("us-east-1", "111111111111"), get).await.is_err());
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let missing = format!("Layer version {ARN}:1 does not exist.");
        let error = bed.run::<AddLayerVersionPermission>(request("x", "*")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.message), ("ResourceNotFoundException", missing));
        bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
        let added = bed.run::<AddLayerVersionPermission>(request("x", "*")).await.unwrap();
        let error = bed.run::<AddLayerVersionPermission>(request("x", "*")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("ResourceConflictException", 409));
        let stale = AddLayerVersionPermissionRequest { revision_id: Some("stale".into()), ..request("y", "*") };
        let error = bed.run::<AddLayerVersionPermission>(stale).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("PreconditionFailedException", 412));
        let fresh = AddLayerVersionPermissionRequest { revision_id: added.revision_id.clone(), ..request("y", "*") };
        assert_ne!(bed.run::<AddLayerVersionPermission>(fresh).await.unwrap().revision_id, added.revision_id);
    }
}
