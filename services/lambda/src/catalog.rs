//! Finds functions for those who run them, and remembers what it found: a warm invocation touches neither the
//! store nor the disk.
//!
//! What is remembered is never stale. Every change of a function ends in [`Catalog::invalidate`], which also
//! moves a counter (one of many, picked by the function's hash); what was read from the store is only kept if
//! that counter has not moved since before the read. So nothing that was read before a change can be kept after
//! it. (With several nodes on one store an invalidation has to reach all of them; until then one node owns a
//! store.)

use crate::code::CodeStore;
use crate::error::LambdaError;
use crate::keys;
use crate::layer::folder_name;
use crate::limits;
use crate::model::{FunctionId, FunctionRecord, LATEST, LoggingRecord, Qualifier, State};
use crate::urls::{UrlCache, policy_text};
use async_trait::async_trait;
use gust_kit::ports::{FunctionCatalog, FunctionSpec, LogFormat, LogLevel, Logging};
use gust_kit::{CommonError, Platform};
use gust_store::{Read, Store};
use gust_types::{AccountId, AwsError, Region};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// All functions of one gust, as they are run.
pub struct Catalog {
    platform: Platform,
    code: Arc<CodeStore>,
    cache: RwLock<Cache>,
    urls: UrlCache,
    settled: watch::Sender<u64>,
    settle_wait: Duration,
}

struct Cache {
    changes: Vec<u64>,
    specs: HashMap<FunctionId, Arc<FunctionSpec>>,
    /// Every spec that was handed out, by package: environments read a package as long as they hold one.
    handed_out: HashMap<String, Vec<Weak<FunctionSpec>>>,
}

/// How many counters of changes there are. Two functions that share one merely make each other read again.
const COUNTERS: usize = 1_024;

impl Cache {
    fn new() -> Cache {
        Cache { changes: vec![0; COUNTERS], specs: HashMap::new(), handed_out: HashMap::new() }
    }

    fn changes_of(&mut self, id: &FunctionId) -> &mut u64 {
        &mut self.changes[counter(id)]
    }
}

fn counter(id: &FunctionId) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    usize::try_from(hasher.finish() % COUNTERS as u64).expect("a remainder of a small number is small")
}

impl Catalog {
    /// A catalog of the functions in the platform's store, whose packages are in `code`.
    ///
    /// A call that meets a function which is just being set up waits for it, at most `settle_wait_ms`.
    pub fn new(platform: Platform, code: Arc<CodeStore>, settle_wait_ms: u64) -> Catalog {
        Catalog {
            platform,
            code,
            cache: RwLock::new(Cache::new()),
            urls: UrlCache::default(),
            settled: watch::Sender::new(0),
            settle_wait: Duration::from_millis(settle_wait_ms),
        }
    }

    /// The packages.
    pub fn code(&self) -> &Arc<CodeStore> {
        &self.code
    }

    /// The function as it is run.
    ///
    /// Errors: it does not exist, nor does the qualifier, or it is not Active.
    pub async fn find(&self, id: &FunctionId, qualifier: Option<&Qualifier>) -> Result<Arc<FunctionSpec>, LambdaError> {
        if matches!(qualifier, Some(Qualifier::Other(_))) {
            return Err(LambdaError::FunctionNotFound { arn: id.qualified_arn(qualifier) });
        }
        if let Some(spec) = self.cache().specs.get(id) {
            return Ok(spec.clone());
        }
        self.load(id, qualifier).await
    }

    async fn load(&self, id: &FunctionId, qualifier: Option<&Qualifier>) -> Result<Arc<FunctionSpec>, LambdaError> {
        for _ in 0..limits::RESOLVE_ATTEMPTS_MAX {
            let changes = self.cache().changes[counter(id)];
            let record = self.wait_until_set_up(id).await?;
            let Some(record) = record else {
                return Err(LambdaError::FunctionNotFound { arn: id.qualified_arn(qualifier) });
            };
            if record.state != State::Active {
                return Err(LambdaError::NotActive { state: record.state.as_str() });
            }
            self.code.restore(&record.package).await?;
            self.code.restore_layers(&record.config.layers).await?;
            let spec = Arc::new(spec_of(id, &record, &self.code));
            if let Some(spec) = self.keep(id, &record.packages(), spec, changes) {
                return Ok(spec);
            }
        }
        Err(CommonError::Internal(format!("{} changed all the while it was being resolved", id.arn())).into())
    }

    /// Remembers `spec`, unless anything has changed since `changes` was read.
    fn keep(
        &self,
        id: &FunctionId,
        packages: &BTreeSet<String>,
        spec: Arc<FunctionSpec>,
        changes: u64,
    ) -> Option<Arc<FunctionSpec>> {
        let mut cache = self.cache_mut();
        if *cache.changes_of(id) != changes {
            return None;
        }
        if let Some(kept) = cache.specs.get(id) {
            return Some(kept.clone());
        }
        if cache.specs.len() >= limits::CATALOG_ENTRIES_MAX {
            cache.specs.clear();
        }
        for package in packages {
            let handed_out = cache.handed_out.entry(package.clone()).or_default();
            handed_out.retain(|spec| spec.strong_count() > 0);
            handed_out.push(Arc::downgrade(&spec));
        }
        cache.specs.insert(id.clone(), spec.clone());
        Some(spec)
    }

    /// Forgets a function. To be called after every commit that changes one.
    pub fn invalidate(&self, id: &FunctionId) {
        let mut cache = self.cache_mut();
        *cache.changes_of(id) += 1;
        cache.specs.remove(id);
    }

    /// Forgets all function URLs. To be called after every commit that changes one, or a policy, or removes what
    /// they belong to.
    pub fn invalidate_urls(&self) {
        self.urls.clear();
    }

    pub(crate) fn urls(&self) -> &UrlCache {
        &self.urls
    }

    pub(crate) fn store(&self) -> &Store {
        &self.platform.store
    }

    /// The policy of a function, a version or an alias, as JSON; `None` if it has none.
    pub async fn resource_policy(
        &self,
        id: &FunctionId,
        qualifier: Option<&Qualifier>,
    ) -> Result<Option<String>, LambdaError> {
        let (id, qualifier) = (id.clone(), qualifier.cloned());
        let read = move |snapshot: &mut dyn Read| policy_text(snapshot, &id, qualifier.as_ref());
        self.platform.store.read(read).await
    }

    /// Whether somebody holds a spec with this package.
    pub fn is_in_use(&self, package: &str) -> bool {
        let mut cache = self.cache_mut();
        let Some(handed_out) = cache.handed_out.get_mut(package) else { return false };
        handed_out.retain(|spec| spec.strong_count() > 0);
        let in_use = !handed_out.is_empty();
        if !in_use {
            cache.handed_out.remove(package);
        }
        in_use
    }

    /// Wakes those who wait for a function to be set up.
    pub fn announce_settled(&self) {
        self.settled.send_modify(|count| *count += 1);
    }

    /// Waits, within bounds, until the function is neither being created nor being updated.
    pub async fn wait_until_settled(&self, id: &FunctionId) -> Result<Option<FunctionRecord>, LambdaError> {
        self.wait_while(id, FunctionRecord::is_unsettled).await
    }

    async fn wait_until_set_up(&self, id: &FunctionId) -> Result<Option<FunctionRecord>, LambdaError> {
        self.wait_while(id, |record| record.state == State::Pending).await
    }

    async fn wait_while(
        &self,
        id: &FunctionId,
        unsettled: fn(&FunctionRecord) -> bool,
    ) -> Result<Option<FunctionRecord>, LambdaError> {
        let deadline = Instant::now() + self.settle_wait;
        let mut settled = self.settled.subscribe();
        loop {
            settled.mark_unchanged();
            let record = self.read(id).await?;
            if !record.as_ref().is_some_and(unsettled) {
                return Ok(record);
            }
            match tokio::time::timeout_at(deadline, settled.changed()).await {
                Ok(Ok(())) => {}
                // Out of time, or nobody is left to settle anything: the caller says so.
                Ok(Err(_)) | Err(_) => return Ok(record),
            }
        }
    }

    /// The stored function.
    pub async fn read(&self, id: &FunctionId) -> Result<Option<FunctionRecord>, LambdaError> {
        let key = keys::function(id);
        let read = move |snapshot: &mut dyn gust_store::Read| -> Result<_, LambdaError> {
            Ok(snapshot.get(&key)?.map(|bytes| keys::decode(&bytes)).transpose()?)
        };
        self.platform.store.read(read).await
    }

    fn cache(&self) -> RwLockReadGuard<'_, Cache> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache_mut(&self) -> RwLockWriteGuard<'_, Cache> {
        self.cache.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl FunctionCatalog for Catalog {
    async fn resolve(
        &self,
        account: &AccountId,
        region: &Region,
        name: &str,
        qualifier: Option<&str>,
    ) -> Result<Arc<FunctionSpec>, AwsError> {
        let id = FunctionId { account: account.clone(), region: region.clone(), name: name.into() };
        let qualifier = qualifier.map(Qualifier::parse);
        self.find(&id, qualifier.as_ref()).await.map_err(AwsError::from)
    }
}

fn spec_of(id: &FunctionId, record: &FunctionRecord, code: &CodeStore) -> FunctionSpec {
    let config = &record.config;
    FunctionSpec {
        account: id.account.clone(),
        region: id.region.clone(),
        name: id.name.to_string(),
        version: LATEST.to_owned(),
        arn: id.arn(),
        revision_id: record.deployment_id.clone(),
        runtime: config.runtime.clone(),
        handler: config.handler.clone(),
        role_arn: config.role.clone(),
        memory_mb: config.memory_mb,
        timeout_ms: u64::from(config.timeout_s) * 1_000,
        tmp_mb: config.ephemeral_mb,
        environment: config.environment.clone().unwrap_or_default(),
        code_dir: code.folder(&record.package.sha256),
        layers_dir: folder_name(&config.layers).map(|name| code.folder(&name)),
        architecture: config.architecture.clone(),
        logging: logging_of(&config.logging),
        tracing_mode: config.tracing_mode.clone(),
        is_tenant_isolated: false,
    }
}

fn logging_of(record: &LoggingRecord) -> Logging {
    let level = |name: &Option<String>| match name.as_deref() {
        Some("TRACE") => LogLevel::Trace,
        Some("DEBUG") => LogLevel::Debug,
        Some("WARN") => LogLevel::Warn,
        Some("ERROR") => LogLevel::Error,
        Some("FATAL") => LogLevel::Fatal,
        _ => LogLevel::Info,
    };
    Logging {
        format: if record.format == "JSON" { LogFormat::Json } else { LogFormat::Text },
        application_level: level(&record.application_level),
        system_level: level(&record.system_level),
        group: record.group.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, function_id};

    #[tokio::test]
    async fn a_warm_function_is_the_same_spec() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let first = bed.lambda.catalog().find(&function_id("a"), None).await.unwrap();
        let second = bed.lambda.catalog().find(&function_id("a"), Some(&Qualifier::Latest)).await.unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((first.version.as_str(), first.timeout_ms, first.tmp_mb), ("$LATEST", 3_000, 512));
        assert!(first.code_dir.join("app.py").exists());
    }

    #[tokio::test]
    async fn what_does_not_exist_is_not_found() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let port: &dyn FunctionCatalog = bed.lambda.catalog().as_ref();
        let id = function_id("a");
        for (name, qualifier, arn) in [("b", None, "b"), ("a", Some("1"), "a:1"), ("b", Some("$LATEST"), "b:$LATEST")] {
            let error = port.resolve(&id.account, &id.region, name, qualifier).await.unwrap_err();
            assert_eq!(
                error.message,
                format!("Function not found: arn:aws:lambda:us-east-1:000000000000:function:{arn}")
            );
        }
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_kept() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let catalog = bed.lambda.catalog();
        let id = function_id("a");
        let record = catalog.read(&id).await.unwrap().unwrap();
        let changes = catalog.cache().changes[counter(&id)];
        let spec = Arc::new(spec_of(&id, &record, catalog.code()));
        catalog.invalidate(&id);
        assert!(catalog.keep(&id, &record.packages(), spec.clone(), changes).is_none());
        assert!(catalog.keep(&id, &record.packages(), spec, changes + 1).is_some());
    }

    #[tokio::test]
    async fn a_package_is_in_use_while_its_spec_is_held() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let catalog = bed.lambda.catalog();
        let id = function_id("a");
        let package = catalog.read(&id).await.unwrap().unwrap().package.sha256;
        assert!(!catalog.is_in_use(&package));
        let spec = catalog.find(&id, None).await.unwrap();
        assert!(catalog.is_in_use(&package));
        catalog.invalidate(&id);
        assert!(catalog.is_in_use(&package), "an environment still holds it");
        drop(spec);
        assert!(!catalog.is_in_use(&package));
    }

    #[tokio::test]
    async fn a_lost_folder_is_made_again() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let catalog = bed.lambda.catalog();
        let package = catalog.read(&function_id("a")).await.unwrap().unwrap().package;
        std::fs::remove_dir_all(catalog.code().folder(&package.sha256)).unwrap();
        let spec = catalog.find(&function_id("a"), None).await.unwrap();
        assert!(spec.code_dir.join("app.py").exists());
    }
}
