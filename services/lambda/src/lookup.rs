//! What a function's name and qualifier lead to, as it is stored at one point in time.

use crate::error::LambdaError;
use crate::keys;
use crate::model::{AliasRecord, FunctionId, FunctionRecord, Qualifier, Version, VersionRecord};
use gust_store::Read;

/// A version that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Which one it is.
    pub version: Version,
    /// The alias that led to it, if one did.
    pub alias: Option<AliasRecord>,
    /// What is stored of it.
    pub record: FunctionRecord,
}

/// Finds what `qualifier` leads to; `choose` picks an alias's version. `None` if there is no such function, version or
/// alias.
pub fn find(
    read: &mut dyn Read,
    id: &FunctionId,
    qualifier: Option<&Qualifier>,
    choose: impl Fn(&AliasRecord) -> Version,
) -> Result<Option<Found>, LambdaError> {
    let (version, alias) = match qualifier {
        None | Some(Qualifier::Latest) => (Version::Latest, None),
        Some(Qualifier::Number(number)) => (Version::Number(*number), None),
        Some(Qualifier::Alias(name)) => match alias(read, id, name)? {
            Some(alias) => (choose(&alias), Some(alias)),
            None => return Ok(None),
        },
        Some(Qualifier::Other(_)) => return Ok(None),
    };
    let record = record(read, id, version)?;
    Ok(record.map(|record| Found { version, alias, record }))
}

/// A version of a function; `None` if there is none.
pub fn record(
    read: &mut (impl Read + ?Sized),
    id: &FunctionId,
    version: Version,
) -> Result<Option<FunctionRecord>, LambdaError> {
    match version {
        Version::Latest => Ok(read.get(&keys::function(id))?.map(|bytes| keys::decode(&bytes)).transpose()?),
        Version::Number(number) => Ok(published(read, id, number)?.map(|version| version.function)),
    }
}

/// A published version; `None` if there is none.
pub fn published(
    read: &mut (impl Read + ?Sized),
    id: &FunctionId,
    number: u64,
) -> Result<Option<VersionRecord>, LambdaError> {
    Ok(read.get(&keys::version(id, number))?.map(|bytes| keys::decode(&bytes)).transpose()?)
}

/// An alias; `None` if there is none.
pub fn alias(read: &mut (impl Read + ?Sized), id: &FunctionId, name: &str) -> Result<Option<AliasRecord>, LambdaError> {
    Ok(read.get(&keys::alias(id, name))?.map(|bytes| keys::decode(&bytes)).transpose()?)
}

/// The function's `$LATEST`.
///
/// Errors: ResourceNotFoundException that names `qualifier`.
pub fn latest(
    read: &mut (impl Read + ?Sized),
    id: &FunctionId,
    qualifier: Option<&Qualifier>,
) -> Result<FunctionRecord, LambdaError> {
    record(read, id, Version::Latest)?.ok_or_else(|| LambdaError::FunctionNotFound { arn: id.qualified_arn(qualifier) })
}
