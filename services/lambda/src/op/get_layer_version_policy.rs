//! Shows who else may use a version of a layer.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionPolicy.html>
//! Deviations: none. Errors: ResourceNotFoundException.

use crate::api::{GetLayerVersionPolicy, GetLayerVersionPolicyRequest, GetLayerVersionPolicyResponse};
use crate::error::{AttachedError, LambdaError};
use crate::rules::{layer, policy};
use crate::{Lambda, layers};
use gust_kit::{Cx, Operation};

impl Operation for GetLayerVersionPolicy {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: GetLayerVersionPolicyRequest,
    ) -> Result<GetLayerVersionPolicyResponse, LambdaError> {
        let version = layers::version_number(input.version_number)?;
        let id = layer::resolve(&input.layer_name, &cx.call)?;
        layers::check_owned(&id, &cx.call, "GetLayerVersionPolicy", Some(version))?;
        let record = cx.service.readable_layer_version(&cx.call, &id, version).await?;
        let record = record.ok_or_else(|| AttachedError::LayerVersionMissing { arn: id.version_arn(version) })?;
        if record.statements.is_empty() {
            return Err(AttachedError::NoPolicy.into());
        }
        Ok(GetLayerVersionPolicyResponse {
            policy: Some(policy::text(&record.statements)),
            revision_id: Some(record.policy_revision_id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, call_in};

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:l";
        let request = |version_number| GetLayerVersionPolicyRequest { layer_name: arn.into(), version_number };
        assert_eq!(
            bed.refusal::<GetLayerVersionPolicy>(request(1)).await,
            format!("Layer version {arn}:1 does not exist.")
        );
        assert_eq!(bed.refusal::<GetLayerVersionPolicy>(request(0)).await, "Layer Version Cannot be less than 1");
        let other = call_in("us-east-1", "111111111111");
        assert_eq!(bed.run_as::<GetLayerVersionPolicy>(other, request(1)).await.unwrap_err().status, 403);
    }
}
