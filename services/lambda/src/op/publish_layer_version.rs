//! Publishes a version of a layer, and makes the layer with its first.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html>
//! Deviations: content in S3 is refused until S3 exists.
//! Errors: InvalidParameterValueException, CodeStorageExceededException, RequestEntityTooLargeException.

use crate::api::{
    GetLayerVersionResponse, LayerVersionContentInput, PublishLayerVersion, PublishLayerVersionRequest,
    PublishLayerVersionResponse,
};
use crate::code::{Hold, check_zip_size};
use crate::error::{LambdaError, ParameterError};
use crate::layer::{LayerId, LayerRecord, LayerVersionRecord};
use crate::lifecycle::put_usage;
use crate::rules::{layer, unsupported};
use crate::task::to_the_end;
use crate::{Lambda, keys, layers, limits};
use bytes::Bytes;
use gust_kit::{Cx, Operation};
use gust_store::{Store, Tx};

impl Operation for PublishLayerVersion {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: PublishLayerVersionRequest,
    ) -> Result<PublishLayerVersionResponse, LambdaError> {
        let id = layer::resolve(&input.layer_name, &cx.call)?;
        layers::check_owned(&id, &cx.call, "PublishLayerVersion", None)?;
        let zip = source(input.content)?;
        let (package, hold) = cx.service.catalog.code().stage(zip).await?;
        let names = |list: Vec<&'static str>| list.into_iter().map(str::to_owned).collect();
        let record = LayerVersionRecord {
            description: input.description.unwrap_or_default(),
            license_info: input.license_info,
            runtimes: names(input.compatible_runtimes.unwrap_or_default().iter().map(|it| it.as_str()).collect()),
            architectures: names(
                input.compatible_architectures.unwrap_or_default().iter().map(|it| it.as_str()).collect(),
            ),
            created_at_ms: cx.now_ms(),
            package,
            statements: Vec::new(),
            policy_revision_id: cx.platform().uuid(),
        };
        let work = insert(cx.store().clone(), id.clone(), record.clone(), hold);
        let version = to_the_end(work).await?;
        Ok(published(layers::shown(cx, &id, version, &record)))
    }
}

fn source(content: LayerVersionContentInput) -> Result<Bytes, LambdaError> {
    unsupported::check_layer_content(&content)?;
    let zip = content.zip_file.ok_or(ParameterError::CodeMissing)?;
    if content.s3_bucket.is_some() || content.s3_key.is_some() || content.s3_object_version.is_some() {
        return Err(ParameterError::CodeAmbiguous.into());
    }
    check_zip_size(&zip, "PublishLayerVersion")?;
    Ok(zip)
}

/// Stores a version whose package is held; returns its number.
async fn insert(store: Store, id: LayerId, record: LayerVersionRecord, hold: Hold) -> Result<u64, LambdaError> {
    let inserted = move |tx: &mut dyn Tx| -> Result<u64, LambdaError> {
        let key = keys::layer(&id);
        let layer: Option<LayerRecord> = tx.get(&key)?.map(|bytes| keys::decode(&bytes)).transpose()?;
        let version = layer.unwrap_or_default().last_version + 1;
        let usage = put_usage(tx, &id.account, &id.region, |usage| usage.code_bytes += record.package.zip_bytes)?;
        if usage.code_bytes > limits::CODE_STORAGE_BYTES_MAX {
            return Err(LambdaError::CodeStorageExceeded);
        }
        tx.put(key, keys::encode(&LayerRecord { last_version: version }))?;
        tx.put(keys::layer_version(&id, version), keys::encode(&record))?;
        tx.put(keys::package_layer(&record.package.sha256, &id, version), Default::default())?;
        Ok(version)
    };
    let outcome = store.transact(inserted).await;
    drop(hold);
    Ok(outcome?.value)
}

fn published(shown: GetLayerVersionResponse) -> PublishLayerVersionResponse {
    PublishLayerVersionResponse {
        content: shown.content,
        layer_arn: shown.layer_arn,
        layer_version_arn: shown.layer_version_arn,
        description: shown.description,
        created_date: shown.created_date,
        version: shown.version,
        compatible_architectures: shown.compatible_architectures,
        compatible_runtimes: shown.compatible_runtimes,
        license_info: shown.license_info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Architecture, Runtime};
    use crate::tests::{Bed, Piece, layer_request, zip_of};

    #[tokio::test]
    async fn the_answer_is_complete_and_the_content_can_be_downloaded() {
        let bed = Bed::new().await;
        let input = PublishLayerVersionRequest {
            description: Some("tools".into()),
            compatible_runtimes: Some(vec![Runtime::Python3_12, Runtime::Nodejs20X]),
            compatible_architectures: Some(vec![Architecture::Arm64]),
            license_info: Some("MIT".into()),
            ..layer_request("l", &[("bin/tool", b"x")])
        };
        let zip = input.content.zip_file.clone().unwrap();
        let answer = bed.run::<PublishLayerVersion>(input).await.unwrap();
        let content = answer.content.unwrap();
        assert_eq!((content.code_size, content.code_sha256.unwrap().len()), (Some(zip.len() as i64), 44));
        let link = content.location.unwrap();
        assert_eq!(bed.lambda.download(link.strip_prefix("http://127.0.0.1:4566").unwrap()).await, Some(zip));
        assert_eq!(answer.layer_arn.as_deref(), Some("arn:aws:lambda:us-east-1:000000000000:layer:l"));
        assert_eq!(answer.layer_version_arn.as_deref(), Some("arn:aws:lambda:us-east-1:000000000000:layer:l:1"));
        assert_eq!((answer.version, answer.description.as_deref()), (Some(1), Some("tools")));
        assert_eq!(answer.created_date.as_deref(), Some("2026-11-23T12:00:00.000+0000"));
        assert_eq!(answer.compatible_runtimes, Some(vec![Runtime::Python3_12, Runtime::Nodejs20X]));
        assert_eq!(answer.compatible_architectures, Some(vec![Architecture::Arm64]));
        assert_eq!(answer.license_info.as_deref(), Some("MIT"));
    }

    #[tokio::test]
    async fn versions_count_up_by_name_and_by_arn() {
        let bed = Bed::new().await;
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:l";
        for (name, version) in [("l", 1), ("l", 2), (arn, 3), ("other", 1)] {
            let answer = bed.run::<PublishLayerVersion>(layer_request(name, &[("a", b"x")])).await.unwrap();
            assert_eq!(answer.version, Some(version));
            assert_eq!(answer.description.as_deref(), Some(""));
            assert_eq!((answer.compatible_runtimes, answer.license_info), (None, None));
        }
        assert_eq!(bed.lambda.catalog().code().stored().await.unwrap().len(), 1, "equal content is stored once");
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert_eq!(bed.lambda.catalog().code().stored().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn at_once_published_versions_have_numbers_of_their_own() {
        let bed = Bed::new().await;
        let published = futures_util::future::join_all(
            (0..8).map(|_| bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")]))),
        );
        let mut numbers: Vec<_> = published.await.into_iter().map(|it| it.unwrap().version.unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let with = |zip: Option<Bytes>| {
            let mut input = layer_request("l", &[]);
            input.content.zip_file = zip;
            input
        };
        for (zip, text) in [
            (None, "Please provide a source for function code."),
            (Some(Bytes::new()), "Uploaded file must be a non-empty zip"),
            (
                Some(Bytes::from_static(b"no zip")),
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            ),
            (
                Some(zip_of(&[Piece::File("../a", 0o644, b"")])),
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            ),
            (
                Some(vec![0; limits::ZIP_BYTES_MAX + 1].into()),
                "Request must be smaller than 70167211 bytes for the PublishLayerVersion operation",
            ),
        ] {
            assert_eq!(bed.refusal::<PublishLayerVersion>(with(zip)).await, text);
        }
        let mut bucket = with(None);
        bucket.content.s3_bucket = Some("bucket".into());
        assert!(
            bed.refusal::<PublishLayerVersion>(bucket).await.starts_with("gust does not support Content.S3Bucket: ")
        );
        let mut foreign = layer_request("l", &[("a", b"x")]);
        foreign.layer_name = "arn:aws:lambda:us-east-1:111111111111:layer:l".into();
        let error = bed.run::<PublishLayerVersion>(foreign).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("AccessDeniedException", 403));
        bed.set_code_bytes(limits::CODE_STORAGE_BYTES_MAX).await;
        let error = bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap_err();
        assert_eq!(error.code.as_ref(), "CodeStorageExceededException");
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert!(bed.lambda.catalog().code().stored().await.unwrap().is_empty());
    }
}
