//! The daemon's side: a clonable handle on the spawner and one handle per sandbox.
//!
//! One tokio task per spawner owns the socket. It sends requests, hands each reply to whoever waits for it by request
//! number, and keeps the state of every sandbox in a watch channel, so that an exit is neither late nor lost.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::connection::{self, Ends, Outgoing, Reply, State};
use crate::launch;
use crate::peer::PeerCheck;
use crate::protocol::{Failure, Message, Op, Request};
use crate::spawner::{SPAWNER_ARGUMENT, Settings};
use crate::spec::EXTENSIONS_MAX;
use crate::{
    Capabilities, Exit, ExtensionExit, Folders, Interpreter, NatConfig, NetworkFacts, SandboxError, SandboxSpec,
    SandboxStats, Sizes,
};

/// Requests that wait to be sent, at most; more wait in their callers.
const REQUESTS_MAX: usize = 1024;
const START_TIMEOUT: Duration = Duration::from_secs(10);
const CREATE_TIMEOUT: Duration = Duration::from_secs(10);
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);

/// How to start a spawner.
#[derive(Debug, Clone)]
pub struct SpawnerConfig {
    /// A folder of the spawner's own, made if missing (mode 0700).
    pub state_dir: PathBuf,
    /// Identifies the data folder: tags cgroups, so that leftovers of a killed gust are found. 1 to 64 of
    /// `[A-Za-z0-9_-]`.
    pub data_id: String,
    /// First host uid of the range for sandboxes (root only). [`SpawnerConfig::UID_BASE`] lies where no distribution,
    /// container engine or systemd allocates.
    pub uid_base: u32,
    /// Host uids in the range; each live sandbox takes two.
    pub uid_count: u32,
    /// For environments with [`crate::Egress::Nat`].
    pub nat: NatConfig,
    /// The binary to start as spawner. `None`: this one.
    pub executable: Option<PathBuf>,
}

impl SpawnerConfig {
    /// Default first uid.
    pub const UID_BASE: u32 = 2_000_000_000;
    /// Default number of uids.
    pub const UID_COUNT: u32 = 65_536;

    /// A configuration with the default uid range and this binary.
    pub fn new(state_dir: PathBuf, data_id: impl Into<String>) -> SpawnerConfig {
        SpawnerConfig {
            state_dir,
            data_id: data_id.into(),
            uid_base: SpawnerConfig::UID_BASE,
            uid_count: SpawnerConfig::UID_COUNT,
            nat: NatConfig::default(),
            executable: None,
        }
    }
}

/// A handle on the spawner process; clones share it. When the last handle is dropped, every sandbox is killed and the
/// spawner ends.
#[derive(Clone)]
pub struct Spawner {
    shared: Arc<Shared>,
}

struct Shared {
    requests: mpsc::Sender<Outgoing>,
    /// Kills by dropped handles, which cannot wait. At most one per sandbox, and those are bounded by the uid range.
    kills: mpsc::UnboundedSender<u64>,
    next: AtomicU64,
    capabilities: Capabilities,
    ended: watch::Receiver<bool>,
    pid: u32,
}

impl Spawner {
    /// Starts the spawner, sweeps what a killed gust with the same data id left, and learns what is possible here.
    /// Call it inside a tokio runtime.
    pub async fn start(config: SpawnerConfig) -> Result<Spawner, SandboxError> {
        launch::check_name("data id", &config.data_id)?;
        let executable = match config.executable {
            Some(path) => path,
            None => PathBuf::from("/proc/self/exe"),
        };
        let settings = Settings {
            state_dir: config.state_dir,
            data_id: config.data_id,
            uid_base: config.uid_base,
            uid_count: config.uid_count,
            nat: config.nat,
        };
        let (here, there) = crate::sys::seqpacket_pair().map_err(SandboxError::io("make the control socket"))?;
        // Nothing of this process's environment may reach a sandbox's supervisor.
        let child = Command::new(executable)
            .arg(SPAWNER_ARGUMENT)
            .arg(serde_json::to_string(&settings).map_err(|error| SandboxError::Protocol(error.to_string()))?)
            .env_clear()
            .stdin(Stdio::from(there))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .current_dir("/")
            .spawn()
            .map_err(SandboxError::io("start the spawner"))?;
        let pid = child.id();
        let mut connection = connection::Connection::new(here, child)?;
        let hello = tokio::time::timeout(START_TIMEOUT, connection.receive());
        let capabilities = match hello.await {
            Ok(Ok(Some((Message::Hello(capabilities), _)))) => capabilities,
            Ok(Ok(Some(_))) => return Err(SandboxError::Protocol("expected a greeting".to_owned())),
            Ok(Ok(None)) => return Err(SandboxError::SpawnerGone),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(SandboxError::Timeout(START_TIMEOUT.as_millis() as u64)),
        };
        let (requests, request_receiver) = mpsc::channel(REQUESTS_MAX);
        let (kills, kill_receiver) = mpsc::unbounded_channel();
        let (ended_sender, ended) = watch::channel(false);
        tokio::spawn(connection.run(request_receiver, kill_receiver, ended_sender));
        let shared = Shared { requests, kills, next: AtomicU64::new(1), capabilities, ended, pid };
        Ok(Spawner { shared: Arc::new(shared) })
    }

    /// The mode of this machine and its table of guarantees.
    pub fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    /// The spawner's process id, for diagnostics and tests.
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Returns when the spawner has ended, for whatever reason; every sandbox has ended with it.
    pub async fn ended(&self) {
        // An error means that the connection task itself is gone, which is the same.
        drop(self.shared.ended.clone().wait_for(|ended| *ended).await);
    }

    /// Starts the zygote of an interpreter ahead of the first sandbox that needs it.
    pub async fn warm(&self, interpreter: &Interpreter) -> Result<(), SandboxError> {
        let op = Op::Warm { interpreter: interpreter.path.clone(), prefix: interpreter.prefix.clone() };
        self.control(op, CREATE_TIMEOUT).await
    }

    /// Gets ready for environments with [`crate::Egress::Nat`], which the first one does otherwise.
    ///
    /// Errors: there can be none on this machine, and why.
    pub async fn prepare_network(&self) -> Result<NetworkFacts, SandboxError> {
        if !self.is_root() {
            return Err(SandboxError::InvalidSpec("egress nat takes root: use host or none".to_owned()));
        }
        let request = self.shared.next.fetch_add(1, Ordering::Relaxed);
        match self.ask(request, Op::PrepareNetwork, Vec::new(), None, CREATE_TIMEOUT).await? {
            (Message::Network { facts, .. }, _) => Ok(facts),
            _ => Err(SandboxError::Protocol("unexpected reply".to_owned())),
        }
    }

    /// Makes a sandbox and starts its program. Bounded to 10 s. If the future is dropped, so is the sandbox.
    pub async fn create(&self, spec: SandboxSpec) -> Result<Sandbox, SandboxError> {
        let folders = launch::folders(&spec);
        self.make(spec, Some(folders)).await
    }

    /// The same without a function: its folders in `spec` are not looked at, they come with [`Sandbox::attach`], as do its
    /// sizes (except for Node.js, whose process knows its memory from the start). Its process says `W` on the channel and
    /// waits there for a frame `H` with its environment as a JSON object; a [`Program::Exec`] for a [`crate::StubOrder`],
    /// whatever the program in `spec`.
    pub async fn create_vacant(&self, spec: SandboxSpec) -> Result<Sandbox, SandboxError> {
        self.make(spec, None).await
    }

    /// Whether sandboxes can be made without a function: only root can mount in them from outside.
    pub fn can_make_vacant(&self) -> bool {
        self.is_root()
    }

    fn is_root(&self) -> bool {
        matches!(self.capabilities().mode, crate::Mode::RootV1 | crate::Mode::RootV2)
    }

    async fn make(&self, spec: SandboxSpec, folders: Option<Folders>) -> Result<Sandbox, SandboxError> {
        let launch = launch::prepare(&spec, self.is_root(), folders)?;
        let key = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (state_sender, state) = watch::channel(State::Running);
        let (extension_sender, extension_exits) = mpsc::channel(EXTENSIONS_MAX);
        let mut sandbox = Sandbox {
            id: spec.id,
            runtime_api: None,
            endpoint: None,
            channel: launch.channel,
            output: Some(launch.output),
            log: launch.log,
            extension_output: launch.extension_output,
            extension_exits: Some(extension_exits),
            peer: PeerCheck { pid: 0, uid: None },
            key,
            spawner: self.clone(),
            state,
        };
        let op = Op::Create(Box::new(launch.create));
        let ends = Ends { state: state_sender, extensions: extension_sender };
        let reply = self.ask(key, op, launch.fds, Some(ends), CREATE_TIMEOUT).await?;
        let (Message::Created { pid, uid, .. }, fds) = reply else {
            return Err(SandboxError::Protocol("expected a sandbox".to_owned()));
        };
        sandbox.peer = PeerCheck { pid, uid };
        let mut listeners = fds.into_iter().map(TcpListener::from);
        sandbox.runtime_api = listeners.next();
        sandbox.endpoint = listeners.next();
        for listener in [&sandbox.runtime_api, &sandbox.endpoint] {
            let listener = listener.as_ref().ok_or_else(|| SandboxError::Protocol("listeners missing".to_owned()))?;
            listener.set_nonblocking(true).map_err(SandboxError::io("set up a listener"))?;
        }
        Ok(sandbox)
    }

    /// Kills every sandbox and ends the spawner; returns when all are gone.
    pub async fn shutdown(&self) -> Result<(), SandboxError> {
        match self.control(Op::Shutdown, CONTROL_TIMEOUT).await {
            Ok(()) | Err(SandboxError::SpawnerGone) => {}
            Err(error) => return Err(error),
        }
        tokio::time::timeout(CREATE_TIMEOUT, self.ended())
            .await
            .map_err(|_| SandboxError::Timeout(CREATE_TIMEOUT.as_millis() as u64))
    }

    async fn control(&self, op: Op, timeout: Duration) -> Result<(), SandboxError> {
        let request = self.shared.next.fetch_add(1, Ordering::Relaxed);
        match self.ask(request, op, Vec::new(), None, timeout).await? {
            (Message::Done { .. }, _) => Ok(()),
            _ => Err(SandboxError::Protocol("unexpected reply".to_owned())),
        }
    }

    async fn ask(
        &self,
        request: u64,
        op: Op,
        fds: Vec<OwnedFd>,
        ends: Option<Ends>,
        timeout: Duration,
    ) -> Result<Reply, SandboxError> {
        let bytes =
            serde_json::to_vec(&Request { request, op }).map_err(|error| SandboxError::Protocol(error.to_string()))?;
        if bytes.len() > crate::protocol::MESSAGE_BYTES_MAX {
            return Err(SandboxError::InvalidSpec("specification too large".to_owned()));
        }
        let (reply, receiver) = oneshot::channel();
        let outgoing = Outgoing { request, bytes, fds, reply, ends };
        let exchange = async {
            self.shared.requests.send(outgoing).await.map_err(|_| SandboxError::SpawnerGone)?;
            receiver.await.map_err(|_| SandboxError::SpawnerGone)
        };
        let reply = tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| SandboxError::Timeout(timeout.as_millis() as u64))??;
        match reply.0 {
            Message::Failed { failure: Failure::Invalid(message), .. } => Err(SandboxError::InvalidSpec(message)),
            Message::Failed { failure: Failure::NotExecuted(cause), .. } => Err(SandboxError::NotExecuted(cause)),
            Message::Failed { failure: Failure::NoFreeSlot(count), .. } => Err(SandboxError::NoFreeSlot(count)),
            Message::Failed { failure: Failure::Setup { step, message }, .. } => {
                Err(SandboxError::Setup { step, message })
            }
            _ => Ok(reply),
        }
    }
}

/// A running sandbox. Dropping it kills and removes everything in it.
pub struct Sandbox {
    /// The id of its specification.
    pub id: String,
    /// Listens at 127.0.0.1:9001 inside (`AWS_LAMBDA_RUNTIME_API`). Non-blocking, ready for tokio. Take it out to serve
    /// it. Always there when `create` returns.
    pub runtime_api: Option<TcpListener>,
    /// Listens at 127.0.0.1:4566 inside (`AWS_ENDPOINT_URL`). Non-blocking, ready for tokio.
    pub endpoint: Option<TcpListener>,
    /// The private channel (Python with [`crate::RuntimeTransport::Channel`] only). Non-blocking.
    pub channel: Option<UnixStream>,
    /// Read end of the pipe that is stdout and stderr of everything inside. Non-blocking; must be drained.
    pub output: Option<OwnedFd>,
    /// Read end of the framed log pipe (Python only). Non-blocking; must be drained.
    pub log: Option<OwnedFd>,
    /// Read end of the pipe that is stdout and stderr of the extensions, if there are any. Non-blocking; must be drained.
    pub extension_output: Option<OwnedFd>,
    /// Tells the end of each extension.
    pub extension_exits: Option<mpsc::Receiver<ExtensionExit>>,
    peer: PeerCheck,
    key: u64,
    spawner: Spawner,
    state: watch::Receiver<State>,
}

impl Sandbox {
    /// Gives a sandbox of [`Spawner::create_vacant`] its function's folders and limits, once. One for Node.js has its limits
    /// already, which must be the same.
    pub async fn attach(&self, folders: Folders, sizes: Sizes) -> Result<(), SandboxError> {
        launch::check_folders(&folders)?;
        launch::check_sizes(sizes)?;
        self.spawner.control(Op::Attach { key: self.key, folders, sizes }, CONTROL_TIMEOUT).await
    }

    /// Waits for the main process to end. May be called any number of times, from anywhere; never loses the exit.
    pub async fn wait(&self) -> Exit {
        let mut state = self.state.clone();
        let ended = state.wait_for(|state| state.exit().is_some()).await;
        ended.ok().and_then(|state| state.exit()).unwrap_or(State::KILLED)
    }

    /// The exit, if it has happened.
    pub fn try_wait(&self) -> Option<Exit> {
        self.state.borrow().exit()
    }

    /// Kills the whole tree, frozen or not, and returns when processes, mounts and cgroups are gone.
    pub async fn kill(&self) -> Result<(), SandboxError> {
        if self.spawner.shared.kills.send(self.key).is_err() {
            return Ok(());
        }
        let mut state = self.state.clone();
        let gone = state.wait_for(|state| matches!(state, State::Gone(_)));
        match tokio::time::timeout(CONTROL_TIMEOUT, gone).await {
            // An error means that the spawner is gone, and all sandboxes with it.
            Ok(_) => Ok(()),
            Err(_) => Err(SandboxError::Timeout(CONTROL_TIMEOUT.as_millis() as u64)),
        }
    }

    /// Stops every process inside from running until [`Sandbox::thaw`].
    pub async fn freeze(&self) -> Result<(), SandboxError> {
        self.spawner.control(Op::Freeze { key: self.key }, CONTROL_TIMEOUT).await
    }

    /// Lets a frozen sandbox run again.
    pub async fn thaw(&self) -> Result<(), SandboxError> {
        self.spawner.control(Op::Thaw { key: self.key }, CONTROL_TIMEOUT).await
    }

    /// Lets the program start that waits for the extensions.
    pub async fn start_program(&self) -> Result<(), SandboxError> {
        self.spawner.control(Op::StartProgram { key: self.key }, CONTROL_TIMEOUT).await
    }

    /// Asks the main process to end (SIGTERM).
    pub async fn terminate(&self) -> Result<(), SandboxError> {
        self.spawner.control(Op::Terminate { key: self.key }, CONTROL_TIMEOUT).await
    }

    /// Initialisation is over: only the CPU share of MemorySize from now on.
    pub async fn end_boost(&self) -> Result<(), SandboxError> {
        self.spawner.control(Op::EndBoost { key: self.key }, CONTROL_TIMEOUT).await
    }

    /// A TCP socket of the sandbox's own network, not connected and non-blocking: for reaching a listener inside. Works
    /// while the sandbox is frozen, too.
    pub async fn socket(&self) -> Result<OwnedFd, SandboxError> {
        let request = self.spawner.shared.next.fetch_add(1, Ordering::Relaxed);
        let op = Op::Socket { key: self.key };
        match self.spawner.ask(request, op, Vec::new(), None, CONTROL_TIMEOUT).await? {
            (Message::Socket { .. }, mut fds) => {
                fds.pop().ok_or_else(|| SandboxError::Protocol("expected a socket".to_owned()))
            }
            _ => Err(SandboxError::Protocol("unexpected reply".to_owned())),
        }
    }

    /// Knows this sandbox's connections from others'.
    pub fn peer_check(&self) -> PeerCheck {
        self.peer
    }

    /// Measures memory and CPU.
    pub async fn stats(&self) -> Result<SandboxStats, SandboxError> {
        let request = self.spawner.shared.next.fetch_add(1, Ordering::Relaxed);
        let op = Op::Stats { key: self.key };
        match self.spawner.ask(request, op, Vec::new(), None, CONTROL_TIMEOUT).await? {
            (Message::Stats { stats, .. }, _) => Ok(stats),
            _ => Err(SandboxError::Protocol("unexpected reply".to_owned())),
        }
    }

    /// Starts a new peak measurement, e.g. at the begin of an invoke.
    pub async fn reset_memory_peak(&self) -> Result<(), SandboxError> {
        self.spawner.control(Op::ResetPeak { key: self.key }, CONTROL_TIMEOUT).await
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Fails only if the spawner is gone, and this sandbox with it.
        let _ = self.spawner.shared.kills.send(self.key);
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sandbox").field("id", &self.id).field("key", &self.key).finish_non_exhaustive()
    }
}
