//! Which versions an alias may lead to.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html>: one other version, both of
//! them published, in the same role. (Dead-letter queues have to be the same too; there are none yet.)

use crate::api::AliasRoutingConfiguration;
use crate::error::{LambdaError, ParameterError};
use crate::limits;
use crate::lookup;
use crate::model::{AliasRecord, FunctionId, Qualifier, Version};
use gust_store::Read;

/// A version and its share.
pub type Additional = (u64, f64);

/// The version that `text` names for an alias of `id`.
///
/// Errors: ResourceNotFoundException for what cannot be a version.
pub fn version(id: &FunctionId, text: &str) -> Result<Option<u64>, LambdaError> {
    match Qualifier::parse(text) {
        Qualifier::Latest => Ok(None),
        Qualifier::Number(number) => Ok(Some(number)),
        qualifier => Err(LambdaError::FunctionNotFound { arn: id.qualified_arn(Some(&qualifier)) }),
    }
}

/// The other version that a routing configuration names; an empty one names none.
///
/// Errors: more than one, or one that cannot be a version.
pub fn additional(
    id: &FunctionId,
    routing: Option<&AliasRoutingConfiguration>,
) -> Result<Option<Additional>, LambdaError> {
    let Some(weights) = routing.and_then(|routing| routing.additional_version_weights.as_ref()) else {
        return Ok(None);
    };
    if weights.len() > limits::ADDITIONAL_VERSIONS_MAX {
        return Err(ParameterError::TooManyVersionWeights.into());
    }
    match weights.iter().next() {
        None => Ok(None),
        Some((text, share)) => Ok(version(id, text)?.map(|number| (number, *share))),
    }
}

/// Checks an alias as it is to be: its versions differ, exist and may share it.
pub fn check(read: &mut (impl Read + ?Sized), id: &FunctionId, alias: &AliasRecord) -> Result<(), LambdaError> {
    if let Some((other, _)) = alias.additional {
        match alias.number {
            None => return Err(LambdaError::LatestWithRouting),
            Some(number) if number == other => {
                return Err(ParameterError::VersionRoutedTwice { version: number }.into());
            }
            Some(_) => {}
        }
    }
    let mut role_of = |version: Version| -> Result<String, LambdaError> {
        let record = lookup::record(read, id, version)?;
        let qualifier = Qualifier::from(version);
        let missing = || LambdaError::FunctionNotFound { arn: id.qualified_arn(Some(&qualifier)) };
        Ok(record.ok_or_else(missing)?.config.role)
    };
    let role = role_of(alias.version())?;
    match alias.additional {
        Some((other, _)) if role_of(Version::Number(other))? != role => Err(ParameterError::RoutedRolesDiffer.into()),
        _ => Ok(()),
    }
}
