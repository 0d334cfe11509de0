//! Reading layers, showing them, and lending them to functions.

use crate::code::{Hold, base64_of_hex};
use crate::error::{AttachedError, LambdaError};
use crate::layer::{LayerId, LayerUse, LayerVersionRecord};
use crate::output::date;
use crate::rules::layer::{LayerWish, may_use, wishes};
use crate::{Lambda, api, keys};
use gust_kit::{Call, Cx};
use gust_store::Read;

impl Lambda {
    /// A version of a layer that the caller may read.
    ///
    /// Errors: AccessDenied for another account's that is not shared with the caller (whether it exists or not).
    pub async fn readable_layer_version(
        &self,
        call: &Call,
        id: &LayerId,
        version: u64,
    ) -> Result<Option<LayerVersionRecord>, LambdaError> {
        let record = self.layer_version(id, version).await?;
        let is_open = record.as_ref().is_some_and(|record| may_use(id, record, call));
        if id.account != *call.account() && !is_open {
            return Err(denied(call, "GetLayerVersion", id.version_arn(version)));
        }
        Ok(record)
    }

    /// A version of a layer, whosever it is.
    pub(crate) async fn layer_version(
        &self,
        id: &LayerId,
        version: u64,
    ) -> Result<Option<LayerVersionRecord>, LambdaError> {
        let key = keys::layer_version(id, version);
        let read = move |snapshot: &mut dyn Read| -> Result<_, LambdaError> {
            Ok(snapshot.get(&key)?.map(|bytes| keys::decode(&bytes)).transpose()?)
        };
        self.platform.store.read(read).await
    }

    /// The layers that a function asks for, merged on disk. The holds keep them there until the function is stored.
    ///
    /// Errors: InvalidParameterValueException, AccessDeniedException.
    pub async fn use_layers(&self, call: &Call, arns: &[String]) -> Result<(Vec<LayerUse>, Vec<Hold>), LambdaError> {
        let code = self.catalog.code();
        let (mut layers, mut holds) = (Vec::new(), Vec::new());
        for LayerWish { arn, id, version } in wishes(arns, call)? {
            let unknown = || AttachedError::LayerUnknown { arn: arn.clone() };
            let found = self.readable_layer_version(call, &id, version).await?.ok_or_else(unknown)?;
            holds.push(code.keep(&found.package.sha256).await);
            // Only what is still there once it is held stays there.
            let found = self.layer_version(&id, version).await?.ok_or_else(unknown)?;
            layers.push(LayerUse { arn, package: found.package });
        }
        if let Some(merged) = crate::layer::merged_name(&layers) {
            holds.push(code.keep(&merged).await);
        }
        code.restore_layers(&layers).await?;
        Ok((layers, holds))
    }
}

/// AWS's refusal for a layer of another account.
pub fn denied(call: &Call, action: &'static str, resource: String) -> LambdaError {
    LambdaError::AccessDenied { principal: call.principal.arn.clone(), action, resource }
}

/// Refuses a layer of another account: its policy can open it for reading only.
pub fn check_owned(id: &LayerId, call: &Call, action: &'static str, version: Option<u64>) -> Result<(), LambdaError> {
    if id.account == *call.account() {
        return Ok(());
    }
    Err(denied(call, action, version.map_or_else(|| id.arn(), |version| id.version_arn(version))))
}

/// The number in a request. Errors: it is none that a version can have.
pub fn version_number(number: i64) -> Result<u64, AttachedError> {
    u64::try_from(number).ok().filter(|number| *number > 0).ok_or(AttachedError::LayerVersionTooSmall)
}

/// A version as GetLayerVersion shows it, with a link to its zip.
pub fn shown(cx: &Cx<Lambda>, id: &LayerId, version: u64, record: &LayerVersionRecord) -> api::GetLayerVersionResponse {
    let package = &record.package;
    let item = listed(id, version, record);
    api::GetLayerVersionResponse {
        content: Some(api::LayerVersionContentOutput {
            location: Some(cx.service.links.link(&cx.call.origin, &package.sha256, cx.now_ms())),
            code_sha256: Some(base64_of_hex(&package.sha256)),
            code_size: i64::try_from(package.zip_bytes).ok(),
            ..Default::default()
        }),
        layer_arn: Some(id.arn()),
        layer_version_arn: item.layer_version_arn,
        description: item.description,
        created_date: item.created_date,
        version: item.version,
        compatible_architectures: item.compatible_architectures,
        compatible_runtimes: item.compatible_runtimes,
        license_info: item.license_info,
    }
}

/// A version as lists show it.
pub fn listed(id: &LayerId, version: u64, record: &LayerVersionRecord) -> api::LayerVersionsListItem {
    let runtimes: Vec<_> = record.runtimes.iter().filter_map(|name| api::Runtime::parse(name)).collect();
    let architectures: Vec<_> = record.architectures.iter().filter_map(|name| api::Architecture::parse(name)).collect();
    api::LayerVersionsListItem {
        layer_version_arn: Some(id.version_arn(version)),
        version: i64::try_from(version).ok(),
        description: Some(record.description.clone()),
        created_date: Some(date(record.created_at_ms)),
        compatible_architectures: Some(architectures).filter(|list| !list.is_empty()),
        compatible_runtimes: Some(runtimes).filter(|list| !list.is_empty()),
        license_info: record.license_info.clone(),
    }
}

/// What lists of layers are narrowed by.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Versions that name this runtime.
    pub runtime: Option<api::Runtime>,
    /// Versions that name this architecture.
    pub architecture: Option<api::Architecture>,
}

impl Filter {
    /// Whether a version names what is asked for (inferred: one that names nothing is not listed).
    pub fn fits(&self, record: &LayerVersionRecord) -> bool {
        let names =
            |list: &[String], wanted: Option<&str>| wanted.is_none_or(|wanted| list.iter().any(|it| it == wanted));
        names(&record.runtimes, self.runtime.map(|it| it.as_str()))
            && names(&record.architectures, self.architecture.map(|it| it.as_str()))
    }
}
