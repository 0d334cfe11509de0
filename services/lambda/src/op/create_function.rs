//! Creates a function from a zip.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>
//! Deviations: the package is unpacked before the answer, so that Pending lasts only as long as one more write; the
//! role is not checked with `--auth open`; S3, images and what else `rules/unsupported.rs` lists are refused.
//! Errors: InvalidParameterValueException, ValidationException, ResourceConflictException,
//! CodeStorageExceededException, RequestEntityTooLargeException.

use crate::api::{CreateFunction, CreateFunctionRequest, FunctionConfiguration};
use crate::code::check_zip_size;
use crate::error::{LambdaError, ParameterError};
use crate::model::{FunctionRecord, LastUpdate, State, Version};
use crate::output::{View, configuration};
use crate::rules::{self, name, tags, unsupported};
use crate::{Lambda, op};
use bytes::Bytes;
use gust_kit::{Cx, Operation};

impl Operation for CreateFunction {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, mut input: CreateFunctionRequest) -> Result<FunctionConfiguration, LambdaError> {
        let service = &cx.service;
        let id = name::resolve_new(&input.function_name, &cx.call)?;
        unsupported::check_create(&input)?;
        let mut config = rules::configuration::create(&input, &id.name, service.settings.machine)?;
        op::warn_of_architecture(&config, service.settings.machine);
        let tags = input.tags.take().unwrap_or_default();
        tags::check(&tags)?;
        let zip = source(&mut input)?;
        // The transaction decides; looking first spares unpacking a package for a name that is taken.
        if service.catalog.read(&id).await?.is_some() {
            return Err(LambdaError::FunctionExists { name: id.name.to_string() });
        }
        service.check_role(&config.role, &id.arn()).await?;
        service.check_dead_letters(&id, &config).await?;
        let (layers, mut holds) = service.use_layers(&cx.call, input.layers.as_deref().unwrap_or_default()).await?;
        let (package, hold) = service.catalog.code().stage(zip).await?;
        rules::layer::check_size(package.unzipped_bytes, &layers)?;
        holds.push(hold);
        config.layers = layers;
        let platform = cx.platform();
        let record = FunctionRecord {
            revision_id: platform.uuid(),
            deployment_id: platform.uuid(),
            modified_at_ms: platform.now_ms(),
            state: State::Pending,
            last_update: LastUpdate::None,
            config,
            package,
            tags,
        };
        let mut answer = configuration(&id, Version::Latest, &record, None, View::Created);
        let publication = (input.publish == Some(true)).then(|| service.publication(None));
        // AWS names the version that was published, but shows the ARN of the function.
        if let Some(number) = service.insert(id, record, holds, publication).await? {
            answer.version = Some(number.to_string());
        }
        Ok(answer)
    }
}

fn source(input: &mut CreateFunctionRequest) -> Result<Bytes, LambdaError> {
    let code = &mut input.code;
    let zip = code.zip_file.take().ok_or(ParameterError::CodeMissing)?;
    if code.s3_bucket.is_some() || code.s3_key.is_some() || code.s3_object_version.is_some() {
        return Err(ParameterError::CodeAmbiguous.into());
    }
    check_zip_size(&zip, "CreateFunction")?;
    Ok(zip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{self, GetFunctionConfiguration, GetFunctionConfigurationRequest};
    use crate::limits;
    use crate::tests::{Bed, Piece, create_request, function_id, zip_of};

    #[tokio::test]
    async fn the_answer_is_complete() {
        let bed = Bed::new().await;
        let mut input = create_request("thumbs");
        input.environment = Some(api::Environment { variables: Some([("KEY".to_owned(), "1".to_owned())].into()) });
        let zip_bytes = input.code.zip_file.as_ref().unwrap().len() as i64;
        let answer = bed.run::<CreateFunction>(input).await.unwrap();
        let expected = FunctionConfiguration {
            function_name: Some("thumbs".into()),
            function_arn: Some("arn:aws:lambda:us-east-1:000000000000:function:thumbs".into()),
            runtime: Some(api::Runtime::Python3_12),
            role: Some("arn:aws:iam::000000000000:role/r".into()),
            handler: Some("app.handler".into()),
            code_size: Some(zip_bytes),
            description: Some(String::new()),
            timeout: Some(3),
            memory_size: Some(128),
            last_modified: Some("2026-11-23T12:00:00.000+0000".into()),
            code_sha256: answer.code_sha256.clone(),
            version: Some("$LATEST".into()),
            environment: Some(api::EnvironmentResponse {
                variables: Some([("KEY".to_owned(), "1".to_owned())].into()),
                error: None,
            }),
            tracing_config: Some(api::TracingConfigResponse { mode: Some(api::TracingMode::PassThrough) }),
            revision_id: answer.revision_id.clone(),
            state: Some(api::State::Pending),
            state_reason: Some("The function is being created.".into()),
            state_reason_code: Some(api::StateReasonCode::Creating),
            package_type: Some(api::PackageType::Zip),
            architectures: Some(vec![api::Architecture::X86_64]),
            ephemeral_storage: Some(api::EphemeralStorage { size: 512 }),
            snap_start: Some(api::SnapStartResponse {
                apply_on: Some(api::SnapStartApplyOn::None),
                optimization_status: Some(api::SnapStartOptimizationStatus::Off),
            }),
            runtime_version_config: answer.runtime_version_config.clone(),
            logging_config: Some(api::LoggingConfig {
                log_format: Some(api::LogFormat::Text),
                log_group: Some("/aws/lambda/thumbs".into()),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert_eq!(answer, expected);
        assert_eq!(answer.code_sha256.unwrap().len(), 44);
        assert_eq!(answer.revision_id.unwrap().len(), 36);
        let arn = answer.runtime_version_config.unwrap().runtime_version_arn.unwrap();
        assert!(arn.starts_with("arn:aws:lambda:us-east-1::runtime:"), "{arn}");
    }

    #[tokio::test]
    async fn a_function_is_pending_and_then_active() {
        let bed = Bed::new().await;
        let created = bed.run::<CreateFunction>(create_request("a")).await.unwrap();
        let get = || GetFunctionConfigurationRequest { function_name: "a".into(), ..Default::default() };
        let pending = bed.run::<GetFunctionConfiguration>(get()).await.unwrap();
        assert_eq!(pending, created);
        assert_eq!(bed.lambda.settle_pending().await.unwrap(), 1);
        let active = bed.run::<GetFunctionConfiguration>(get()).await.unwrap();
        assert_eq!((active.state, active.state_reason), (Some(api::State::Active), None));
        assert_eq!(active.last_update_status, Some(api::LastUpdateStatus::Successful));
        assert_ne!(active.revision_id, created.revision_id);
        assert_eq!(active.last_modified, created.last_modified);
        assert_eq!(bed.lambda.settle_pending().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_worker_settles_by_itself_and_after_a_restart() {
        let bed = Bed::new().await;
        bed.run::<CreateFunction>(create_request("a")).await.unwrap();
        let again = bed.restarted().await;
        let worker = tokio::spawn(again.lambda.clone().work());
        let record = again.lambda.catalog().wait_until_settled(&function_id("a")).await.unwrap().unwrap();
        assert_eq!(record.state, State::Active);
        again.run::<CreateFunction>(create_request("b")).await.unwrap();
        let record = again.lambda.catalog().wait_until_settled(&function_id("b")).await.unwrap().unwrap();
        assert_eq!(record.state, State::Active);
        worker.abort();
    }

    #[tokio::test]
    async fn a_function_whose_package_was_lost_fails() {
        let bed = Bed::new().await;
        bed.run::<CreateFunction>(create_request("a")).await.unwrap();
        let package = bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap().package.sha256;
        bed.lambda.catalog().code().claim_removal(&package).unwrap().carry_out().await.unwrap();
        bed.lambda.settle_pending().await.unwrap();
        let record = bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap();
        assert!(matches!(record.state, State::Failed { .. }));
    }

    #[tokio::test]
    async fn a_name_is_given_once() {
        let bed = Bed::new().await;
        let (one, other) = tokio::join!(
            bed.run::<CreateFunction>(create_request("a")),
            bed.run::<CreateFunction>(create_request("a"))
        );
        assert!(one.is_ok() != other.is_ok());
        let error = one.err().or(other.err()).unwrap();
        assert_eq!((error.code.as_ref(), error.status), ("ResourceConflictException", 409));
        assert_eq!(error.message, "Function already exist: a");
        assert_eq!(bed.refusal::<CreateFunction>(create_request("a")).await, "Function already exist: a");
        assert_eq!(bed.usage().await.functions, 1);
    }

    #[tokio::test]
    async fn code_has_to_be_a_zip_and_nothing_else() {
        let bed = Bed::new().await;
        let with = |zip: Option<Bytes>| {
            let mut input = create_request("a");
            input.code.zip_file = zip;
            input
        };
        let refusal = bed.refusal::<CreateFunction>(with(None)).await;
        assert_eq!(refusal, "Please provide a source for function code.");
        let refusal = bed.refusal::<CreateFunction>(with(Some(Bytes::new()))).await;
        assert_eq!(refusal, "Uploaded file must be a non-empty zip");
        let refusal = bed.refusal::<CreateFunction>(with(Some(zip_of(&[])))).await;
        assert_eq!(refusal, "Uploaded file must be a non-empty zip");
        for zip in [Bytes::from_static(b"no zip"), zip_of(&[Piece::File("../x", 0o644, b"x")])] {
            let refusal = bed.refusal::<CreateFunction>(with(Some(zip))).await;
            assert_eq!(refusal, "Could not unzip uploaded file. Please check your file, then try to upload again.");
        }
        let refusal = bed.refusal::<CreateFunction>(with(Some(vec![0; limits::ZIP_BYTES_MAX + 1].into()))).await;
        assert_eq!(refusal, "Request must be smaller than 70167211 bytes for the CreateFunction operation");
        let mut both = create_request("a");
        both.code.s3_bucket = Some("bucket".into());
        let refusal = bed.refusal::<CreateFunction>(both).await;
        assert_eq!(refusal, "Please do not provide other FunctionCode parameters when providing a ZipFile.");
        let mut bucket = with(None);
        bucket.code.s3_bucket = Some("bucket".into());
        assert!(bed.refusal::<CreateFunction>(bucket).await.starts_with("gust does not support Code.S3Bucket: "));
        assert_eq!(bed.usage().await, Default::default());
        assert!(bed.lambda.catalog().code().stored().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn tags_are_checked_and_kept() {
        let bed = Bed::new().await;
        let mut input = create_request("a");
        input.tags = Some((0..51).map(|n| (format!("k{n}"), String::new())).collect());
        assert_eq!(bed.refusal::<CreateFunction>(input.clone()).await, "Number of tags exceeds resource tag limit.");
        input.tags.as_mut().unwrap().pop_last();
        bed.run::<CreateFunction>(input).await.unwrap();
        assert_eq!(bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap().tags.len(), 50);
    }

    #[tokio::test]
    async fn the_sum_of_all_packages_is_bounded() {
        let bed = Bed::new().await;
        bed.set_code_bytes(limits::CODE_STORAGE_BYTES_MAX).await;
        let error = bed.run::<CreateFunction>(create_request("a")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("CodeStorageExceededException", 400));
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert!(bed.lambda.catalog().code().stored().await.unwrap().is_empty(), "the refused package is removed");
    }

    #[tokio::test]
    async fn where_roles_count_lambda_must_be_able_to_assume_them() {
        let bed = Bed::with_roles().await;
        let message = "The role defined for the function cannot be assumed by Lambda.";
        let request = |role: &str| CreateFunctionRequest { role: role.to_owned(), ..create_request("a") };
        assert_eq!(bed.refusal::<CreateFunction>(request("arn:aws:iam::000000000000:role/none")).await, message);
        bed.run::<CreateFunction>(request(crate::tests::TRUSTING_ROLE)).await.unwrap();
        bed.lambda.settle_pending().await.unwrap();
        let update = |role: &str| api::UpdateFunctionConfigurationRequest {
            function_name: "a".to_owned(),
            role: Some(role.to_owned()),
            ..Default::default()
        };
        let none = update("arn:aws:iam::000000000000:role/none");
        assert_eq!(bed.refusal::<api::UpdateFunctionConfiguration>(none).await, message);
        bed.run::<api::UpdateFunctionConfiguration>(update(crate::tests::TRUSTING_ROLE)).await.unwrap();
    }
}
