//! Shows a version of a layer, with a link to its content.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersion.html>
//! Deviations: the link in `Content.Location` leads to gust. Errors: ResourceNotFoundException,
//! InvalidParameterValueException, AccessDeniedException for a layer that another account does not share.

use crate::api::{GetLayerVersion, GetLayerVersionRequest, GetLayerVersionResponse};
use crate::error::{AttachedError, LambdaError};
use crate::rules::layer;
use crate::{Lambda, layers};
use gust_kit::{Cx, Operation};

impl Operation for GetLayerVersion {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: GetLayerVersionRequest) -> Result<GetLayerVersionResponse, LambdaError> {
        let version = layers::version_number(input.version_number)?;
        let id = layer::resolve(&input.layer_name, &cx.call)?;
        let record = cx.service.readable_layer_version(&cx.call, &id, version).await?;
        Ok(layers::shown(cx, &id, version, &record.ok_or(AttachedError::NoResource)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PublishLayerVersion;
    use crate::tests::{Bed, call_in, layer_request};

    fn request(name: &str, version_number: i64) -> GetLayerVersionRequest {
        GetLayerVersionRequest { layer_name: name.into(), version_number }
    }

    #[tokio::test]
    async fn a_version_is_found_by_name_and_by_arn() {
        let bed = Bed::new().await;
        bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
        let by_name = bed.run::<GetLayerVersion>(request("l", 1)).await.unwrap();
        let arn = by_name.layer_arn.clone().unwrap();
        assert_eq!(bed.run::<GetLayerVersion>(request(&arn, 1)).await.unwrap(), by_name);
        assert_eq!(by_name.version, Some(1));
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
        for (name, version) in [("l", 2), ("m", 1)] {
            let error = bed.run::<GetLayerVersion>(request(name, version)).await.unwrap_err();
            assert_eq!((error.code.as_ref(), error.status), ("ResourceNotFoundException", 404));
            assert_eq!(error.message, "The resource you requested does not exist.");
        }
        for version in [0, -1] {
            assert_eq!(
                bed.refusal::<GetLayerVersion>(request("l", version)).await,
                "Layer Version Cannot be less than 1"
            );
        }
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:l";
        let other = call_in("us-east-1", "111111111111");
        for version in [1, 2] {
            let error = bed.run_as::<GetLayerVersion>(other.clone(), request(arn, version)).await.unwrap_err();
            let expected = format!(
                "User: arn:aws:iam::111111111111:root is not authorized to perform: lambda:GetLayerVersion on resource: \
                 {arn}:{version} because no resource-based policy allows the lambda:GetLayerVersion action"
            );
            assert_eq!((error.code.as_ref(), error.status, error.message), ("AccessDeniedException", 403, expected));
        }
    }
}
