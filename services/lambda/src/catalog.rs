//! Finds functions for those who run them, and remembers what it found: a warm invocation touches neither the
//! store nor the disk.
//!
//! What is remembered is never stale. Every change of a function ends in [`Catalog::invalidate`], which also
//! moves a counter (one of many, picked by the function's hash); what was read from the store is only kept if
//! that counter has not moved since before the read. So nothing that was read before a change can be kept after
//! it. (With several nodes on one store an invalidation has to reach all of them; until then one node owns a
//! store.)

mod event_settings;

use crate::code::CodeStore;
use crate::development::Substitute;
use crate::error::LambdaError;
use crate::layer::folder_name;
use crate::lookup::{self, Found};
use crate::model::{AliasRecord, FunctionId, FunctionRecord, LoggingRecord, Qualifier, State, Version};
use crate::urls::{UrlCache, policy_text};
use crate::{keys, limits};
use async_trait::async_trait;
use gust_kit::ports::{EventSettings, FunctionCatalog, FunctionSpec, LogFormat, LogLevel, Logging};
use gust_kit::{CommonError, Platform};
use gust_store::{Read, Store};
use gust_types::{AccountId, AwsError, Region};
use std::collections::HashMap;
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
    functions: HashMap<FunctionId, Remembered>,
    /// How many versions, aliases and settings all of them have.
    remembered: usize,
    /// Functions that somebody develops: their `$LATEST` is not what is stored.
    substitutes: HashMap<FunctionId, Substitute>,
    /// Every spec that was handed out, by package: environments read a package as long as they hold one.
    handed_out: HashMap<String, Vec<Weak<FunctionSpec>>>,
}

/// What is known of a function.
#[derive(Default)]
struct Remembered {
    versions: HashMap<Version, Arc<FunctionSpec>>,
    aliases: HashMap<String, AliasRecord>,
    /// How its asynchronous events are treated, by qualifier; empty for `$LATEST`.
    event_settings: HashMap<String, Arc<EventSettings>>,
}

impl Remembered {
    fn entries(&self) -> usize {
        self.versions.len() + self.aliases.len() + self.event_settings.len()
    }

    /// What `qualifier` leads to this time, if that is known.
    fn find(&self, qualifier: Option<&Qualifier>, random: impl Fn() -> f64) -> Option<&Arc<FunctionSpec>> {
        let version = match qualifier {
            None | Some(Qualifier::Latest) => Version::Latest,
            Some(Qualifier::Number(number)) => Version::Number(*number),
            Some(Qualifier::Alias(name)) => choose(self.aliases.get(name)?, random),
            Some(Qualifier::Other(_)) => return None,
        };
        self.versions.get(&version)
    }
}

/// The version that an alias stands for this time.
fn choose(alias: &AliasRecord, random: impl Fn() -> f64) -> Version {
    // Most aliases lead to one version, and need no chance.
    if alias.additional.is_none() { alias.version() } else { alias.choose(random()) }
}

/// How many counters of changes there are. Two functions that share one merely make each other read again.
const COUNTERS: usize = 1_024;

impl Cache {
    fn new() -> Cache {
        Cache {
            changes: vec![0; COUNTERS],
            functions: HashMap::new(),
            remembered: 0,
            substitutes: HashMap::new(),
            handed_out: HashMap::new(),
        }
    }

    /// Forgets all functions if they are too many.
    fn make_room(&mut self) {
        if self.remembered >= limits::CATALOG_ENTRIES_MAX {
            self.functions.clear();
            self.remembered = 0;
        }
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

    /// The version of a function that `qualifier` leads to, as it is run; an alias that routes to two versions chooses
    /// each time.
    ///
    /// Errors: it does not exist, nor does the qualifier, or it is not Active.
    pub async fn find(&self, id: &FunctionId, qualifier: Option<&Qualifier>) -> Result<Arc<FunctionSpec>, LambdaError> {
        let known = self.cache().functions.get(id).and_then(|known| known.find(qualifier, || self.random()).cloned());
        match known {
            Some(spec) => Ok(spec),
            None => self.load(id, qualifier).await,
        }
    }

    async fn load(&self, id: &FunctionId, qualifier: Option<&Qualifier>) -> Result<Arc<FunctionSpec>, LambdaError> {
        for _ in 0..limits::RESOLVE_ATTEMPTS_MAX {
            let changes = self.cache().changes[counter(id)];
            let Some(found) = self.wait_until_set_up(id, qualifier).await? else {
                return Err(LambdaError::FunctionNotFound { arn: id.qualified_arn(qualifier) });
            };
            if found.record.state != State::Active {
                return Err(LambdaError::NotActive { state: found.record.state.as_str() });
            }
            self.code.restore(&found.record.package).await?;
            self.code.restore_layers(&found.record.config.layers).await?;
            let may_recurse = self.may_recurse(id).await?;
            if let Some(spec) = self.keep(id, qualifier, &found, may_recurse, changes) {
                return Ok(spec);
            }
        }
        Err(CommonError::Internal(format!("{} changed all the while it was being resolved", id.arn())).into())
    }

    /// Remembers what was found, unless anything has changed since `changes` was read.
    fn keep(
        &self,
        id: &FunctionId,
        qualifier: Option<&Qualifier>,
        found: &Found,
        may_recurse: bool,
        changes: u64,
    ) -> Option<Arc<FunctionSpec>> {
        let mut cache = self.cache_mut();
        if *cache.changes_of(id) != changes {
            return None;
        }
        cache.make_room();
        let substitute = cache.substitutes.get(id).filter(|_| found.version == Version::Latest).cloned();
        let known = cache.functions.entry(id.clone()).or_default();
        let before = known.entries();
        if let (Some(Qualifier::Alias(name)), Some(alias)) = (qualifier, &found.alias) {
            known.aliases.insert(name.clone(), alias.clone());
        }
        let spec = known.versions.entry(found.version);
        let made = || {
            let mut spec = spec_of(id, found.version, &found.record, &self.code);
            spec.may_recurse = may_recurse;
            if let Some(substitute) = &substitute {
                substitute.apply(&mut spec);
            }
            Arc::new(spec)
        };
        let spec = spec.or_insert_with(made).clone();
        let added = known.entries() - before;
        cache.remembered += added;
        for package in found.record.packages() {
            let handed_out = cache.handed_out.entry(package).or_default();
            handed_out.retain(|other| other.strong_count() > 0);
            if !handed_out.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(&spec))) {
                handed_out.push(Arc::downgrade(&spec));
            }
        }
        Some(spec)
    }

    /// A number from 0 to below 1.
    fn random(&self) -> f64 {
        let mut bytes = [0; 4];
        self.platform.ids.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    /// Forgets a function with its versions and aliases. To be called after every commit that changes one of them.
    pub fn invalidate(&self, id: &FunctionId) {
        let mut cache = self.cache_mut();
        *cache.changes_of(id) += 1;
        if let Some(known) = cache.functions.remove(id) {
            cache.remembered -= known.entries();
        }
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

    /// Puts a substitute for the function's package in place, or takes it back.
    pub fn substitute(&self, id: &FunctionId, substitute: Option<Substitute>) {
        {
            let mut cache = self.cache_mut();
            match substitute {
                Some(substitute) => cache.substitutes.insert(id.clone(), substitute),
                None => cache.substitutes.remove(id),
            };
        }
        self.invalidate(id);
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
        let found = self.wait_while(id, None, FunctionRecord::is_unsettled).await?;
        Ok(found.map(|found| found.record))
    }

    async fn wait_until_set_up(
        &self,
        id: &FunctionId,
        qualifier: Option<&Qualifier>,
    ) -> Result<Option<Found>, LambdaError> {
        self.wait_while(id, qualifier, |record| record.state == State::Pending).await
    }

    async fn wait_while(
        &self,
        id: &FunctionId,
        qualifier: Option<&Qualifier>,
        unsettled: fn(&FunctionRecord) -> bool,
    ) -> Result<Option<Found>, LambdaError> {
        let deadline = Instant::now() + self.settle_wait;
        let mut settled = self.settled.subscribe();
        loop {
            settled.mark_unchanged();
            // The number is drawn here: what the store runs may run twice, and has to come out the same.
            let random = self.random();
            let found = self.read_with(id, qualifier, move |alias| alias.choose(random)).await?;
            if !found.as_ref().is_some_and(|found| unsettled(&found.record)) {
                return Ok(found);
            }
            match tokio::time::timeout_at(deadline, settled.changed()).await {
                Ok(Ok(())) => {}
                // Out of time, or nobody is left to settle anything: the caller says so.
                Ok(Err(_)) | Err(_) => return Ok(found),
            }
        }
    }

    /// The stored `$LATEST` of a function.
    pub async fn read(&self, id: &FunctionId) -> Result<Option<FunctionRecord>, LambdaError> {
        let key = keys::function(id);
        let read = move |snapshot: &mut dyn Read| -> Result<_, LambdaError> {
            Ok(snapshot.get(&key)?.map(|bytes| keys::decode(&bytes)).transpose()?)
        };
        self.platform.store.read(read).await
    }

    /// What `qualifier` leads to, as it is stored; an alias leads to its own version, whatever else it routes to.
    pub async fn read_qualified(
        &self,
        id: &FunctionId,
        qualifier: Option<&Qualifier>,
    ) -> Result<Option<Found>, LambdaError> {
        self.read_with(id, qualifier, AliasRecord::version).await
    }

    async fn read_with(
        &self,
        id: &FunctionId,
        qualifier: Option<&Qualifier>,
        choose: impl Fn(&AliasRecord) -> Version + Send + Sync + 'static,
    ) -> Result<Option<Found>, LambdaError> {
        let (id, qualifier) = (id.clone(), qualifier.cloned());
        let read = move |snapshot: &mut dyn Read| lookup::find(snapshot, &id, qualifier.as_ref(), &choose);
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

    async fn event_settings(
        &self,
        account: &AccountId,
        region: &Region,
        name: &str,
        qualifier: Option<&str>,
    ) -> Result<Arc<EventSettings>, AwsError> {
        let id = FunctionId { account: account.clone(), region: region.clone(), name: name.into() };
        let qualifier = qualifier.map(Qualifier::parse);
        self.event_settings_of(&id, qualifier.as_ref()).await.map_err(AwsError::from)
    }
}

fn spec_of(id: &FunctionId, version: Version, record: &FunctionRecord, code: &CodeStore) -> FunctionSpec {
    let config = &record.config;
    FunctionSpec {
        account: id.account.clone(),
        region: id.region.clone(),
        name: id.name.to_string(),
        version: version.to_string(),
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
        is_tenant_isolated: config.tenant_isolation.is_some(),
        dead_letter_arn: config.dead_letter_arn.clone(),
        may_recurse: false,
        development: None,
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
        let found = Found { version: Version::Latest, alias: None, record };
        catalog.invalidate(&id);
        assert!(catalog.keep(&id, None, &found, false, changes).is_none());
        assert!(catalog.keep(&id, None, &found, false, changes + 1).is_some());
    }

    #[tokio::test]
    async fn aliases_and_versions_are_remembered_and_forgotten_together() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let (id, prod) = (function_id("a"), Qualifier::Alias("prod".into()));
        bed.publish("a").await;
        bed.create_alias("a", "prod", "1", None).await;
        let catalog = bed.lambda.catalog();
        let first = catalog.find(&id, Some(&prod)).await.unwrap();
        assert_eq!((first.version.as_str(), first.arn.as_str()), ("1", id.arn().as_str()));
        assert!(Arc::ptr_eq(&first, &catalog.find(&id, Some(&Qualifier::Number(1))).await.unwrap()));
        let latest = catalog.find(&id, None).await.unwrap();
        assert_ne!(first.revision_id, latest.revision_id, "its environments are its own");
        assert_eq!(catalog.cache().remembered, 3);
        // Everything it needs is in memory: the store is not asked any more.
        assert!(Arc::ptr_eq(&first, &catalog.find(&id, Some(&prod)).await.unwrap()));
        catalog.invalidate(&id);
        assert_eq!((catalog.cache().remembered, catalog.cache().functions.len()), (0, 0));
        for qualifier in ["2", "test", "$LATEST.PUBLISHED", "01"] {
            let error = catalog.find(&id, Some(&Qualifier::parse(qualifier))).await.unwrap_err();
            assert_eq!(error.to_string(), format!("Function not found: {}:{qualifier}", id.arn()));
        }
    }

    #[tokio::test]
    async fn an_alias_of_two_versions_leads_to_both() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        bed.update_code("a", b"two").await;
        bed.publish("a").await;
        bed.create_alias("a", "prod", "1", Some(("2", 0.25))).await;
        let mut seconds = 0;
        for _ in 0..400 {
            let spec = bed.lambda.catalog().find(&function_id("a"), Some(&Qualifier::parse("prod"))).await.unwrap();
            seconds += u32::from(spec.version == "2");
        }
        // A quarter of 400, and six standard deviations to either side.
        assert!((48..=152).contains(&seconds), "{seconds}");
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
