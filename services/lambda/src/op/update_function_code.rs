//! Replaces a function's code.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html>
//! Deviations: an update that follows another waits for it, for at most two seconds; S3 and images are
//! refused. A dry run checks everything and shows what the function would be, its new CodeSha256 above all.
//! Errors: as CreateFunction, and ResourceNotFoundException, PreconditionFailedException.

use crate::api::{FunctionConfiguration, UpdateFunctionCode, UpdateFunctionCodeRequest};
use crate::code::check_zip_size;
use crate::error::{LambdaError, ParameterError};
use crate::lifecycle::check_revision;
use crate::model::{FunctionId, FunctionRecord, Package, Qualifier, Version};
use crate::output::{View, configuration};
use crate::rules::configuration::first_architecture;
use crate::rules::{self, name, runtime, unsupported};
use crate::{Lambda, op};
use bytes::Bytes;
use gust_kit::{Cx, Operation};

impl Operation for UpdateFunctionCode {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, mut input: UpdateFunctionCodeRequest) -> Result<FunctionConfiguration, LambdaError> {
        let service = &cx.service;
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "UpdateFunctionCode")?;
        let current =
            service.catalog.read(&id).await?.ok_or_else(|| LambdaError::FunctionNotFound { arn: id.arn() })?;
        unsupported::check_update_code(&input)?;
        let zip = source(&mut input)?;
        // The transaction decides; looking first spares unpacking a package in vain.
        check_revision(&current, input.revision_id.as_deref())?;
        let (machine, architecture) = (service.settings.machine, first_architecture(&input.architectures));
        let apply = move |record: &mut FunctionRecord, package: Package| -> Result<(), LambdaError> {
            if let Some(architecture) = architecture {
                runtime::check_architecture(architecture, &record.config.runtime, machine)?;
                record.config.architecture = architecture.to_owned();
            }
            record.package = package;
            Ok(())
        };
        if input.dry_run == Some(true) {
            return dry_run(cx, &id, current, zip, apply).await;
        }
        let (package, hold) = service.catalog.code().stage(zip).await?;
        let change = move |record: &mut FunctionRecord| apply(record, package.clone());
        let publication = (input.publish == Some(true)).then(|| service.publication(None));
        let changed =
            service.change_and_publish(id.clone(), input.revision_id, vec![hold], publication, change).await?;
        op::warn_of_architecture(&changed.latest.config, machine);
        Ok(match changed.published {
            None => configuration(&id, Version::Latest, &changed.latest, None, View::Full),
            Some((number, version)) => {
                let qualifier = Qualifier::Number(number);
                configuration(&id, Version::Number(number), &version, Some(&qualifier), View::Full)
            }
        })
    }
}

async fn dry_run(
    cx: &Cx<Lambda>,
    id: &FunctionId,
    mut record: FunctionRecord,
    zip: Bytes,
    apply: impl Fn(&mut FunctionRecord, Package) -> Result<(), LambdaError>,
) -> Result<FunctionConfiguration, LambdaError> {
    let package = cx.service.catalog.code().inspect(zip).await?;
    apply(&mut record, package)?;
    rules::layer::check_size(record.package.unzipped_bytes, &record.config.layers)?;
    Ok(configuration(id, Version::Latest, &record, None, View::Full))
}

fn source(input: &mut UpdateFunctionCodeRequest) -> Result<Bytes, LambdaError> {
    if input.image_uri.is_some() {
        return Err(ParameterError::ImageForZip.into());
    }
    let zip = input.zip_file.take().ok_or(ParameterError::CodeMissing)?;
    if input.s3_bucket.is_some() || input.s3_key.is_some() || input.s3_object_version.is_some() {
        return Err(ParameterError::CodeAmbiguous.into());
    }
    check_zip_size(&zip, "UpdateFunctionCode")?;
    Ok(zip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::LastUpdateStatus;
    use crate::tests::{Bed, Piece, Retired, function_id, zip_of};

    fn request(content: &[u8]) -> UpdateFunctionCodeRequest {
        let zip_file = Some(zip_of(&[Piece::File("app.py", 0o644, content)]));
        UpdateFunctionCodeRequest { function_name: "a".into(), zip_file, ..Default::default() }
    }

    #[tokio::test]
    async fn new_code_replaces_the_old() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let catalog = bed.lambda.catalog();
        let before = catalog.find(&function_id("a"), None).await.unwrap();
        bed.clock.advance_ms(1_000);
        let shown = bed.run::<UpdateFunctionCode>(request(b"new")).await.unwrap();
        assert_eq!(shown.last_update_status, Some(LastUpdateStatus::InProgress));
        assert_eq!(shown.last_update_status_reason.as_deref(), Some("The function is being created."));
        assert_eq!(shown.state, Some(crate::api::State::Active));
        assert_eq!(shown.last_modified.as_deref(), Some("2026-11-23T12:00:01.000+0000"));

        let after = catalog.find(&function_id("a"), None).await.unwrap();
        assert_ne!(after.revision_id, before.revision_id);
        assert_eq!(std::fs::read(after.code_dir.join("app.py")).unwrap(), b"new");
        assert!(before.code_dir.join("app.py").exists(), "requests in flight finish on the old code");
        assert_eq!(bed.invoker.retired(), [Retired { function: "a".into(), keep: Some(after.revision_id.clone()) }]);

        bed.lambda.settle_pending().await.unwrap();
        let record = catalog.read(&function_id("a")).await.unwrap().unwrap();
        assert!(!record.is_unsettled());
        assert_ne!(Some(record.revision_id), shown.revision_id);
        assert_eq!(record.deployment_id, after.revision_id, "settling replaces no environment");
        let old = before.code_dir.clone();
        drop(before);
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert!(!old.exists());
        assert_eq!(bed.usage().await.code_bytes, request(b"new").zip_file.unwrap().len() as u64);
    }

    #[tokio::test]
    async fn a_dry_run_shows_the_new_sum_and_changes_nothing() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let before = bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap();
        let dry = bed
            .run::<UpdateFunctionCode>(UpdateFunctionCodeRequest { dry_run: Some(true), ..request(b"new") })
            .await
            .unwrap();
        assert_eq!(bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap(), before);
        assert_eq!(bed.lambda.catalog().code().stored().await.unwrap().len(), 1);
        assert!(bed.invoker.retired().is_empty());
        let done = bed.run::<UpdateFunctionCode>(request(b"new")).await.unwrap();
        assert_eq!((dry.code_sha256, dry.code_size), (done.code_sha256, done.code_size));
        let bad = UpdateFunctionCodeRequest { dry_run: Some(true), zip_file: Some("x".into()), ..request(b"") };
        assert!(bed.refusal::<UpdateFunctionCode>(bad).await.starts_with("Could not unzip"));
    }

    #[tokio::test]
    async fn a_stale_revision_is_refused() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let revision_id = Some(bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap().revision_id);
        let with =
            |revision_id: Option<String>, content: &[u8]| UpdateFunctionCodeRequest { revision_id, ..request(content) };
        bed.run::<UpdateFunctionCode>(with(revision_id.clone(), b"1")).await.unwrap();
        bed.lambda.settle_pending().await.unwrap();
        let error = bed.run::<UpdateFunctionCode>(with(revision_id, b"2")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("PreconditionFailedException", 412));
        assert_eq!(
            error.message,
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        );
    }

    #[tokio::test]
    async fn of_two_updates_with_one_revision_one_wins() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let revision_id = Some(bed.lambda.catalog().read(&function_id("a")).await.unwrap().unwrap().revision_id);
        let with = |content: &[u8]| UpdateFunctionCodeRequest { revision_id: revision_id.clone(), ..request(content) };
        let (one, other) =
            tokio::join!(bed.run::<UpdateFunctionCode>(with(b"1")), bed.run::<UpdateFunctionCode>(with(b"2")));
        assert!(one.is_ok() != other.is_ok());
        assert_eq!(one.err().or(other.err()).unwrap().code, "PreconditionFailedException");
        bed.lambda.settle_pending().await.unwrap();
        assert_eq!(bed.lambda.collect().await.unwrap(), 0);
        assert_eq!(
            bed.lambda.catalog().code().stored().await.unwrap().len(),
            1,
            "old and refused packages are removed"
        );
    }

    #[tokio::test]
    async fn an_unsettled_function_is_not_updated() {
        let bed = Bed::new().await;
        bed.create_pending("a").await;
        let error = bed.run::<UpdateFunctionCode>(request(b"1")).await.unwrap_err();
        assert_eq!((error.code.as_ref(), error.status), ("ResourceConflictException", 409));
        assert!(error.message.ends_with("The function is currently in the following state: Pending"));
        bed.lambda.settle_pending().await.unwrap();
        bed.run::<UpdateFunctionCode>(request(b"1")).await.unwrap();
        let refusal = bed.refusal::<UpdateFunctionCode>(request(b"2")).await;
        assert_eq!(
            refusal,
            "The operation cannot be performed at this time. An update is in progress for resource: \
             arn:aws:lambda:us-east-1:000000000000:function:a"
        );
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        assert!(bed.refusal::<UpdateFunctionCode>(request(b"")).await.starts_with("Function not found: "));
        bed.create_active("a").await;
        let with = |change: fn(&mut UpdateFunctionCodeRequest)| {
            let mut input = request(b"x");
            change(&mut input);
            input
        };
        for (input, text) in [
            (with(|input| input.zip_file = None), "Please provide a source for function code."),
            (
                with(|input| input.image_uri = Some("i".into())),
                "Please don't provide ImageUri when updating a function with packageType Zip.",
            ),
            (
                with(|input| input.s3_key = Some("k".into())),
                "Please do not provide other FunctionCode parameters when providing a ZipFile.",
            ),
            (
                with(|input| (input.zip_file, input.s3_bucket) = (None, Some("b".into()))),
                "gust does not support S3Bucket: ",
            ),
            (with(|input| input.function_name = "a:1".into()), "This operation is permitted on Lambda functions only."),
        ] {
            let refusal = bed.refusal::<UpdateFunctionCode>(input).await;
            assert!(refusal.starts_with(text), "{refusal}");
        }
    }
}
