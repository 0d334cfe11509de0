//! The interpreters of this machine, looked for while gust already serves.

use async_trait::async_trait;
use gust_invoke::{LaunchError, LaunchOrder, Launched, Launcher, SandboxLauncher, SandboxOptions};
use gust_kit::ports::FunctionSpec;
use gust_sandbox::{Egress, Interpreter, Spawner, SpawnerConfig, discover_interpreters};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// How sandboxes are to be made, as far as the flags say it.
#[derive(Debug, Clone, Copy)]
pub struct Wishes {
    /// Exact interpreter versions only.
    pub strict_runtimes: bool,
    /// What functions may reach.
    pub egress: Egress,
}

/// The managed runtimes that gust knows.
pub fn runtime_names() -> impl Iterator<Item = String> {
    let node = [18, 20, 22, 24].map(|major| format!("nodejs{major}.x"));
    (9..=14).map(|minor| format!("python3.{minor}")).chain(node)
}

/// Starts environments; the first start waits for the search for interpreters to end.
pub struct DeferredLauncher {
    spawner: Spawner,
    spawner_config: SpawnerConfig,
    wishes: Wishes,
    interpreters: OnceCell<Arc<[Interpreter]>>,
    launcher: OnceCell<SandboxLauncher>,
}

impl DeferredLauncher {
    /// A launcher that has not looked yet. If `spawner` ends, another is started with `spawner_config`.
    pub fn new(spawner: Spawner, spawner_config: SpawnerConfig, wishes: Wishes) -> Arc<DeferredLauncher> {
        let (interpreters, launcher) = (OnceCell::new(), OnceCell::new());
        Arc::new(DeferredLauncher { spawner, spawner_config, wishes, interpreters, launcher })
    }

    /// The interpreters; looks for them if nobody has yet.
    pub async fn interpreters(&self) -> Arc<[Interpreter]> {
        let look = || async {
            let search = tokio::task::spawn_blocking(discover_interpreters).await;
            let found = search.unwrap_or_else(|cause| {
                tracing::error!(%cause, "the search for interpreters failed: managed runtimes cannot run");
                Vec::new()
            });
            Arc::from(found)
        };
        self.interpreters.get_or_init(look).await.clone()
    }

    /// The interpreters, if they have been found already.
    pub fn interpreters_now(&self) -> Option<Arc<[Interpreter]>> {
        self.interpreters.get().cloned()
    }

    /// Looks for interpreters; afterwards nothing waits for that any more.
    pub async fn prepare(&self) -> Arc<[Interpreter]> {
        self.launcher().await;
        self.interpreters().await
    }

    /// How many processes wait for functions.
    pub fn spare_counts(&self) -> (usize, usize) {
        self.launcher.get().map_or((0, 0), SandboxLauncher::spare_counts)
    }

    async fn launcher(&self) -> &SandboxLauncher {
        let make = || async {
            let options = SandboxOptions {
                interpreters: self.interpreters().await.to_vec(),
                strict_runtimes: self.wishes.strict_runtimes,
                egress: self.wishes.egress,
            };
            SandboxLauncher::new(self.spawner.clone(), self.spawner_config.clone(), options)
        };
        self.launcher.get_or_init(make).await
    }
}

#[async_trait]
impl Launcher for DeferredLauncher {
    async fn launch(&self, order: LaunchOrder) -> Result<Launched, LaunchError> {
        self.launcher().await.launch(order).await
    }

    fn runtime_version(&self, spec: &FunctionSpec) -> String {
        match self.launcher.get() {
            Some(launcher) => launcher.runtime_version(spec),
            None => spec.runtime.clone(),
        }
    }

    fn warning(&self, spec: &FunctionSpec) -> Option<String> {
        self.launcher.get()?.warning(spec)
    }
}
