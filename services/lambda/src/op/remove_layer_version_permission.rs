//! Removes a statement from the policy of a layer's version.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_RemoveLayerVersionPermission.html>
//! Deviations: none. Functions that use the version go on working.
//! Errors: ResourceNotFoundException, PreconditionFailedException.

use super::add_layer_version_permission::changed;
use crate::api::{
    RemoveLayerVersionPermission, RemoveLayerVersionPermissionRequest, RemoveLayerVersionPermissionResponse,
};
use crate::error::LambdaError;
use crate::layer::LayerVersionRecord;
use crate::rules::{layer, policy};
use crate::{Lambda, layers};
use gust_kit::{Cx, Operation};

impl Operation for RemoveLayerVersionPermission {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: RemoveLayerVersionPermissionRequest,
    ) -> Result<RemoveLayerVersionPermissionResponse, LambdaError> {
        let version = layers::version_number(input.version_number)?;
        let id = layer::resolve(&input.layer_name, &cx.call)?;
        layers::check_owned(&id, &cx.call, "RemoveLayerVersionPermission", Some(version))?;
        let sid = input.statement_id;
        let change = move |record: &mut LayerVersionRecord| Ok(policy::remove(&mut record.statements, &sid)?);
        changed(cx, id, version, input.revision_id, change).await?;
        Ok(RemoveLayerVersionPermissionResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        AddLayerVersionPermission, AddLayerVersionPermissionRequest, GetLayerVersionPolicy,
        GetLayerVersionPolicyRequest, PublishLayerVersion,
    };
    use crate::tests::{Bed, layer_request};

    #[tokio::test]
    async fn statements_come_and_go() {
        let bed = Bed::new().await;
        bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
        let remove = |sid: &str, revision: Option<&str>| RemoveLayerVersionPermissionRequest {
            layer_name: "l".into(),
            version_number: 1,
            statement_id: sid.into(),
            revision_id: revision.map(str::to_owned),
        };
        let policy = || GetLayerVersionPolicyRequest { layer_name: "l".into(), version_number: 1 };
        let none = "No policy is associated with the given resource.";
        assert_eq!(bed.refusal::<GetLayerVersionPolicy>(policy()).await, none);
        for sid in ["x", "y"] {
            let add = AddLayerVersionPermissionRequest {
                layer_name: "l".into(),
                version_number: 1,
                statement_id: sid.into(),
                action: "lambda:GetLayerVersion".into(),
                principal: "*".into(),
                ..Default::default()
            };
            bed.run::<AddLayerVersionPermission>(add).await.unwrap();
        }
        let shown = bed.run::<GetLayerVersionPolicy>(policy()).await.unwrap();
        let text: serde_json::Value = serde_json::from_str(&shown.policy.unwrap()).unwrap();
        assert_eq!((text["Id"].as_str(), text["Statement"][1]["Sid"].as_str()), (Some("default"), Some("y")));
        assert_eq!(
            bed.refusal::<RemoveLayerVersionPermission>(remove("z", None)).await,
            "Statement z is not found in resource policy."
        );
        assert!(
            bed.refusal::<RemoveLayerVersionPermission>(remove("x", Some("stale"))).await.contains("GetLayerPolicy")
        );
        bed.run::<RemoveLayerVersionPermission>(remove("x", shown.revision_id.as_deref())).await.unwrap();
        bed.run::<RemoveLayerVersionPermission>(remove("y", None)).await.unwrap();
        assert_eq!(bed.refusal::<GetLayerVersionPolicy>(policy()).await, none);
        let missing = RemoveLayerVersionPermissionRequest { version_number: 2, ..remove("x", None) };
        assert!(bed.refusal::<RemoveLayerVersionPermission>(missing).await.ends_with("layer:l:2 does not exist."));
    }
}
