//! Shows a version of a layer that is named by its ARN.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetLayerVersionByArn.html>
//! Deviations and errors: those of GetLayerVersion.

use crate::api::{GetLayerVersionByArn, GetLayerVersionByArnRequest, GetLayerVersionResponse};
use crate::error::{AttachedError, LambdaError};
use crate::rules::layer;
use crate::{Lambda, layers};
use gust_kit::{Cx, Operation};

impl Operation for GetLayerVersionByArn {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: GetLayerVersionByArnRequest) -> Result<GetLayerVersionResponse, LambdaError> {
        let found =
            layer::parse_version(&input.arn).filter(|(id, version)| id.region == cx.call.region && *version > 0);
        let (id, version) = found.ok_or(AttachedError::NoResource)?;
        let record = cx.service.readable_layer_version(&cx.call, &id, version).await?;
        Ok(layers::shown(cx, &id, version, &record.ok_or(AttachedError::NoResource)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PublishLayerVersion;
    use crate::tests::{Bed, layer_request};

    #[tokio::test]
    async fn a_version_is_found_by_its_arn() {
        let bed = Bed::new().await;
        let published = bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
        let arn = published.layer_version_arn.clone().unwrap();
        let request = |arn: &str| GetLayerVersionByArnRequest { arn: arn.to_owned() };
        let found = bed.run::<GetLayerVersionByArn>(request(&arn)).await.unwrap();
        assert_eq!((found.version, found.layer_version_arn), (Some(1), published.layer_version_arn));
        let missing = "The resource you requested does not exist.";
        for other in [arn.replace("l:1", "l:2"), arn.replace("us-east-1", "eu-west-1"), arn.replace("l:1", "l:0")] {
            assert_eq!(bed.refusal::<GetLayerVersionByArn>(request(&other)).await, missing, "{other}");
        }
        assert_eq!(bed.refusal::<GetLayerVersionByArn>(request("arn:aws:lambda:::awslayer:Big")).await, missing);
    }
}
