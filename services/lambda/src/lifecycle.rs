//! How functions change: one transaction for each change, and a worker that settles what it left open.
//!
//! ```text
//! CreateFunction -> Pending ------------> Active (Successful)      the worker found the package on disk
//! Update*        -> Active (InProgress) -> Active (Successful)     likewise
//!                                       \-> Failed                 the package is lost
//! ```
//! A version that is published by the same request is Pending with its function and settled with it.
//!
//! The change writes a note that the function is pending; the worker removes it together with the new state.
//! After a crash it finds the note again. Packages that nobody uses any more are removed by the worker too: a
//! change only names candidates, and the start looks at everything on disk.

use crate::code::Hold;
use crate::error::LambdaError;
use crate::keys::{self, LastVersion};
use crate::model::{FunctionId, FunctionRecord, LATEST, LastUpdate, Package, State, Usage, Version};
use crate::publish::{self, Publication};
use crate::reservations::remove_reservation;
use crate::task::to_the_end;
use crate::{Lambda, attached, limits, lookup, rules};
use futures_util::future::join_all;
use gust_store::{Order, Range, StoreError, Tx};
use gust_types::{AccountId, Region};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Woken with every change that the worker has to look at.
pub const TOPIC: &str = "lambda/functions";

/// The `$LATEST` of a function that has to exist.
pub fn stored(tx: &mut dyn Tx, id: &FunctionId) -> Result<FunctionRecord, LambdaError> {
    lookup::latest(tx, id, None)
}

/// Counts the package of another version.
///
/// Errors: there is no room for it.
pub fn add_code(tx: &mut dyn Tx, id: &FunctionId, package: &Package) -> Result<(), LambdaError> {
    let usage = put_usage(tx, &id.account, &id.region, |usage| usage.code_bytes += package.zip_bytes)?;
    if usage.code_bytes > limits::CODE_STORAGE_BYTES_MAX {
        return Err(LambdaError::CodeStorageExceeded);
    }
    Ok(())
}

/// Changes what an account uses in a region, and returns it.
pub fn put_usage(
    tx: &mut dyn Tx,
    account: &AccountId,
    region: &Region,
    change: impl Fn(&mut Usage),
) -> Result<Usage, StoreError> {
    let key = keys::usage(account, region);
    let mut usage = tx.get(&key)?.map_or(Ok(Usage::default()), |bytes| keys::decode(&bytes))?;
    change(&mut usage);
    tx.put(key, keys::encode(&usage))?;
    Ok(usage)
}

/// Refuses a change while another one, or the creation, is not through.
pub fn check_settled(record: &FunctionRecord, id: &FunctionId) -> Result<(), LambdaError> {
    match (&record.state, &record.last_update) {
        (State::Pending, _) => Err(LambdaError::NotActive { state: record.state.as_str() }),
        (_, LastUpdate::InProgress) => Err(LambdaError::UpdateInProgress { arn: id.arn() }),
        _ => Ok(()),
    }
}

/// Refuses a change that was meant for another revision.
pub fn check_revision(record: &FunctionRecord, revision_id: Option<&str>) -> Result<(), LambdaError> {
    match revision_id {
        // An empty text asks for nothing.
        Some(revision_id) if !revision_id.is_empty() && revision_id != record.revision_id => {
            Err(LambdaError::RevisionMismatch)
        }
        _ => Ok(()),
    }
}

/// What a change made of a function.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Its `$LATEST`.
    pub latest: FunctionRecord,
    /// The version that was published, if one was to be.
    pub published: Option<(u64, FunctionRecord)>,
}

/// Changes.
impl Lambda {
    /// Stores a new function whose packages are held, and publishes it if asked to. Returns the version's number.
    pub async fn insert(
        self: &Arc<Self>,
        id: FunctionId,
        record: FunctionRecord,
        holds: Vec<Hold>,
        publication: Option<Publication>,
    ) -> Result<Option<u64>, LambdaError> {
        let this = self.clone();
        to_the_end(async move { this.insert_now(&id, record, holds, publication).await }).await
    }

    async fn insert_now(
        &self,
        id: &FunctionId,
        record: FunctionRecord,
        holds: Vec<Hold>,
        publication: Option<Publication>,
    ) -> Result<Option<u64>, LambdaError> {
        let inserted = {
            let id = id.clone();
            move |tx: &mut dyn Tx| -> Result<Option<u64>, LambdaError> {
                let key = keys::function(&id);
                if tx.get(&key)?.is_some() {
                    return Err(LambdaError::FunctionExists { name: id.name.to_string() });
                }
                put_usage(tx, &id.account, &id.region, |usage| usage.functions += 1)?;
                add_code(tx, &id, &record.package)?;
                tx.put(key, keys::encode(&record))?;
                tx.put(keys::pending(&id), Default::default())?;
                replace_packages(tx, &id, Version::Latest, &BTreeSet::new(), &record.packages())?;
                let published = publication.as_ref().map(|it| publish::publish(tx, &id, &record, it)).transpose()?;
                tx.wake(TOPIC);
                Ok(published.map(|(number, _)| number))
            }
        };
        let outcome = self.platform.store.transact(inserted).await;
        drop(holds);
        self.catalog.invalidate(id);
        Ok(outcome?.value)
    }

    /// Changes code or configuration: `change` turns the stored record into the new one (without effects, it
    /// may run several times). New packages have to be held. Returns the record as it was committed.
    pub async fn change(
        self: &Arc<Self>,
        id: FunctionId,
        revision_id: Option<String>,
        holds: Vec<Hold>,
        change: impl Fn(&mut FunctionRecord) -> Result<(), LambdaError> + Send + Sync + 'static,
    ) -> Result<FunctionRecord, LambdaError> {
        Ok(self.change_and_publish(id, revision_id, holds, None, change).await?.latest)
    }

    /// The same, and publishes what it has become if asked to.
    pub async fn change_and_publish(
        self: &Arc<Self>,
        id: FunctionId,
        revision_id: Option<String>,
        holds: Vec<Hold>,
        publication: Option<Publication>,
        change: impl Fn(&mut FunctionRecord) -> Result<(), LambdaError> + Send + Sync + 'static,
    ) -> Result<Changed, LambdaError> {
        let this = self.clone();
        to_the_end(async move {
            let outcome = this.change_now(&id, revision_id, publication, change).await;
            drop(holds);
            outcome
        })
        .await
    }

    async fn change_now(
        &self,
        id: &FunctionId,
        revision_id: Option<String>,
        publication: Option<Publication>,
        change: impl Fn(&mut FunctionRecord) -> Result<(), LambdaError> + Send + Sync + 'static,
    ) -> Result<Changed, LambdaError> {
        self.catalog.wait_until_settled(id).await?;
        let (new_revision, new_deployment, now_ms) =
            (self.platform.uuid(), self.platform.uuid(), self.platform.now_ms());
        let changed = {
            let id = id.clone();
            move |tx: &mut dyn Tx| -> Result<(Changed, BTreeSet<String>), LambdaError> {
                let mut record = stored(tx, &id)?;
                check_revision(&record, revision_id.as_deref())?;
                check_settled(&record, &id)?;
                let (packages, package) = (record.packages(), record.package.clone());
                change(&mut record)?;
                rules::layer::check_size(record.package.unzipped_bytes, &record.config.layers)?;
                record.revision_id.clone_from(&new_revision);
                record.deployment_id.clone_from(&new_deployment);
                record.modified_at_ms = now_ms;
                record.last_update = LastUpdate::InProgress;
                let after = record.packages();
                count_package(tx, &id, &package, &record.package)?;
                replace_packages(tx, &id, Version::Latest, &packages, &after)?;
                tx.put(keys::function(&id), keys::encode(&record))?;
                tx.put(keys::pending(&id), Default::default())?;
                let published = publication.as_ref().map(|it| publish::publish(tx, &id, &record, it)).transpose()?;
                tx.wake(TOPIC);
                Ok((Changed { latest: record, published }, packages.difference(&after).cloned().collect()))
            }
        };
        let outcome = self.platform.store.transact(changed).await;
        // A failed commit may still have happened (a full disk, a shutdown): better to forget once too often.
        self.catalog.invalidate(id);
        let (changed, left) = outcome?.value;
        self.invoker.retire(&id.account, &id.region, &id.name, LATEST, Some(&changed.latest.deployment_id));
        left.iter().for_each(|package| self.catalog.code().name_candidate(package));
        Ok(changed)
    }

    /// Removes a function with all its versions, aliases and whatever else belongs to it.
    pub async fn remove(self: &Arc<Self>, id: FunctionId) -> Result<(), LambdaError> {
        let this = self.clone();
        to_the_end(async move { this.remove_now(&id).await }).await
    }

    async fn remove_now(&self, id: &FunctionId) -> Result<(), LambdaError> {
        let removed = {
            let id = id.clone();
            move |tx: &mut dyn Tx| -> Result<(BTreeSet<String>, Vec<u64>), LambdaError> {
                let record = stored(tx, &id)?;
                let (mut packages, versions) = publish::remove_all(tx, &id)?;
                put_usage(tx, &id.account, &id.region, |usage| {
                    usage.functions = usage.functions.saturating_sub(1);
                    usage.code_bytes = usage.code_bytes.saturating_sub(record.package.zip_bytes);
                })?;
                tx.delete(keys::function(&id))?;
                tx.delete(keys::pending(&id))?;
                replace_packages(tx, &id, Version::Latest, &record.packages(), &BTreeSet::new())?;
                remove_reservation(tx, &id)?;
                attached::remove_all(tx, &id)?;
                packages.extend(record.packages());
                Ok((packages, versions))
            }
        };
        let outcome = self.platform.store.transact(removed).await;
        self.catalog.invalidate(id);
        self.catalog.invalidate_urls();
        let (packages, versions) = outcome?.value;
        self.tell_reservation(id).await?;
        self.tell_provisioned(id, false).await?;
        let retire = |version: &str| self.invoker.retire(&id.account, &id.region, &id.name, version, None);
        versions.iter().for_each(|number| retire(&number.to_string()));
        retire(LATEST);
        packages.iter().for_each(|package| self.catalog.code().name_candidate(package));
        Ok(())
    }
}

/// Counts a new package in the place of an old one.
fn count_package(tx: &mut dyn Tx, id: &FunctionId, before: &Package, after: &Package) -> Result<(), LambdaError> {
    if before == after {
        return Ok(());
    }
    let usage = put_usage(tx, &id.account, &id.region, |usage| {
        usage.code_bytes = usage.code_bytes.saturating_sub(before.zip_bytes) + after.zip_bytes;
    })?;
    if usage.code_bytes > limits::CODE_STORAGE_BYTES_MAX && after.zip_bytes > before.zip_bytes {
        return Err(LambdaError::CodeStorageExceeded);
    }
    Ok(())
}

/// Notes that a version of a function uses the packages `after` and no longer those of `before`.
pub fn replace_packages(
    tx: &mut dyn Tx,
    id: &FunctionId,
    version: Version,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) -> Result<(), StoreError> {
    for package in before.difference(after) {
        tx.delete(keys::package_user(package, id, version))?;
    }
    for package in after.difference(before) {
        tx.put(keys::package_user(package, id, version), Default::default())?;
    }
    Ok(())
}

/// The worker.
impl Lambda {
    /// Settles functions and removes packages, for as long as gust runs. Everything it does can be cut off
    /// at any moment: the next start goes on.
    pub async fn work(self: Arc<Self>) {
        let mut changes = self.platform.store.subscribe(TOPIC);
        let (mut looked_at_disk, mut has_told) = (false, false);
        loop {
            let outcome = async {
                if !has_told {
                    self.tell_all_provisioned().await?;
                    has_told = true;
                }
                if !looked_at_disk {
                    self.name_all_candidates().await?;
                    looked_at_disk = true;
                }
                while self.settle_pending().await? > 0 {}
                self.collect().await
            };
            let pause_ms = match outcome.await {
                Ok(0) => None,
                Ok(_) => Some(limits::COLLECT_RETRY_MS),
                Err(error) => {
                    tracing::error!(cause = %error, "functions could not be settled; trying again");
                    Some(limits::SETTLE_RETRY_MS)
                }
            };
            let paused = async {
                match pause_ms {
                    None => std::future::pending().await,
                    // A package that an environment still reads, or a failure: neither wakes anybody.
                    Some(pause_ms) => tokio::time::sleep(Duration::from_millis(pause_ms)).await,
                }
            };
            tokio::select! {
                () = changes.woken() => {}
                () = self.catalog.code().candidate_named() => {}
                () = paused => {}
            }
        }
    }

    /// Settles functions that are being created or updated; returns how many it looked at. One that cannot
    /// be settled because the machine fails is an error and stays pending.
    pub async fn settle_pending(&self) -> Result<usize, LambdaError> {
        let prefix = keys::all_pending();
        let pairs = self
            .platform
            .store
            .read(move |snapshot| snapshot.range(&Range::prefix(&prefix), Order::Ascending, limits::SETTLE_BATCH))
            .await?;
        let ids: Vec<FunctionId> = pairs.iter().filter_map(|(key, _)| keys::function_id(key)).collect();
        // At once, so that their commits share a sync; and one that cannot be settled holds up no other.
        let outcomes = join_all(ids.iter().map(|id| self.settle(id))).await;
        outcomes.into_iter().collect::<Result<Vec<()>, LambdaError>>()?;
        Ok(ids.len())
    }

    async fn settle(&self, id: &FunctionId) -> Result<(), LambdaError> {
        let seen = self.catalog.read(id).await?;
        let lost = match &seen {
            Some(record) => self.is_lost(record).await?,
            None => false,
        };
        let deployment_id = seen.map(|record| record.deployment_id);
        let (new_revision, version_revision) = (self.platform.uuid(), self.platform.uuid());
        let settled = {
            let id = id.clone();
            move |tx: &mut dyn Tx| -> Result<(), LambdaError> {
                let record =
                    tx.get(&keys::function(&id))?.map(|bytes| keys::decode::<FunctionRecord>(&bytes)).transpose()?;
                if record.as_ref().map(|record| &record.deployment_id) != deployment_id.as_ref() {
                    // It has changed meanwhile, and the note is about that change now.
                    return Ok(());
                }
                if let Some(mut record) = record {
                    record.settle(lost);
                    record.revision_id.clone_from(&new_revision);
                    tx.put(keys::function(&id), keys::encode(&record))?;
                    settle_last_version(tx, &id, lost, &version_revision)?;
                }
                tx.delete(keys::pending(&id))?;
                Ok(())
            }
        };
        self.platform.store.transact(settled).await?;
        // What runs is the same as before, unless it was not allowed to run.
        if lost {
            self.catalog.invalidate(id);
        }
        self.catalog.announce_settled();
        Ok(())
    }

    /// Makes sure that all packages are unpacked; says whether one cannot be because its zip is gone or damaged.
    async fn is_lost(&self, record: &FunctionRecord) -> Result<bool, LambdaError> {
        let code = self.catalog.code();
        let layers = record.config.layers.iter().map(|layer| &layer.package);
        for package in layers.chain([&record.package]) {
            match code.restore(package).await {
                Ok(()) => {}
                Err(LambdaError::Parameter(_)) => {
                    tracing::error!(package = package.sha256, "a function's package is damaged");
                    return Ok(true);
                }
                Err(_) if code.zip(&package.sha256).await?.is_none() => {
                    tracing::error!(package = package.sha256, "a function's package is gone");
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
        code.restore_layers(&record.config.layers).await?;
        Ok(false)
    }

    async fn name_all_candidates(&self) -> Result<(), LambdaError> {
        let code = self.catalog.code();
        code.stored().await?.iter().for_each(|sha256| code.name_candidate(sha256));
        Ok(())
    }

    /// Removes candidates that nobody uses; returns how many have to be looked at again.
    pub async fn collect(&self) -> Result<usize, LambdaError> {
        let code = self.catalog.code();
        let mut left = 0;
        for sha256 in code.candidates() {
            if !self.collect_one(&sha256).await? {
                left += 1;
            }
        }
        Ok(left)
    }

    /// Whether the package needs no further look: it is gone, or a function uses it.
    async fn collect_one(&self, sha256: &str) -> Result<bool, LambdaError> {
        let code = self.catalog.code();
        let Some(removal) = code.claim_removal(sha256) else { return Ok(false) };
        // Struck off before the look, so that whoever names it during the look is heard.
        code.forget_candidate(sha256);
        let users = keys::users_of(sha256);
        let read =
            self.platform.store.read(move |snapshot| snapshot.range(&Range::prefix(&users), Order::Ascending, 1));
        let outcome: Result<bool, LambdaError> = async {
            if !read.await?.is_empty() {
                return Ok(true);
            }
            if self.catalog.is_in_use(sha256) {
                return Ok(false);
            }
            removal.carry_out().await?;
            Ok(true)
        }
        .await;
        if !matches!(outcome, Ok(true)) {
            code.keep_candidate(sha256);
        }
        outcome
    }
}

/// A version that is Pending was published by the change that is being settled, and runs the same package.
fn settle_last_version(tx: &mut dyn Tx, id: &FunctionId, lost: bool, new_revision: &str) -> Result<(), LambdaError> {
    let Some(bytes) = tx.get(&keys::last_version(id))? else { return Ok(()) };
    let LastVersion { number } = keys::decode(&bytes)?;
    let Some(mut version) = lookup::published(tx, id, number)? else { return Ok(()) };
    if version.function.state == State::Pending {
        version.function.settle(lost);
        new_revision.clone_into(&mut version.function.revision_id);
        tx.put(keys::version(id, number), keys::encode(&version))?;
    }
    Ok(())
}

impl FunctionRecord {
    fn settle(&mut self, lost: bool) {
        const REASON: &str = "The function's code is no longer intact in gust's data folder. Upload it again.";
        match (lost, &self.state) {
            (false, _) => {
                self.state = State::Active;
                self.last_update = LastUpdate::Successful;
            }
            (true, State::Pending) => {
                self.state = State::Failed { reason: REASON.to_owned() };
                self.last_update = LastUpdate::None;
            }
            (true, _) => {
                self.state = State::Failed { reason: REASON.to_owned() };
                self.last_update = LastUpdate::Failed { reason: REASON.to_owned() };
            }
        }
    }
}
