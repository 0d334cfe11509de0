//! The wiring: store, services, engine and gateway of one gust, and their orderly end.

use crate::archive::Sources;
use crate::cli::Auth;
use crate::config::Config;
use crate::endpoint::Endpoints;
use crate::failure::{Context, Failure};
use gust_access::PolicyAuthorizer;
use gust_blob::{Blobs, BlobsOptions};
use gust_gateway::{
    AdminHandlers, AuthPolicy, ClockError, ConnectionOrigin, FunctionUrls, Gateway, GatewayConfig, Serving,
};
use gust_iam::{Iam, Policies, Roles};
use gust_invoke::{Engine, Launcher, Ports, SdkFolders};
use gust_kit::ports::{
    Authorizer, CredentialSource, Credentials, RoleDirectory, RoleRights, ServiceRoles, Target, TargetKind, Targets,
    UserKeys,
};
use gust_kit::{Endpoint, Platform, Registry, ServiceEndpoint};
use gust_lambda::{Catalog, CodeStore, Durability, FunctionTarget, Lambda};
use gust_logs::Logs;
use gust_store::{CLOCK_MOVED_TOPIC, Store, StoreError, StoreOptions};
use gust_sts::{KeyRing, RolePolicy, Sts};
use gust_types::{Clock, MovableClock, SystemClock};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// What outlives a reset: all that starts functions, and gust's own routes.
#[derive(Clone)]
pub struct Surroundings {
    /// The flags.
    pub config: Arc<Config>,
    /// Starts environments.
    pub launcher: Arc<dyn Launcher>,
    /// Knows the AWS SDK.
    pub sdk: Arc<dyn SdkFolders>,
    /// gust's own routes.
    pub admin: Arc<dyn AdminHandlers>,
}

/// Where everything is kept.
pub struct Storage {
    store: Store,
    blobs: Blobs,
}

impl Storage {
    /// Opens or creates what is kept in `folder`. Takes as long as recovery takes. `sync_delay` is added to every sync.
    ///
    /// Errors: a part cannot be opened; the message names it.
    pub async fn open(folder: PathBuf, is_ephemeral: bool, sync_delay: Duration) -> Result<Storage, Failure> {
        let open = move || {
            let blobs = Blobs::open(&folder.join("blobs"), BlobsOptions::default());
            let blobs = blobs.context("cannot open the packages and logs")?;
            let store = match is_ephemeral {
                true => Store::memory(),
                false => {
                    let store =
                        Store::open_fjall(&folder.join("store"), StoreOptions { sync_delay, ..Default::default() });
                    store.context("cannot open the store")?
                }
            };
            Ok(Storage { store, blobs })
        };
        tokio::task::spawn_blocking(open).await.context("cannot open the data folder")?
    }
}

impl Storage {
    /// What a copy is made of.
    pub fn sources(&self) -> Sources {
        Sources { store: self.store.clone(), blobs: self.blobs.clone() }
    }
}

/// Everything that gust remembers and runs. A reset makes a new one.
pub struct World {
    store: Store,
    /// Only in an ephemeral one.
    clock: Option<Arc<MovableClock>>,
    logs: Arc<Logs>,
    lambda: Arc<Lambda>,
    engine: Engine,
    gateway: Gateway,
    worker: JoinHandle<()>,
    services: Vec<&'static str>,
    new_root_key: Option<Credentials>,
    began_at_ms: i64,
    sources: Sources,
}

impl World {
    /// Opens or creates the world in `folder` and begins its background work. Nothing is served yet.
    ///
    /// Errors: a part cannot be opened; the message names it.
    pub async fn open(folder: &Path, storage: Storage, surroundings: &Surroundings) -> Result<World, Failure> {
        let config = &surroundings.config;
        let began_at_ms = SystemClock.now_ms();
        let sources = storage.sources();
        let Storage { store, blobs } = storage;
        let real = Platform::system(store.clone());
        // What is due follows this clock; signatures, credentials, deadlines and functions live in real time.
        let clock = config.is_ephemeral().then(|| Arc::new(MovableClock::default()));
        let platform = match &clock {
            Some(clock) => Platform { clock: clock.clone(), ..real.clone() },
            None => real.clone(),
        };
        let logs = Logs::open(platform.clone(), blobs.clone(), gust_logs::Settings::default());
        let logs = logs.await.context("cannot open the logs")?;
        let (key_ring, sts) = open_identities(&real, config.auth);
        let new_root_key = match config.auth {
            Auth::Open => None,
            Auth::Strict => key_ring.ensure_root_key(&config.account).await.context("cannot make the root key")?,
        };
        let catalog = open_catalog(&platform, blobs, folder, config.is_ephemeral())?;
        let endpoints = Arc::new(Endpoints::default());
        let user_keys: Arc<dyn UserKeys> = key_ring.clone();
        let credentials: Arc<dyn CredentialSource> = key_ring;
        let ports = Ports {
            logs: logs.clone(),
            credentials: credentials.clone(),
            endpoint: endpoints.clone(),
            sdk: surroundings.sdk.clone(),
        };
        let engine = Engine::new(engine_settings(config), real.clone(), surroundings.launcher.clone(), ports);
        let authorizer = authorizer(&real, config.auth);
        let targets = open_targets(&platform, &catalog, &engine, authorizer.clone());
        let settings = lambda_settings(config, &platform, targets.clone());
        let lambda = Lambda::open(platform.clone(), catalog.clone(), Arc::new(engine.clone()), settings);
        let lambda = lambda.await.context("cannot open the functions")?;
        let registry = Registry::new([
            Arc::new(ServiceEndpoint(lambda.clone())) as Arc<dyn Endpoint>,
            Arc::new(ServiceEndpoint(logs.clone())),
            Arc::new(ServiceEndpoint(Arc::new(Iam::new(platform.clone(), user_keys)))),
            Arc::new(ServiceEndpoint(Arc::new(sts))),
        ]);
        let mut services: Vec<&'static str> = registry.services().map(|endpoint| endpoint.model().id).collect();
        services.sort_unstable();
        let urls =
            FunctionUrls { directory: catalog.clone(), catalog: catalog.clone(), invoker: Arc::new(engine.clone()) };
        let gateway = open_gateway(registry, credentials, urls, &real, surroundings, authorizer);
        endpoints.set(gateway.clone());
        let queue = engine.start_queue(catalog, targets, platform.clock.clone());
        queue.await.context("cannot start the queue of asynchronous events")?;
        let worker = tokio::spawn(lambda.clone().work());
        Ok(World { store, clock, logs, lambda, engine, gateway, worker, services, new_root_key, began_at_ms, sources })
    }

    /// Serves `listener`.
    pub fn serve(&self, listener: TcpListener) -> Result<Serving, Failure> {
        let listener = tokio::net::TcpListener::from_std(listener).context("cannot serve the socket")?;
        Ok(self.gateway.serve(listener, ConnectionOrigin::Public))
    }

    /// What a copy of it is made of.
    pub fn sources(&self) -> Sources {
        self.sources.clone()
    }

    /// What runs functions.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Since when it counts what functions do, in milliseconds since the epoch.
    pub fn began_at_ms(&self) -> i64 {
        self.began_at_ms
    }

    /// The functions' service, for links to their code.
    pub fn lambda(&self) -> &Arc<Lambda> {
        &self.lambda
    }

    /// The ids of the services, sorted.
    pub fn services(&self) -> &[&'static str] {
        &self.services
    }

    /// The root key, if this start made it (`--auth strict`): it is shown now and never again.
    pub fn new_root_key(&self) -> Option<&Credentials> {
        self.new_root_key.as_ref()
    }

    /// Moves the clock forward, and returns what it shows.
    pub fn move_clock(&self, by_ms: i64) -> Result<i64, ClockError> {
        let clock = self.clock.as_ref().ok_or(ClockError::NotEphemeral)?;
        if !clock.advance_ms(by_ms) {
            return Err(ClockError::OutOfRange);
        }
        self.store.wake(CLOCK_MOVED_TOPIC);
        Ok(clock.now_ms())
    }

    /// Returns when the store has failed for good.
    pub async fn fatal(&self) -> StoreError {
        self.store.fatal().await
    }

    /// Lets running functions finish until `deadline`, then ends everything. Says whether all had finished.
    pub async fn close(&self, deadline: Duration) -> bool {
        let is_drained = self.engine.shutdown(deadline).await;
        self.worker.abort();
        self.logs.close().await;
        if let Err(cause) = self.store.close().await {
            tracing::error!(%cause, "the store did not close in order; the next start recovers");
        }
        is_drained
    }
}

/// Keys, and the service that hands them out. Without verified signatures roles need not exist.
fn open_identities(platform: &Platform, auth: Auth) -> (Arc<KeyRing>, Sts) {
    let roles: Arc<dyn RoleDirectory> = Arc::new(Roles::new(platform.store.clone()));
    let key_ring = Arc::new(KeyRing::new(platform.clone(), roles.clone()));
    let role_policy = match auth {
        Auth::Open => RolePolicy::Any,
        Auth::Strict => RolePolicy::Existing,
    };
    let sts = Sts::new(platform.clone(), key_ring.clone(), roles, role_policy);
    (key_ring, sts)
}

/// Who evaluates policies; nobody without verified signatures, for then nobody knows who calls.
fn authorizer(platform: &Platform, auth: Auth) -> Option<Arc<dyn Authorizer>> {
    let policies = || Arc::new(Policies::new(platform.store.clone()));
    match auth {
        Auth::Open => None,
        Auth::Strict => Some(Arc::new(PolicyAuthorizer::new(policies(), platform.clock.clone()))),
    }
}

fn open_catalog(platform: &Platform, blobs: Blobs, folder: &Path, is_ephemeral: bool) -> Result<Arc<Catalog>, Failure> {
    let durability = if is_ephemeral { Durability::Ephemeral } else { Durability::Synced };
    let code = CodeStore::open(blobs, folder.join("code"), durability, platform.ids.clone());
    let code = Arc::new(code.context("cannot open the unpacked code")?);
    Ok(Arc::new(Catalog::new(platform.clone(), code, gust_lambda::limits::SETTLE_WAIT_MS)))
}

/// All that takes records of asynchronous invocations: functions. What each role may send to is asked where policies
/// are evaluated.
fn open_targets(
    platform: &Platform,
    catalog: &Arc<Catalog>,
    engine: &Engine,
    authorizer: Option<Arc<dyn Authorizer>>,
) -> Targets {
    let roles = || Arc::new(Roles::new(platform.store.clone())) as Arc<dyn RoleDirectory>;
    let rights = authorizer.map(|authorizer| RoleRights::new(authorizer, roles()));
    let functions = FunctionTarget::new(catalog.clone(), Arc::new(engine.clone()), platform.ids.clone(), rights);
    Targets::new([(TargetKind::Function, Arc::new(functions) as Arc<dyn Target>)])
}

/// With verified signatures a function's role must exist and trust Lambda.
fn lambda_settings(config: &Config, platform: &Platform, targets: Targets) -> gust_lambda::Settings {
    let roles = || Arc::new(Roles::new(platform.store.clone())) as Arc<dyn ServiceRoles>;
    gust_lambda::Settings {
        concurrent_executions: config.concurrency.cast_signed(),
        roles: (config.auth == Auth::Strict).then(roles),
        targets,
        ..Default::default()
    }
}

fn engine_settings(config: &Config) -> gust_invoke::Settings {
    let account_concurrency = usize::try_from(config.concurrency).unwrap_or(usize::MAX);
    gust_invoke::Settings { account_concurrency, freeze: config.freeze, ..Default::default() }
}

fn open_gateway(
    registry: Registry,
    credentials: Arc<dyn CredentialSource>,
    urls: FunctionUrls,
    platform: &Platform,
    surroundings: &Surroundings,
    authorizer: Option<Arc<dyn Authorizer>>,
) -> Gateway {
    let config = &surroundings.config;
    let policy = match config.auth {
        Auth::Open => AuthPolicy::Open,
        Auth::Strict => AuthPolicy::Strict,
    };
    let settings = GatewayConfig {
        default_account: config.account.clone(),
        hosts: config.allowed_hosts.clone(),
        authorizer,
        urls: Some(urls),
        clock: platform.clock.clone(),
        ids: platform.ids.clone(),
    };
    Gateway::new(registry, policy, credentials, surroundings.admin.clone(), settings)
}
