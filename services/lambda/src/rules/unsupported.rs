//! Members that AWS knows and gust cannot honour yet: each is refused by its name, unless its value asks for
//! nothing (`Publish: false`, an empty list), which clients send as a matter of course.

use crate::api::{
    CreateFunctionRequest, InvocationRequest, LayerVersionContentInput, PackageType, PublishVersionRequest, SnapStart,
    SnapStartApplyOn, UpdateFunctionCodeRequest, UpdateFunctionConfigurationRequest,
};
use crate::error::ParameterError;

/// One member: whether the request asks for something with it, its path, why it is refused.
type Row = (bool, &'static str, &'static str);

const LATEST_PUBLISHED: &str = "it is for functions on capacity providers, which do not exist.";
const FILE_SYSTEMS: &str = "file systems cannot be mounted.";
const IMAGES: &str = "container images cannot be run; use a zip.";
const SIGNING: &str = "code signing does not exist yet.";
const SNAPSHOTS: &str = "snapshots cannot be made.";
const CAPACITY: &str = "capacity providers do not exist.";
const DURABLE: &str = "durable functions do not exist yet.";
const OWN_RUNTIMES: &str = "customer-managed runtimes do not exist.";
const ACCELERATORS: &str = "accelerators cannot be given to a function.";
const BUCKETS: &str = "code in S3 cannot be read yet, because S3 does not exist yet; use ZipFile.";

fn refuse_first(rows: &[Row]) -> Result<(), ParameterError> {
    match rows.iter().find(|(asked, ..)| *asked) {
        Some((_, member, reason)) => Err(ParameterError::Unsupported { member, reason: (*reason).to_owned() }),
        None => Ok(()),
    }
}

/// Refuses what CreateFunction cannot honour.
pub fn check_create(input: &CreateFunctionRequest) -> Result<(), ParameterError> {
    let code = &input.code;
    refuse_first(&[
        (input.package_type == Some(PackageType::Image), "PackageType", IMAGES),
        (code.image_uri.is_some(), "Code.ImageUri", IMAGES),
        (input.image_config.is_some(), "ImageConfig", IMAGES),
        (code.s3_bucket.is_some() && code.zip_file.is_none(), "Code.S3Bucket", BUCKETS),
        (code.s3_key.is_some() && code.zip_file.is_none(), "Code.S3Key", BUCKETS),
        (asks(&code.source_kms_key_arn), "Code.SourceKMSKeyArn", "packages are not encrypted."),
        (input.publish_to.is_some(), "PublishTo", LATEST_PUBLISHED),
        (has_items(&input.file_system_configs), "FileSystemConfigs", FILE_SYSTEMS),
        (asks(&input.code_signing_config_arn), "CodeSigningConfigArn", SIGNING),
        (asks_for_snapshots(&input.snap_start), "SnapStart", SNAPSHOTS),
        (input.capacity_provider_config.is_some(), "CapacityProviderConfig", CAPACITY),
        (input.durable_config.is_some(), "DurableConfig", DURABLE),
        (input.runtime_config.is_some(), "RuntimeConfig", OWN_RUNTIMES),
        (input.accelerator_config.is_some(), "AcceleratorConfig", ACCELERATORS),
    ])
}

/// Refuses what PublishLayerVersion cannot honour.
pub fn check_layer_content(content: &LayerVersionContentInput) -> Result<(), ParameterError> {
    refuse_first(&[
        (content.s3_bucket.is_some() && content.zip_file.is_none(), "Content.S3Bucket", BUCKETS),
        (content.s3_key.is_some() && content.zip_file.is_none(), "Content.S3Key", BUCKETS),
    ])
}

/// Refuses what UpdateFunctionCode cannot honour.
pub fn check_update_code(input: &UpdateFunctionCodeRequest) -> Result<(), ParameterError> {
    refuse_first(&[
        (input.s3_bucket.is_some() && input.zip_file.is_none(), "S3Bucket", BUCKETS),
        (input.s3_key.is_some() && input.zip_file.is_none(), "S3Key", BUCKETS),
        (asks(&input.source_kms_key_arn), "SourceKMSKeyArn", "packages are not encrypted."),
        (input.publish_to.is_some(), "PublishTo", LATEST_PUBLISHED),
    ])
}

/// Refuses what UpdateFunctionConfiguration cannot honour.
pub fn check_update_configuration(input: &UpdateFunctionConfigurationRequest) -> Result<(), ParameterError> {
    refuse_first(&[
        (input.image_config.is_some(), "ImageConfig", IMAGES),
        (has_items(&input.file_system_configs), "FileSystemConfigs", FILE_SYSTEMS),
        (asks_for_snapshots(&input.snap_start), "SnapStart", SNAPSHOTS),
        (input.capacity_provider_config.is_some(), "CapacityProviderConfig", CAPACITY),
        (input.durable_config.is_some(), "DurableConfig", DURABLE),
        (input.runtime_config.is_some(), "RuntimeConfig", OWN_RUNTIMES),
        (input.accelerator_config.is_some(), "AcceleratorConfig", ACCELERATORS),
    ])
}

/// Refuses what PublishVersion cannot honour.
pub fn check_publish(input: &PublishVersionRequest) -> Result<(), ParameterError> {
    refuse_first(&[(input.publish_to.is_some(), "PublishTo", LATEST_PUBLISHED)])
}

/// Refuses what Invoke cannot honour.
pub fn check_invoke(input: &InvocationRequest) -> Result<(), ParameterError> {
    refuse_first(&[(input.durable_execution_name.is_some(), "DurableExecutionName", DURABLE)])
}

fn asks(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

fn has_items<T>(items: &Option<Vec<T>>) -> bool {
    items.as_ref().is_some_and(|items| !items.is_empty())
}

fn asks_for_snapshots(snap_start: &Option<SnapStart>) -> bool {
    snap_start.as_ref().is_some_and(|it| it.apply_on == Some(SnapStartApplyOn::PublishedVersions))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::FunctionVersionLatestPublished;

    #[track_caller]
    fn check(change: fn(&mut CreateFunctionRequest), member: Option<&str>) {
        let mut input = CreateFunctionRequest::default();
        change(&mut input);
        let refused = check_create(&input).err().map(|error| error.to_string());
        match member {
            Some(member) => {
                let start = format!("gust does not support {member}: ");
                assert!(refused.as_ref().is_some_and(|text| text.starts_with(&start)), "{refused:?}");
            }
            None => assert_eq!(refused, None),
        }
    }

    #[test]
    fn what_asks_for_nothing_is_let_through() {
        check(|_| {}, None);
        check(|input| input.publish = Some(true), None);
        check(|input| input.layers = Some(vec!["arn".into()]), None);
        check(|input| input.snap_start = Some(SnapStart { apply_on: Some(SnapStartApplyOn::None) }), None);
        check(|input| input.file_system_configs = Some(vec![]), None);
        check(|input| input.package_type = Some(PackageType::Zip), None);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        check(|input| input.publish_to = Some(FunctionVersionLatestPublished::LatestPublished), Some("PublishTo"));
        let snapshots = |input: &mut CreateFunctionRequest| {
            input.snap_start = Some(SnapStart { apply_on: Some(SnapStartApplyOn::PublishedVersions) });
        };
        check(snapshots, Some("SnapStart"));
        check(|input| input.package_type = Some(PackageType::Image), Some("PackageType"));
        check(|input| input.code.image_uri = Some("image".into()), Some("Code.ImageUri"));
        check(|input| input.code.s3_bucket = Some("bucket".into()), Some("Code.S3Bucket"));
        check(|input| input.durable_config = Some(Default::default()), Some("DurableConfig"));
        check(|input| input.capacity_provider_config = Some(Default::default()), Some("CapacityProviderConfig"));
        check(|input| input.accelerator_config = Some(Default::default()), Some("AcceleratorConfig"));
        check(|input| input.runtime_config = Some(Default::default()), Some("RuntimeConfig"));
        check(|input| input.image_config = Some(Default::default()), Some("ImageConfig"));
        check(|input| input.code_signing_config_arn = Some("arn".into()), Some("CodeSigningConfigArn"));
    }

    #[test]
    fn updates_and_invocations_are_held_to_the_same() {
        let publish_to = Some(FunctionVersionLatestPublished::LatestPublished);
        let code = UpdateFunctionCodeRequest { publish_to, ..Default::default() };
        assert!(check_update_code(&code).unwrap_err().to_string().contains("PublishTo"));
        let publish = PublishVersionRequest { publish_to, ..Default::default() };
        assert!(check_publish(&publish).unwrap_err().to_string().contains("PublishTo"));
        let image = UpdateFunctionConfigurationRequest { image_config: Some(Default::default()), ..Default::default() };
        assert!(check_update_configuration(&image).unwrap_err().to_string().contains("ImageConfig"));
        let durable = InvocationRequest { durable_execution_name: Some("a".into()), ..Default::default() };
        assert!(check_invoke(&durable).unwrap_err().to_string().contains("DurableExecutionName"));
    }
}
