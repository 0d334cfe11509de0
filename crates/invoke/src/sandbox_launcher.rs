//! Starts environments as real sandboxes.

use crate::admission::available_memory;
use crate::entrypoint::{WRAPPER, bootstrap, check_wrapper};
use crate::env::{is_custom, needs_own_node, needs_own_python, node_before_function};
use crate::extension_phases::EXTENSIONS_DIR;
use crate::launcher::{Control, LaunchError, LaunchOrder, Launched, Launcher, PipeReader};
use crate::limits::{MEMORY_MB_MIN, PIDS_MAX};
use crate::prebooted::{Kind, Prebooted, Spare};
use crate::sandbox_network::{Inside, OwnProcesses};
use crate::sdk_use::SdkUse;
use async_trait::async_trait;
use gust_kit::ports::FunctionSpec;
use gust_runtime_api::{ApiListener, Channel, Connector, EnvironmentApi, HttpRuntime, RuntimeConnection};
use gust_sandbox::{
    Choice, Egress, Exit, Folders, Interpreter, Language, Program, RuntimeTransport, Sandbox, SandboxError,
    SandboxSpec, Sizes, Spawner, SpawnerConfig, choose,
};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::RwLock;

/// How sandboxes are made.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// The interpreters of this machine.
    pub interpreters: Vec<Interpreter>,
    /// Whether a runtime's exact version is required (`--strict-runtimes`).
    pub strict_runtimes: bool,
    /// What functions can reach.
    pub egress: Egress,
}

const HOSTNAME: &str = "sandbox";

/// What a sandbox is described with whose limits come with its function.
const NO_SIZES: Sizes = Sizes { memory_mb: MEMORY_MB_MIN, tmp_mb: 1 };

/// A sandbox for a process that waits for a function: with nothing of any function.
fn vacant(id: String, kind: Kind, egress: Egress) -> SandboxSpec {
    let transport = RuntimeTransport::Channel;
    let (mut env, mut sizes, mut sdk_dir) = (Vec::new(), NO_SIZES, None);
    let program = match kind {
        Kind::Node { interpreter, sizes: own } => {
            (env, sizes) = (node_before_function(), own);
            Program::Node { interpreter, transport }
        }
        Kind::Python { interpreter, sdk } => {
            sdk_dir = sdk;
            Program::Python { interpreter, transport }
        }
        Kind::Custom => Program::Exec { path: "/".to_owned(), args: Vec::new() },
    };
    SandboxSpec {
        id,
        program,
        code_dir: PathBuf::new(),
        layers_dir: None,
        preload_sdk: sdk_dir.is_some(),
        sdk_dir,
        env,
        memory_mb: sizes.memory_mb,
        tmp_mb: sizes.tmp_mb,
        pids_max: PIDS_MAX,
        egress,
        hostname: HOSTNAME.to_owned(),
        init_boost: true,
        extensions: Vec::new(),
    }
}

/// Starts sandboxes through the spawner.
pub struct SandboxLauncher {
    spawners: Arc<Spawners>,
    options: SandboxOptions,
    prebooted: Arc<Prebooted>,
    sdk_use: SdkUse,
}

/// The spawner, whichever it is by now.
struct Spawners {
    current: RwLock<Spawner>,
    config: SpawnerConfig,
}

impl Spawners {
    /// Makes a sandbox; once more, with a new spawner, if the spawner is found to have ended.
    async fn create(&self, spec: SandboxSpec) -> Result<Sandbox, SandboxError> {
        let created = self.current.read().await.create(spec.clone()).await;
        let Err(SandboxError::SpawnerGone) = created else { return created };
        let mut spawner = self.current.write().await;
        // Others may have waited for the same.
        let created = spawner.create(spec.clone()).await;
        let Err(SandboxError::SpawnerGone) = created else { return created };
        tracing::error!("the sandbox spawner ended, with all environments; another is started");
        *spawner = Spawner::start(self.config.clone()).await?;
        spawner.create(spec).await
    }

    /// Makes a sandbox without a function and waits until its process does.
    async fn boot(&self, spec: SandboxSpec) -> std::io::Result<Spare> {
        let created = self.current.read().await.create_vacant(spec).await;
        Spare::when_waiting(created.map_err(std::io::Error::other)?).await
    }
}

impl SandboxLauncher {
    /// A launcher over `spawner`. If that ends, another is started with `config`.
    pub fn new(spawner: Spawner, config: SpawnerConfig, options: SandboxOptions) -> SandboxLauncher {
        let spawners = Arc::new(Spawners { current: RwLock::new(spawner), config });
        let prebooted = Prebooted::new(Arc::new(available_memory));
        SandboxLauncher { spawners, options, prebooted, sdk_use: SdkUse::default() }
    }

    /// Kills every sandbox and ends the spawner, whichever it is by now.
    ///
    /// Errors: it did not end in time.
    pub async fn shutdown(&self) -> Result<(), SandboxError> {
        self.spawners.current.read().await.shutdown().await
    }

    /// How many processes of Node.js wait for functions, and how many sandboxes for Python and custom runtimes.
    pub fn spare_counts(&self) -> (usize, usize) {
        self.prebooted.counts()
    }

    /// A process that was started ahead, with the function of `order`. `None`: there is none, or none that fits.
    async fn adopt(&self, program: &Program, order: &LaunchOrder, preload_sdk: bool) -> Option<Spare> {
        let LaunchOrder { id, spec, variables, sdk_dir, extensions, .. } = order;
        let kind = kind(program, spec, sdk_dir.as_ref().filter(|_| preload_sdk))?;
        // Its start waits for external extensions.
        if !extensions.is_empty() || !self.spawners.current.read().await.can_make_vacant() {
            return None;
        }
        let sizes = Sizes { memory_mb: spec.memory_mb, tmp_mb: spec.tmp_mb };
        let executable = match program {
            Program::Exec { path, args } => Some((path.as_str(), args.as_slice())),
            Program::Node { .. } | Program::Python { .. } => None,
        };
        let (spawners, egress, number) = (self.spawners.clone(), self.options.egress, AtomicU64::new(0));
        let keeper = id.clone();
        let boot = move |kind: Kind| {
            let id = format!("spare-{keeper}-{}", number.fetch_add(1, Ordering::Relaxed));
            let (spawners, spec) = (spawners.clone(), vacant(id, kind, egress));
            async move { spawners.boot(spec).await }
        };
        let spare = self.prebooted.take(kind, boot)?;
        let folders =
            Folders { code_dir: spec.code_dir.clone(), layers_dir: spec.layers_dir.clone(), sdk_dir: sdk_dir.clone() };
        match spare.adopt(folders, sizes, variables, executable).await {
            Ok(spare) => Some(spare),
            Err(error) => {
                // If it is the function's fault, the new one says so in the right words.
                tracing::debug!(%error, function = spec.arn, "a process started ahead is of no use: a new one is started");
                None
            }
        }
    }

    /// Whether the function probably imports the AWS SDK that it is shown.
    fn uses_sdk(&self, program: &Program, order: &LaunchOrder) -> bool {
        let LaunchOrder { spec, sdk_dir, .. } = order;
        matches!(program, Program::Python { transport: RuntimeTransport::Channel, .. })
            && sdk_dir.is_some()
            && self.sdk_use.is_likely(&spec.code_dir, spec.layers_dir.as_deref(), &spec.handler)
    }

    /// Connects it, and guards its Runtime API where others could reach it.
    fn connect(
        &self,
        sandbox: Sandbox,
        channel: Option<UnixStream>,
        api: Arc<EnvironmentApi>,
    ) -> Result<Launched, LaunchError> {
        if self.options.egress == Egress::Host {
            api.set_guard(Arc::new(OwnProcesses(sandbox.peer_check())));
        }
        connect(sandbox, channel, api).map_err(|error| LaunchError::Sandbox(format!("its pipes: {error}")))
    }

    fn program(&self, spec: &FunctionSpec, has_extensions: bool) -> Result<Program, LaunchError> {
        if is_custom(&spec.runtime) {
            return Ok(Program::Exec { path: bootstrap(spec)?.to_owned(), args: Vec::new() });
        }
        check_wrapper(spec)?;
        match choose(&self.options.interpreters, &spec.runtime, self.options.strict_runtimes) {
            Choice::Exact(interpreter) | Choice::Nearest(interpreter) => {
                // A wrapper or an extension may put a proxy of the Runtime API before the runtime: it needs one to proxy.
                let is_proxied = has_extensions || spec.environment.contains_key(WRAPPER);
                let transport = if is_proxied { RuntimeTransport::Http } else { RuntimeTransport::Channel };
                Ok(match interpreter.language {
                    Language::Python => Program::Python { interpreter, transport },
                    Language::Node => Program::Node { interpreter, transport },
                })
            }
            Choice::Missing => {
                let text = format!("No interpreter for {} was found on this machine (see gust doctor).", spec.runtime);
                Err(LaunchError::RuntimeUnavailable(text))
            }
        }
    }
}

#[async_trait]
impl Launcher for SandboxLauncher {
    async fn launch(&self, order: LaunchOrder) -> Result<Launched, LaunchError> {
        let program = self.program(&order.spec, !order.extensions.is_empty())?;
        let preload_sdk = self.uses_sdk(&program, &order);
        if let Some(spare) = self.adopt(&program, &order, preload_sdk).await {
            // A custom runtime's channel has ended: it speaks HTTP.
            let channel = (!matches!(program, Program::Exec { .. })).then_some(spare.channel);
            return self.connect(spare.sandbox, channel, order.api);
        }
        let LaunchOrder { id, spec, variables, sdk_dir, extensions, api } = order;
        let sandbox = SandboxSpec {
            id,
            program,
            code_dir: spec.code_dir.clone(),
            layers_dir: spec.layers_dir.clone(),
            sdk_dir,
            preload_sdk,
            env: variables,
            memory_mb: spec.memory_mb,
            tmp_mb: spec.tmp_mb,
            pids_max: PIDS_MAX,
            egress: self.options.egress,
            hostname: HOSTNAME.to_owned(),
            init_boost: true,
            extensions: extensions.iter().map(|name| format!("{EXTENSIONS_DIR}/{name}")).collect(),
        };
        let sandbox = self.spawners.create(sandbox).await.map_err(|error| match error {
            SandboxError::NotExecuted(cause) => LaunchError::InvalidEntrypoint(cause),
            error => LaunchError::Sandbox(error.to_string()),
        })?;
        self.connect(sandbox, None, api)
    }

    fn runtime_version(&self, spec: &FunctionSpec) -> String {
        if is_custom(&spec.runtime) {
            return format!("{}.v1", spec.runtime.replacen('.', ":", 1));
        }
        match choose(&self.options.interpreters, &spec.runtime, self.options.strict_runtimes) {
            Choice::Exact(Interpreter { language, version: (major, minor, micro), .. })
            | Choice::Nearest(Interpreter { language, version: (major, minor, micro), .. }) => match language {
                Language::Python => format!("python:{major}.{minor}.v{micro}"),
                Language::Node => format!("nodejs:{major}.v{minor}"),
            },
            Choice::Missing => spec.runtime.clone(),
        }
    }

    fn warning(&self, spec: &FunctionSpec) -> Option<String> {
        if is_custom(&spec.runtime) {
            return None;
        }
        match choose(&self.options.interpreters, &spec.runtime, self.options.strict_runtimes) {
            Choice::Nearest(interpreter) => Some(format!(
                "gust: {} is not installed on this machine, {} {} runs this function instead",
                spec.runtime,
                interpreter.language.name(),
                interpreter.version_text()
            )),
            Choice::Exact(_) | Choice::Missing => None,
        }
    }
}

/// The kind of process started ahead that could run the function; `None` if it needs one of its own.
fn kind(program: &Program, spec: &FunctionSpec, sdk: Option<&PathBuf>) -> Option<Kind> {
    let sizes = Sizes { memory_mb: spec.memory_mb, tmp_mb: spec.tmp_mb };
    match program {
        Program::Node { interpreter, transport: RuntimeTransport::Channel } if !needs_own_node(spec) => {
            Some(Kind::Node { interpreter: interpreter.clone(), sizes })
        }
        Program::Python { interpreter, transport: RuntimeTransport::Channel } if !needs_own_python(spec) => {
            Some(Kind::Python { interpreter: interpreter.clone(), sdk: sdk.cloned() })
        }
        Program::Exec { .. } => Some(Kind::Custom),
        Program::Node { .. } | Program::Python { .. } => None,
    }
}

/// Hands the sandbox's descriptors to the reactor; `channel` is there if that has it already.
fn connect(mut sandbox: Sandbox, channel: Option<UnixStream>, api: Arc<EnvironmentApi>) -> std::io::Result<Launched> {
    let channel = match (channel, sandbox.channel.take()) {
        (None, Some(channel)) => Some(UnixStream::from_std(channel)?),
        (channel, _) => channel,
    };
    let listener = sandbox.runtime_api.take();
    let (output, log, endpoint) = (sandbox.output.take(), sandbox.log.take(), sandbox.endpoint.take());
    let (extension_output, extension_exits) = (sandbox.extension_output.take(), sandbox.extension_exits.take());
    let sandbox = Arc::new(sandbox);
    // Whoever can subscribe can be reached.
    api.telemetry.set_connector(Arc::new(Inside(Arc::downgrade(&sandbox))));
    let listener = listener.ok_or_else(|| std::io::Error::other("it has no listener"))?;
    let listener = TcpListener::from_std(listener)?;
    let (connection, api_listener) = match channel {
        Some(channel) => (RuntimeConnection::Channel(Channel::new(channel)), Some(ApiListener::serve(listener, api))),
        None => (RuntimeConnection::Http(HttpRuntime::serve_with(listener, Some(api))), None),
    };
    let reader = |descriptor: Option<OwnedFd>| -> std::io::Result<Option<PipeReader>> {
        let Some(descriptor) = descriptor else { return Ok(None) };
        Ok(Some(Box::new(pipe::Receiver::from_owned_fd(descriptor)?)))
    };
    Ok(Launched {
        connection,
        stdout: reader(output)?,
        log: reader(log)?,
        endpoint,
        api_listener,
        extension_output: reader(extension_output)?,
        extension_exits,
        control: Arc::new(SandboxControl(sandbox)),
    })
}

struct SandboxControl(Arc<Sandbox>);

fn text(error: SandboxError) -> String {
    error.to_string()
}

#[async_trait]
impl Control for SandboxControl {
    async fn exit(&self) -> Exit {
        self.0.wait().await
    }

    async fn kill(&self) -> Result<(), String> {
        self.0.kill().await.map_err(text)
    }

    async fn freeze(&self) -> Result<(), String> {
        self.0.freeze().await.map_err(text)
    }

    async fn thaw(&self) -> Result<(), String> {
        self.0.thaw().await.map_err(text)
    }

    async fn start_program(&self) -> Result<(), String> {
        self.0.start_program().await.map_err(text)
    }

    async fn terminate(&self) -> Result<(), String> {
        self.0.terminate().await.map_err(text)
    }

    async fn end_boost(&self) -> Result<(), String> {
        self.0.end_boost().await.map_err(text)
    }

    async fn connect(&self, port: u16) -> Result<TcpStream, String> {
        Inside(Arc::downgrade(&self.0)).connect(port).await.map_err(|error| error.to_string())
    }

    async fn memory_peak_bytes(&self) -> Option<u64> {
        match self.0.stats().await {
            Ok(stats) => Some(stats.memory_peak_bytes),
            Err(error) => {
                tracing::debug!(%error, sandbox = self.0.id, "memory could not be measured");
                None
            }
        }
    }
}
