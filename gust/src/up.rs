//! `gust up`: starts everything, serves, and ends in order.

use crate::admin::Node;
use crate::banner;
use crate::cli;
use crate::config::Config;
use crate::door::Door;
use crate::failure::{Context, Failure};
use crate::folder::{self, Folder};
use crate::interpreters::{DeferredLauncher, Wishes};
use crate::machine::{UID_COUNT, uid_base};
use crate::sdk::{self, Sdk, Sdks};
use crate::world::Storage;
use gust_sandbox::{Egress, Language, SandboxError, Spawner, SpawnerConfig};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// Exit code after a second signal: what a shell gives a program that Ctrl-C ended.
const EXIT_INTERRUPTED: i32 = 130;
/// How long the spawner may take to remove everything.
const SPAWNER_STOP_MAX: Duration = Duration::from_secs(10);

/// Serves until told to stop.
pub fn run(flags: cli::Up) -> Result<(), Failure> {
    let config = Arc::new(Config::new(flags)?);
    raise_descriptor_limit();
    let offline = |sdk: Sdk, folder: &Option<PathBuf>| folder.as_deref().map(|folder| sdk::offline(sdk, folder));
    let offline_sdks = OfflineSdks {
        python: offline(Sdk::Python, &config.sdk).transpose()?,
        node: offline(Sdk::Node, &config.sdk_node).transpose()?,
    };
    // Folder and port first: both fail for the user's reasons, and fast.
    let folder = config.open_folder()?;
    let listener = listen(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(serve(config, folder, listener, offline_sdks))
}

/// A thousand environments and their callers need several thousand descriptors, and shells usually hand out 1,024 at
/// first and many more on request. Functions have a limit of their own.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(cause) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%cause, "few files can be open at once, which bounds environments and connections");
    }
}

/// The folders that the user has for the SDKs.
struct OfflineSdks {
    python: Option<PathBuf>,
    node: Option<PathBuf>,
}

fn listen(config: &Config) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(config.address).map_err(|cause| match cause.kind() {
        ErrorKind::AddrInUse => {
            Failure::new(format!("port {} on {} is in use", config.address.port(), config.address.ip()))
                .hint("stop what runs there (another gust?), or choose another with --port")
        }
        _ => Failure::new(format!("cannot listen on {}: {cause}", config.address)),
    })?;
    listener.set_nonblocking(true).context("cannot listen")?;
    Ok(listener)
}

async fn serve(
    config: Arc<Config>,
    folder: Folder,
    listener: TcpListener,
    offline_sdks: OfflineSdks,
) -> Result<(), Failure> {
    let mut signals = Signals::listen(config.end_with_stdin)?;
    let address = listener.local_addr().context("cannot listen")?;
    let spawner_config = spawner_config(&folder, &config);
    let opening = Storage::open(folder.path().to_owned(), config.is_ephemeral(), config.sync_delay);
    let starting = async {
        let spawner = start_spawner(spawner_config.clone()).await?;
        // Whoever asked for it is told at once if it cannot be.
        if config.egress == Egress::Nat && config.nat.required {
            require_network(&spawner).await?;
        }
        Ok::<_, Failure>(spawner)
    };
    let (spawner, storage) = tokio::join!(starting, opening);
    let (spawner, storage) = (spawner?, storage?);
    let capabilities = spawner.capabilities().clone();
    let wishes = Wishes { strict_runtimes: config.strict_runtimes, egress: config.egress };
    let launcher = DeferredLauncher::new(spawner.clone(), spawner_config, wishes);
    let sdk_parent = if config.is_ephemeral() { folder::cache_path()? } else { folder.path().to_owned() };
    // What takes long begins when gust serves.
    let (serves, when_served) = watch::channel(false);
    let provide = |sdk, offline| sdk::provide(sdk, offline, &sdk_parent, launcher.clone(), when_served.clone());
    let sdks = Sdks { python: provide(Sdk::Python, offline_sdks.python), node: provide(Sdk::Node, offline_sdks.node) };
    let node = Node::new(config.clone(), folder, listener, launcher.clone(), capabilities.clone());
    node.start(storage, sdks).await?;
    serves.send_replace(true);
    open_door(&node);
    banner::serving(&config, address, node.folder().path(), &capabilities);
    if let Some(key) = node.world().as_ref().and_then(|world| world.new_root_key()) {
        banner::root_key(key);
    }
    tokio::spawn(prepare(launcher, spawner.clone(), config.egress));
    let outcome = wait_for_the_end(&node, &mut signals).await;
    if outcome.is_ok() {
        drain(&node, &config, &mut signals).await;
    }
    stop_spawner(&spawner).await;
    outcome
}

/// Commands of this user may come in.
fn open_door(node: &Arc<Node>) {
    match Door::open(node) {
        Ok(door) => node.keep_door(door),
        Err(failure) => {
            tracing::info!(cause = %failure, "`gust dev` will have to upload every change, and `gust export` needs a stop");
        }
    }
}

fn spawner_config(folder: &Folder, config: &Config) -> SpawnerConfig {
    SpawnerConfig {
        state_dir: folder.part("run"),
        data_id: folder.id().to_owned(),
        uid_base: uid_base(folder.id()),
        uid_count: UID_COUNT,
        nat: config.nat.clone(),
        executable: None,
    }
}

async fn start_spawner(config: SpawnerConfig) -> Result<Spawner, Failure> {
    let started = Spawner::start(config).await.context("cannot start the sandbox spawner");
    started.map_err(|failure| failure.hint("`gust doctor` says what this machine lacks"))
}

/// Environments must have a network, with names.
async fn require_network(spawner: &Spawner) -> Result<(), Failure> {
    let facts = spawner.prepare_network().await.map_err(|cause| {
        Failure::new(format!("--egress nat: {}", in_short(&cause)))
            .hint("--egress none needs nothing of this machine's network; --egress host shares it")
    })?;
    if facts.name_servers.is_empty() {
        let message =
            "--egress nat: this machine's name servers are on its loopback, where functions cannot reach them";
        return Err(Failure::new(message).hint("name one that they can reach with --dns ADDRESS"));
    }
    if !facts.dropping_chains.is_empty() {
        warn_of_firewall(&facts.dropping_chains);
    }
    Ok(())
}

/// Makes the first networks while gust already serves.
async fn prepare_network(spawner: Spawner) {
    match spawner.prepare_network().await {
        Ok(facts) if !facts.dropping_chains.is_empty() => warn_of_firewall(&facts.dropping_chains),
        Ok(facts) if facts.name_servers.is_empty() => tracing::warn!(
            "functions cannot resolve names: this machine's name servers are on its loopback; name one with --dns ADDRESS"
        ),
        Ok(facts) => tracing::debug!(range = %facts.range, "functions have a network"),
        Err(cause) => tracing::warn!(cause = in_short(&cause), "functions reach gust and nothing else"),
    }
}

/// gust's own rules cannot allow what others drop.
fn warn_of_firewall(chains: &[String]) {
    let chains = chains.join(", ");
    tracing::warn!(
        chains,
        "this machine's firewall may drop what functions send and get: allow the devices gust-* there (with Docker: \
         iptables -I DOCKER-USER -i gust-+ -j ACCEPT; iptables -I DOCKER-USER -o gust-+ -j ACCEPT)"
    );
}

/// The system's reason alone where there is one.
fn in_short(cause: &SandboxError) -> String {
    match cause {
        SandboxError::Setup { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// Looks for interpreters and starts the zygote of the newest one, while gust already serves.
async fn prepare(launcher: Arc<DeferredLauncher>, spawner: Spawner, egress: Egress) {
    if egress == Egress::Nat {
        tokio::spawn(prepare_network(spawner.clone()));
    }
    let interpreters = launcher.prepare().await;
    banner::interpreters(&interpreters);
    let pythons = interpreters.iter().filter(|interpreter| interpreter.language == Language::Python);
    let Some(newest) = pythons.max_by_key(|interpreter| interpreter.version) else { return };
    if let Err(cause) = spawner.warm(newest).await {
        tracing::info!(%cause, python = %newest.path.display(), "this Python is not started ahead: each function starts its own");
    }
}

/// Returns at the first signal; fails if the store fails.
async fn wait_for_the_end(node: &Arc<Node>, signals: &mut Signals) -> Result<(), Failure> {
    loop {
        let Some(world) = node.world() else { return Ok(()) };
        tokio::select! {
            () = signals.next() => return Ok(()),
            cause = world.fatal() => {
                // After a reset it is another world's store that counts.
                if node.world().is_some_and(|current| Arc::ptr_eq(&current, &world)) {
                    return Err(Failure::new(format!("the store has failed: {cause}")).hint("start gust again: it recovers what was acknowledged"));
                }
            }
        }
    }
}

/// Lets what runs finish, within bounds; another signal ends the process at once.
async fn drain(node: &Arc<Node>, config: &Config, signals: &mut Signals) {
    let Some(world) = node.world() else { return };
    let running = world.engine().snapshot().in_flight;
    banner::draining(running, config.drain);
    let finish = async {
        let (cut, is_drained) = tokio::join!(node.stop_serving(config.drain), world.close(config.drain));
        banner::drained(cut, is_drained);
    };
    tokio::select! {
        () = finish => {}
        () = signals.next() => {
            banner::stopped_at_once();
            // The spawner sees our end and removes every sandbox.
            std::process::exit(EXIT_INTERRUPTED);
        }
    }
}

async fn stop_spawner(spawner: &Spawner) {
    match tokio::time::timeout(SPAWNER_STOP_MAX, spawner.shutdown()).await {
        Ok(Ok(())) => {}
        Ok(Err(cause)) => tracing::warn!(%cause, "the sandbox spawner did not stop in order"),
        Err(_) => tracing::warn!("the sandbox spawner did not stop in time"),
    }
}

/// Tells when whoever holds the other end of standard input has gone. A thread of its own: a read cannot be called off.
fn end_of_input() -> oneshot::Receiver<()> {
    let (ended, when_ended) = oneshot::channel();
    std::thread::spawn(move || {
        if let Err(cause) = std::io::copy(&mut std::io::stdin(), &mut std::io::sink()) {
            tracing::debug!(%cause, "standard input failed, which counts as its end");
        }
        // Nobody may be waiting any more.
        let _ = ended.send(());
    });
    when_ended
}

/// Returns once when it has been told; never if there is nothing to be told.
async fn ended(input: &mut Option<oneshot::Receiver<()>>) {
    match input {
        Some(when_ended) => {
            // A sender that is gone has ended, too.
            let _ = when_ended.await;
            *input = None;
        }
        None => std::future::pending().await,
    }
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Ends with standard input, if that was asked for.
    input: Option<oneshot::Receiver<()>>,
}

impl Signals {
    fn listen(end_with_stdin: bool) -> Result<Signals, Failure> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            input: end_with_stdin.then(end_of_input),
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = ended(&mut self.input) => {}
        }
    }
}
