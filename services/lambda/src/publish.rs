//! Published versions: made from `$LATEST` in the transaction that also counts them, and deleted one by one.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html>

use crate::code::base64_of_hex;
use crate::error::{LambdaError, ParameterError};
use crate::keys::{self, LastVersion};
use crate::lifecycle::{add_code, check_revision, check_settled, put_usage, replace_packages, stored};
use crate::model::{AliasRecord, FunctionId, FunctionRecord, LastUpdate, Qualifier, State, Version, VersionRecord};
use crate::task::to_the_end;
use crate::{Lambda, attached, limits, lookup};
use gust_store::{Order, Range, Tx};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a published version gets of its own.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The version's RevisionId.
    pub revision_id: String,
    /// Its environments are no other version's.
    pub deployment_id: String,
    /// Its description, if not that of `$LATEST`.
    pub description: Option<String>,
}

/// A request to publish what `$LATEST` is.
#[derive(Debug, Clone, Default)]
pub struct PublishRequest {
    /// The version's description, if not that of `$LATEST`.
    pub description: Option<String>,
    /// What the code has to be, as CodeSha256 shows it.
    pub code_sha256: Option<String>,
    /// What the revision of `$LATEST` has to be.
    pub revision_id: Option<String>,
}

/// Publishes `latest`; returns the version's number and record. If nothing has changed since the last version, that one
/// is returned and nothing written.
pub fn publish(
    tx: &mut dyn Tx,
    id: &FunctionId,
    latest: &FunctionRecord,
    publication: &Publication,
) -> Result<(u64, FunctionRecord), LambdaError> {
    let key = keys::last_version(id);
    let last: LastVersion = tx.get(&key)?.map_or(Ok(LastVersion::default()), |bytes| keys::decode(&bytes))?;
    if let Some(version) = lookup::published(tx, id, last.number)?
        && is_unchanged(&version, latest)
    {
        return Ok((last.number, version.function));
    }
    let number = last.number + 1;
    let mut function = latest.clone();
    function.revision_id.clone_from(&publication.revision_id);
    function.deployment_id.clone_from(&publication.deployment_id);
    function.tags.clear();
    if function.is_unsettled() {
        // It becomes Active with `$LATEST`, and is new: nothing of it was ever updated.
        (function.state, function.last_update) = (State::Pending, LastUpdate::None);
    }
    if let Some(description) = &publication.description {
        function.config.description.clone_from(description);
    }
    add_code(tx, id, &function.package)?;
    let version = VersionRecord { latest_description: latest.config.description.clone(), function };
    tx.put(key, keys::encode(&LastVersion { number }))?;
    tx.put(keys::version(id, number), keys::encode(&version))?;
    replace_packages(tx, id, Version::Number(number), &BTreeSet::new(), &version.function.packages())?;
    Ok((number, version.function))
}

fn is_unchanged(version: &VersionRecord, latest: &FunctionRecord) -> bool {
    let mut source = version.function.clone();
    source.config.description.clone_from(&version.latest_description);
    source.is_same_deployment(latest)
}

/// The versions of a function behind number `after`, at most [`limits::READ_BATCH`].
fn versions_after(tx: &mut dyn Tx, id: &FunctionId, after: u64) -> Result<Vec<(u64, FunctionRecord)>, LambdaError> {
    let range = Range::prefix_after(&keys::versions_of(id), &keys::version(id, after));
    let pairs = tx.range(&range, Order::Ascending, limits::READ_BATCH)?;
    let mut versions = Vec::with_capacity(pairs.len());
    for (key, bytes) in pairs {
        if let Some(number) = keys::version_number(&key) {
            versions.push((number, keys::decode::<VersionRecord>(&bytes)?.function));
        }
    }
    Ok(versions)
}

/// Removes all versions and aliases of a function that is being deleted, but for what is attached to them; returns the
/// versions' numbers and the packages that they used.
pub fn remove_all(tx: &mut dyn Tx, id: &FunctionId) -> Result<(BTreeSet<String>, Vec<u64>), LambdaError> {
    for (name, _) in aliases(tx, id)? {
        tx.delete(keys::alias(id, &name))?;
    }
    let (mut packages, mut numbers) = (BTreeSet::new(), Vec::new());
    loop {
        let versions = versions_after(tx, id, numbers.last().copied().unwrap_or(0))?;
        if versions.is_empty() {
            return Ok((packages, numbers));
        }
        for (number, version) in versions {
            remove_version(tx, id, number, &version)?;
            packages.extend(version.packages());
            numbers.push(number);
        }
    }
}

fn remove_version(tx: &mut dyn Tx, id: &FunctionId, number: u64, version: &FunctionRecord) -> Result<(), LambdaError> {
    let bytes = version.package.zip_bytes;
    put_usage(tx, &id.account, &id.region, |usage| usage.code_bytes = usage.code_bytes.saturating_sub(bytes))?;
    tx.delete(keys::version(id, number))?;
    Ok(replace_packages(tx, id, Version::Number(number), &version.packages(), &BTreeSet::new())?)
}

/// All aliases of a function, by name. AWS documents no greatest number of them; [`limits::ALIASES_MAX`] is ours.
pub fn aliases(tx: &mut dyn Tx, id: &FunctionId) -> Result<Vec<(String, AliasRecord)>, LambdaError> {
    let pairs = tx.range(&Range::prefix(&keys::aliases_of(id)), Order::Ascending, limits::ALIASES_MAX)?;
    let mut aliases = Vec::with_capacity(pairs.len());
    for (key, bytes) in pairs {
        if let Some(name) = keys::alias_name(&key) {
            aliases.push((name, keys::decode(&bytes)?));
        }
    }
    Ok(aliases)
}

impl Lambda {
    /// What the next published version gets of its own.
    pub fn publication(&self, description: Option<String>) -> Publication {
        let (revision_id, deployment_id) = (self.platform.uuid(), self.platform.uuid());
        Publication { revision_id, deployment_id, description: description.filter(|text| !text.is_empty()) }
    }

    /// Publishes what `$LATEST` is.
    ///
    /// Errors: it is being changed, or is not what the request says it is.
    pub async fn publish(
        self: &Arc<Self>,
        id: FunctionId,
        request: PublishRequest,
    ) -> Result<(u64, FunctionRecord), LambdaError> {
        self.catalog.wait_until_settled(&id).await?;
        let publication = self.publication(request.description.clone());
        let this = self.clone();
        to_the_end(async move {
            let published = {
                let id = id.clone();
                move |tx: &mut dyn Tx| -> Result<(u64, FunctionRecord), LambdaError> {
                    let latest = stored(tx, &id)?;
                    check_revision(&latest, request.revision_id.as_deref())?;
                    check_code(&latest, request.code_sha256.as_deref())?;
                    check_settled(&latest, &id)?;
                    publish(tx, &id, &latest, &publication)
                }
            };
            let outcome = this.platform.store.transact(published).await;
            this.catalog.invalidate(&id);
            Ok(outcome?.value)
        })
        .await
    }

    /// Deletes a published version. One that does not exist is no error, as with AWS.
    ///
    /// Errors: no such function, or aliases lead to the version.
    pub async fn remove_version(self: &Arc<Self>, id: FunctionId, number: u64) -> Result<(), LambdaError> {
        let this = self.clone();
        to_the_end(async move {
            let removed = {
                let id = id.clone();
                move |tx: &mut dyn Tx| -> Result<Option<BTreeSet<String>>, LambdaError> {
                    stored(tx, &id)?;
                    let Some(version) = lookup::published(tx, &id, number)? else { return Ok(None) };
                    let leading = aliases(tx, &id)?.into_iter().filter(|(_, alias)| alias.leads_to(number));
                    let leading: Vec<String> = leading.map(|(name, _)| name).collect();
                    if !leading.is_empty() {
                        return Err(LambdaError::VersionHasAliases { aliases: leading.join(", ") });
                    }
                    remove_version(tx, &id, number, &version.function)?;
                    attached::remove_of(tx, &id, &Qualifier::Number(number))?;
                    Ok(Some(version.function.packages()))
                }
            };
            let outcome = this.platform.store.transact(removed).await;
            this.catalog.invalidate(&id);
            this.catalog.invalidate_urls();
            this.tell_provisioned(&id, false).await?;
            if let Some(packages) = outcome?.value {
                this.invoker.retire(&id.account, &id.region, &id.name, &number.to_string(), None);
                packages.iter().for_each(|package| this.catalog.code().name_candidate(package));
            }
            Ok(())
        })
        .await
    }
}

fn check_code(latest: &FunctionRecord, code_sha256: Option<&str>) -> Result<(), LambdaError> {
    let current = base64_of_hex(&latest.package.sha256);
    match code_sha256 {
        Some(given) if !given.is_empty() && given != current => {
            Err(ParameterError::CodeSha256Differs { given: given.to_owned(), current }.into())
        }
        _ => Ok(()),
    }
}
