//! Publishes what `$LATEST` is as a version with a number of its own, which never changes again.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>
//! Without a change since the last version, that one is the answer, whatever description the request gives. Numbers are
//! never given again, not even to a function that is made again under the same name:
//! <https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html>.
//! Deviations: an update that is not through is waited for, for at most two seconds; PublishTo is refused.
//! Errors: ResourceNotFoundException, InvalidParameterValueException, ResourceConflictException,
//! PreconditionFailedException, CodeStorageExceededException.

use crate::Lambda;
use crate::api::{FunctionConfiguration, PublishVersion, PublishVersionRequest};
use crate::error::LambdaError;
use crate::model::{Qualifier, Version};
use crate::output::{View, configuration};
use crate::publish::PublishRequest;
use crate::rules::{name, unsupported};
use gust_kit::{Cx, Operation};

impl Operation for PublishVersion {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: PublishVersionRequest) -> Result<FunctionConfiguration, LambdaError> {
        unsupported::check_publish(&input)?;
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "PublishVersion")?;
        let request = PublishRequest {
            description: input.description,
            code_sha256: input.code_sha256,
            revision_id: input.revision_id,
        };
        let (number, version) = cx.service.publish(id.clone(), request).await?;
        let qualifier = Qualifier::Number(number);
        Ok(configuration(&id, Version::Number(number), &version, Some(&qualifier), View::Full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        CreateFunction, GetFunctionConfiguration, GetFunctionConfigurationRequest, LastUpdateStatus, State,
        UpdateFunctionConfiguration, UpdateFunctionConfigurationRequest,
    };
    use crate::limits;
    use crate::tests::{Bed, create_request, function_id};

    fn request(name: &str) -> PublishVersionRequest {
        PublishVersionRequest { function_name: name.into(), ..Default::default() }
    }

    async fn shown(bed: &Bed, name: &str) -> FunctionConfiguration {
        let input = GetFunctionConfigurationRequest { function_name: name.into(), ..Default::default() };
        bed.run::<GetFunctionConfiguration>(input).await.unwrap()
    }

    #[tokio::test]
    async fn a_version_is_what_latest_was() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let latest = shown(&bed, "a").await;
        let mut input = request("a");
        input.description = Some("first".into());
        let first = bed.run::<PublishVersion>(input).await.unwrap();
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:a:1";
        assert_eq!((first.version.as_deref(), first.function_arn.as_deref()), (Some("1"), Some(arn)));
        assert_eq!((first.state, first.last_update_status), (Some(State::Active), Some(LastUpdateStatus::Successful)));
        assert_ne!(first.revision_id, latest.revision_id);
        let expected = FunctionConfiguration {
            version: Some("1".into()),
            function_arn: Some(arn.into()),
            description: Some("first".into()),
            revision_id: first.revision_id.clone(),
            ..latest.clone()
        };
        assert_eq!(first, expected);
        assert_eq!(shown(&bed, "a").await, latest, "publishing changes nothing of $LATEST");

        let change = UpdateFunctionConfigurationRequest {
            function_name: "a".into(),
            memory_size: Some(512),
            ..Default::default()
        };
        bed.run::<UpdateFunctionConfiguration>(change).await.unwrap();
        bed.lambda.settle_pending().await.unwrap();
        assert_eq!(shown(&bed, "a:1").await, first);
        assert_eq!(shown(&bed, "a").await.memory_size, Some(512));
        let spec = bed.lambda.catalog().find(&function_id("a"), Some(&Qualifier::Number(1))).await.unwrap();
        assert_eq!(spec.memory_mb, 128);
        assert_eq!(bed.publish("a").await.version.as_deref(), Some("2"));
    }

    #[tokio::test]
    async fn without_a_change_the_last_version_is_the_answer() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let mut input = request("a");
        input.description = Some("first".into());
        let first = bed.run::<PublishVersion>(input.clone()).await.unwrap();
        let usage = bed.usage().await;
        input.description = Some("another".into());
        assert_eq!(bed.run::<PublishVersion>(input).await.unwrap(), first);
        // The same code again is no change either.
        let (content, name) = (&b"def handler(event, context):\n    return event\n"[..], "a");
        bed.update_code(name, content).await;
        assert_eq!(bed.publish("a").await, first);
        assert_eq!(bed.usage().await, usage);
        bed.update_code("a", b"two").await;
        assert_eq!(bed.publish("a").await.version.as_deref(), Some("2"));
        // What went back to an earlier version is new compared with the last one.
        bed.update_code("a", content).await;
        assert_eq!(bed.publish("a").await.version.as_deref(), Some("3"));
    }

    #[tokio::test]
    async fn a_version_keeps_its_layers() {
        use crate::api::PublishLayerVersion;
        use crate::tests::layer_request;
        let bed = Bed::new().await;
        let layer = bed.run::<PublishLayerVersion>(layer_request("l", &[("x", b"1")])).await.unwrap();
        let mut input = create_request("a");
        input.layers = Some(vec![layer.layer_version_arn.unwrap()]);
        bed.run::<CreateFunction>(input).await.unwrap();
        bed.lambda.settle_pending().await.unwrap();
        bed.publish("a").await;
        let without = UpdateFunctionConfigurationRequest {
            function_name: "a".into(),
            layers: Some(Vec::new()),
            ..Default::default()
        };
        bed.run::<UpdateFunctionConfiguration>(without).await.unwrap();
        bed.lambda.settle_pending().await.unwrap();
        let gone = crate::api::DeleteLayerVersionRequest { layer_name: "l".into(), version_number: 1 };
        bed.run::<crate::api::DeleteLayerVersion>(gone).await.unwrap();
        bed.lambda.collect().await.unwrap();
        let spec = bed.lambda.catalog().find(&function_id("a"), Some(&Qualifier::Number(1))).await.unwrap();
        let folder = spec.layers_dir.clone().unwrap();
        assert!(folder.join("x").exists());
        assert_eq!(bed.lambda.catalog().find(&function_id("a"), None).await.unwrap().layers_dir, None);
        drop(spec);
        bed.lambda.remove_version(function_id("a"), 1).await.unwrap();
        bed.lambda.collect().await.unwrap();
        assert!(!folder.exists(), "nobody uses the layer any more");
    }

    #[tokio::test]
    async fn numbers_of_deleted_versions_are_not_given_again() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        bed.lambda.remove_version(function_id("a"), 1).await.unwrap();
        assert_eq!(bed.publish("a").await.version.as_deref(), Some("2"), "nothing is left to compare with");
    }

    #[tokio::test]
    async fn of_many_at_a_time_one_makes_the_version() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let all = futures_util::future::join_all((0..8).map(|_| bed.run::<PublishVersion>(request("a")))).await;
        assert!(all.iter().all(|one| one.as_ref().unwrap().version.as_deref() == Some("1")));
        assert_eq!(bed.usage().await.code_bytes, 2 * create_request("a").code.zip_file.unwrap().len() as u64);
    }

    #[tokio::test]
    async fn create_and_update_publish_too() {
        let bed = Bed::new().await;
        let mut input = create_request("a");
        input.publish = Some(true);
        let created = bed.run::<CreateFunction>(input).await.unwrap();
        // Recorded from AWS: the function's ARN, the version's number.
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:a";
        assert_eq!((created.version.as_deref(), created.function_arn.as_deref()), (Some("1"), Some(arn)));
        assert_eq!(shown(&bed, "a:1").await.state, Some(State::Pending));
        bed.lambda.settle_pending().await.unwrap();
        let first = shown(&bed, "a:1").await;
        assert_eq!((first.state, first.last_update_status), (Some(State::Active), Some(LastUpdateStatus::Successful)));
        assert_eq!(bed.publish("a").await, first);

        let update = crate::api::UpdateFunctionCodeRequest {
            function_name: "a".into(),
            zip_file: Some(bed.zip_of("two")),
            publish: Some(true),
            ..Default::default()
        };
        let second = bed.run::<crate::api::UpdateFunctionCode>(update).await.unwrap();
        assert_eq!((second.version.as_deref(), second.function_arn), (Some("2"), Some(format!("{arn}:2"))));
        assert_eq!((second.state, second.last_update_status), (Some(State::Pending), None));
        let latest = shown(&bed, "a").await;
        assert_eq!(latest.last_update_status, Some(LastUpdateStatus::InProgress));
        let again = bed.restarted().await;
        again.lambda.settle_pending().await.unwrap();
        let second = shown(&again, "a:2").await;
        assert_eq!(
            (second.state, second.last_update_status),
            (Some(State::Active), Some(LastUpdateStatus::Successful))
        );
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let missing = bed.refusal::<PublishVersion>(request("a")).await;
        assert_eq!(missing, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:a");
        bed.create_pending("a").await;
        let error = bed.run::<PublishVersion>(request("a")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("ResourceConflictException", 409));
        bed.lambda.settle_pending().await.unwrap();
        let with = |change: fn(&mut PublishVersionRequest)| {
            let mut input = request("a");
            change(&mut input);
            input
        };
        let current = shown(&bed, "a").await.code_sha256.unwrap();
        let refusal = bed.refusal::<PublishVersion>(with(|input| input.code_sha256 = Some("other".into()))).await;
        let expected = format!(
            "CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({current}). Please try again with the CodeSHA256 in $LATEST."
        );
        assert_eq!(refusal, expected);
        let stale = with(|input| input.revision_id = Some("stale".into()));
        let error = bed.run::<PublishVersion>(stale).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("PreconditionFailedException", 412));
        let refusal = bed.refusal::<PublishVersion>(with(|input| input.function_name = "a:1".into())).await;
        assert!(refusal.starts_with("This operation is permitted on Lambda functions only."), "{refusal}");
        bed.set_code_bytes(limits::CODE_STORAGE_BYTES_MAX).await;
        let error = bed.run::<PublishVersion>(request("a")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("CodeStorageExceededException", 400));
    }
}
