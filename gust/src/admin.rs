//! gust's own routes: health, reset, links to code; and the world that they are about.

use crate::cli::Auth;
use crate::config::Config;
use crate::door::Door;
use crate::failure::Failure;
use crate::folder::Folder;
use crate::interpreters::DeferredLauncher;
use crate::sdk::Sdks;
use crate::world::{Storage, Surroundings, World};
use crate::{machine, stats};
use async_trait::async_trait;
use bytes::Bytes;
use gust_gateway::{AdminHandlers, ClockError, ResetError, Serving};
use gust_sandbox::{Capabilities, Choice, Egress, choose};
use gust_types::AccountId;
use serde_json::{Map, Value, json};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Mutex as AsyncMutex;

/// How long requests in flight may take when the world under them is replaced.
const RESET_DRAIN: Duration = Duration::from_secs(10);

/// The running gust, as its own routes see it.
pub struct Node {
    config: Arc<Config>,
    folder: Folder,
    listener: TcpListener,
    launcher: Arc<DeferredLauncher>,
    capabilities: Capabilities,
    sdks: OnceLock<Sdks>,
    surroundings: OnceLock<Surroundings>,
    current: RwLock<Option<Arc<World>>>,
    serving: Mutex<Option<Serving>>,
    /// Where commands of the same user come in.
    door: OnceLock<Door>,
    /// One reset at a time; counts them.
    resets: AsyncMutex<u64>,
    begun: Instant,
}

impl Node {
    /// A node that has no world yet.
    pub fn new(
        config: Arc<Config>,
        folder: Folder,
        listener: TcpListener,
        launcher: Arc<DeferredLauncher>,
        capabilities: Capabilities,
    ) -> Arc<Node> {
        Arc::new(Node {
            config,
            folder,
            listener,
            launcher,
            capabilities,
            sdks: OnceLock::new(),
            surroundings: OnceLock::new(),
            current: RwLock::new(None),
            serving: Mutex::new(None),
            door: OnceLock::new(),
            resets: AsyncMutex::new(0),
            begun: Instant::now(),
        })
    }

    /// Opens the first world on `storage` and serves it. `sdks` is where the SDKs' state can be read.
    pub async fn start(self: &Arc<Node>, storage: Storage, sdks: Sdks) -> Result<(), Failure> {
        let surroundings = Surroundings {
            config: self.config.clone(),
            launcher: self.launcher.clone(),
            sdk: Arc::new(crate::endpoint::RuntimeSdks::new(sdks.clone())),
            admin: Arc::new(Routes(Arc::downgrade(self))),
        };
        let world = Arc::new(World::open(self.folder.path(), storage, &surroundings).await?);
        // Both are set here and nowhere else.
        let _ = (self.sdks.set(sdks), self.surroundings.set(surroundings));
        self.replace(world).await
    }

    /// The world that is served.
    pub fn world(&self) -> Option<Arc<World>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether code under development may come in: callers do not have to prove who they are anyway.
    pub fn lets_developers_in(&self) -> bool {
        self.config.auth == Auth::Open
    }

    /// Keeps the door open as long as the node lives.
    pub fn keep_door(&self, door: Door) {
        if self.door.set(door).is_err() {
            tracing::error!("the door was opened twice");
        }
    }

    /// Whether functions share the machine's network.
    pub fn shares_network(&self) -> bool {
        self.config.egress == Egress::Host
    }

    /// The data folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Stops accepting; requests in flight have until `deadline`. Returns how many connections were cut.
    pub async fn stop_serving(&self, deadline: Duration) -> usize {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        match serving {
            Some(serving) => serving.stop(deadline).await,
            None => 0,
        }
    }

    /// Serves `world` in place of what was served; what was served finishes in the background.
    async fn replace(&self, world: Arc<World>) -> Result<(), Failure> {
        let listener =
            self.listener.try_clone().map_err(|cause| Failure::new(format!("cannot share the socket: {cause}")))?;
        let previous = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(previous) = previous {
            tokio::spawn(previous.stop(RESET_DRAIN));
        }
        let serving = world.serve(listener)?;
        *self.serving.lock().unwrap_or_else(PoisonError::into_inner) = Some(serving);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(world);
        Ok(())
    }

    async fn reset(&self) -> Result<(), ResetError> {
        if !self.config.is_ephemeral() {
            return Err(ResetError::NotEphemeral);
        }
        let mut resets = self.resets.lock().await;
        *resets += 1;
        let folder = self.folder.part(&format!("after-reset-{resets}"));
        let failed = |cause: String| ResetError::Failed(cause);
        std::fs::create_dir_all(&folder).map_err(|cause| failed(cause.to_string()))?;
        let surroundings = self.surroundings.get().ok_or_else(|| failed("gust is still starting".to_owned()))?;
        let storage =
            Storage::open(folder.clone(), true, Duration::ZERO).await.map_err(|cause| failed(cause.message))?;
        let world = World::open(&folder, storage, surroundings).await.map_err(|cause| failed(cause.message))?;
        let old = self.world();
        self.replace(Arc::new(world)).await.map_err(|cause| failed(cause.message))?;
        if let Some(old) = old {
            old.close(Duration::ZERO).await;
        }
        Ok(())
    }

    fn health(&self) -> Value {
        let world = self.world();
        let services: Map<String, Value> = world
            .iter()
            .flat_map(|world| world.services())
            .map(|service| ((*service).to_owned(), Value::from("running")))
            .collect();
        let snapshot = world.map(|world| world.engine().snapshot());
        let (spare_node, prepared) = self.launcher.spare_counts();
        let queued = snapshot.as_ref().and_then(|snapshot| snapshot.queue.as_ref()).map_or(0, |queue| queue.loaded);
        json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_ms": u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "account": self.config.account.as_str(),
            "region": self.config.region.as_str(),
            "ephemeral": self.config.is_ephemeral(),
            "auth": match self.config.auth {
                Auth::Open => "open",
                Auth::Strict => "strict",
            },
            "mode": format!("{:?}", self.capabilities.mode),
            "guarantees": machine::guarantees_json(&self.capabilities.guarantees),
            "dev_socket": self.door.get().filter(|_| self.lets_developers_in()).map(|door| door.path().display().to_string()),
            "services": services,
            "sdk": self.sdks.get().map_or_else(|| json!({"python": null, "node": null}), Sdks::to_json),
            "runtimes": self.runtimes(),
            "invocations": {
                "running": snapshot.as_ref().map_or(0, |snapshot| snapshot.in_flight),
                "queued": queued,
            },
            "environments": {
                "spare": spare_node,
                "prepared": prepared,
                "idle": snapshot.iter().flat_map(|snapshot| &snapshot.functions).map(|function| function.idle).sum::<usize>(),
                "frozen": snapshot.iter().flat_map(|snapshot| &snapshot.functions).map(|function| function.frozen).sum::<usize>(),
            },
        })
    }

    /// What would run each runtime; null while the search goes on.
    fn runtimes(&self) -> Value {
        let Some(interpreters) = self.launcher.interpreters_now() else { return Value::Null };
        let fit = |name: &str| match choose(&interpreters, name, self.config.strict_runtimes) {
            Choice::Exact(_) => "exact",
            Choice::Nearest(_) => "nearest",
            Choice::Missing => "missing",
        };
        Value::Object(
            crate::interpreters::runtime_names().map(|name| (name.clone(), Value::from(fit(&name)))).collect(),
        )
    }
}

/// The routes hold the node weakly: it holds the gateway that holds them.
struct Routes(Weak<Node>);

#[async_trait]
impl AdminHandlers for Routes {
    async fn health(&self) -> Value {
        match self.0.upgrade() {
            Some(node) => node.health(),
            None => json!({"status": "stopping"}),
        }
    }

    async fn stats(&self, account: &AccountId) -> Value {
        match self.0.upgrade().and_then(|node| node.world()) {
            Some(world) => stats::to_json(world.began_at_ms(), &world.engine().statistics(), account),
            None => json!({"status": "stopping"}),
        }
    }

    async fn move_clock(&self, by_ms: i64) -> Result<i64, ClockError> {
        let world = self.0.upgrade().and_then(|node| node.world());
        world.ok_or(ClockError::NotEphemeral)?.move_clock(by_ms)
    }

    async fn reset(&self) -> Result<(), ResetError> {
        match self.0.upgrade() {
            Some(node) => node.reset().await,
            None => Err(ResetError::Failed("gust is stopping".to_owned())),
        }
    }

    async fn download(&self, path_and_query: &str) -> Option<(String, Bytes)> {
        let world = self.0.upgrade()?.world()?;
        let zip = world.lambda().download(path_and_query).await?;
        Some(("application/zip".to_owned(), zip))
    }
}
