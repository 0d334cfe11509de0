//! Deletes a version of a layer. Functions that use it go on working, and its number is never given again.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_DeleteLayerVersion.html>
//! Deviations: none. A version that does not exist is deleted with success, as AWS does it.
//! Errors: InvalidParameterValueException, AccessDeniedException for a layer of another account.

use crate::api::{DeleteLayerVersion, DeleteLayerVersionRequest, DeleteLayerVersionResponse};
use crate::error::LambdaError;
use crate::layer::LayerVersionRecord;
use crate::lifecycle::put_usage;
use crate::rules::layer;
use crate::task::to_the_end;
use crate::{Lambda, keys, layers};
use gust_kit::{Cx, Operation};
use gust_store::Tx;

impl Operation for DeleteLayerVersion {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: DeleteLayerVersionRequest) -> Result<DeleteLayerVersionResponse, LambdaError> {
        let version = layers::version_number(input.version_number)?;
        let id = layer::resolve(&input.layer_name, &cx.call)?;
        layers::check_owned(&id, &cx.call, "DeleteLayerVersion", Some(version))?;
        let removed = move |tx: &mut dyn Tx| -> Result<Option<String>, LambdaError> {
            let key = keys::layer_version(&id, version);
            let Some(bytes) = tx.get(&key)? else { return Ok(None) };
            let package = keys::decode::<LayerVersionRecord>(&bytes)?.package;
            put_usage(tx, &id.account, &id.region, |usage| {
                usage.code_bytes = usage.code_bytes.saturating_sub(package.zip_bytes);
            })?;
            tx.delete(key)?;
            tx.delete(keys::package_layer(&package.sha256, &id, version))?;
            Ok(Some(package.sha256))
        };
        let (store, catalog) = (cx.store().clone(), cx.service.catalog.clone());
        to_the_end(async move {
            if let Some(package) = store.transact(removed).await?.value {
                catalog.code().name_candidate(&package);
            }
            Ok(())
        })
        .await?;
        Ok(DeleteLayerVersionResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        CreateFunction, DeleteFunction, DeleteFunctionRequest, GetLayerVersion, GetLayerVersionRequest,
        PublishLayerVersion,
    };
    use crate::tests::{Bed, call_in, create_request, function_id, layer_request};

    fn request(name: &str, version_number: i64) -> DeleteLayerVersionRequest {
        DeleteLayerVersionRequest { layer_name: name.into(), version_number }
    }

    #[tokio::test]
    async fn numbers_are_never_given_twice() {
        let bed = Bed::new().await;
        for version in [1, 2] {
            let published = bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
            assert_eq!(published.version, Some(version));
        }
        for version in [2, 1, 1, 7] {
            bed.run::<DeleteLayerVersion>(request("l", version)).await.unwrap();
        }
        bed.run::<DeleteLayerVersion>(request("other", 1)).await.unwrap();
        assert!(
            bed.run::<GetLayerVersion>(GetLayerVersionRequest { layer_name: "l".into(), version_number: 1 })
                .await
                .is_err()
        );
        assert_eq!(bed.usage().await.code_bytes, 0);
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert!(bed.lambda.catalog().code().stored().await.unwrap().is_empty());
        let again = bed.restarted().await;
        let published = again.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
        assert_eq!(published.version, Some(3));
    }

    #[tokio::test]
    async fn functions_keep_what_they_use() {
        let bed = Bed::new().await;
        for name in ["one", "two"] {
            bed.run::<PublishLayerVersion>(layer_request(name, &[(name, b"x")])).await.unwrap();
        }
        let mut input = create_request("a");
        let arn = |name: &str| format!("arn:aws:lambda:us-east-1:000000000000:layer:{name}:1");
        input.layers = Some(vec![arn("one"), arn("two")]);
        bed.run::<CreateFunction>(input).await.unwrap();
        for name in ["one", "two"] {
            bed.run::<DeleteLayerVersion>(request(name, 1)).await.unwrap();
        }
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        bed.lambda.settle_pending().await.unwrap();
        let catalog = bed.lambda.catalog();
        let spec = catalog.find(&function_id("a"), None).await.unwrap();
        let opt = spec.layers_dir.clone().unwrap();
        assert!(opt.join("one").exists() && opt.join("two").exists());

        bed.run::<DeleteFunction>(DeleteFunctionRequest { function_name: "a".into(), qualifier: None }).await.unwrap();
        assert!(bed.lambda.collect().await.unwrap() > 0, "an environment still reads them");
        assert!(opt.join("one").exists());
        drop(spec);
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert!(catalog.code().stored().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        assert_eq!(bed.refusal::<DeleteLayerVersion>(request("l", 0)).await, "Layer Version Cannot be less than 1");
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:l";
        let error =
            bed.run_as::<DeleteLayerVersion>(call_in("us-east-1", "111111111111"), request(arn, 1)).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("AccessDeniedException", 403));
    }
}
