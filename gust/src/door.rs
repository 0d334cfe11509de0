//! The door for commands of the same user on the same machine: a socket through which `gust dev` has a function run code
//! straight from a folder, and `gust export` gets everything that there is.
//!
//! Uploading, checking and unpacking a package takes longer than a developer's save may, so code under development is
//! neither: the client copies what has changed into a folder that the door gives it, and the function runs from there.
//! What the function was before comes back when the session ends, however it ends.
//!
//! Whoever opens the door can do so without signing anything. So it lies in the data folder, which only its owner can
//! enter (and read as it is) and no function can see; and it lets in nobody but the user that gust runs as, by the
//! kernel's word. With `--auth strict` code under development is not let in.

use crate::admin::Node;
use crate::archive;
use crate::failure::{Context, Failure};
use crate::forward::{self, Forward};
use gust_kit::ports::{Development, Hold};
use gust_lambda::Substitute;
use gust_types::{AccountId, Region};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Longest message either way, in bytes.
pub const LINE_BYTES_MAX: u64 = 64 * 1_024;
/// Stands for the port inside, which only gust knows.
pub const PORT_MARK: &str = "{port}";
/// How long a client may take to read a piece of an export.
const EXPORT_STALL_MAX: Duration = Duration::from_secs(60);
/// Sessions at a time.
const SESSIONS_MAX: usize = 32;
/// The socket's name in the data folder.
pub const SOCKET: &str = "gust.sock";

/// Client to gust, first of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A session with a [`Greeting`] and [`Order`]s.
    Develop,
    /// An archive follows, until the end.
    Export,
}

/// Knocks at the door at `socket`.
pub async fn enter(socket: &Path, purpose: Purpose) -> Result<UnixStream, Failure> {
    let stream = UnixStream::connect(socket).await;
    let mut stream = stream.context(format_args!("cannot open {}", socket.display()))?;
    let mut line = serde_json::to_vec(&purpose).context("this cannot be asked for")?;
    line.push(b'\n');
    stream.write_all(&line).await.context("gust has gone")?;
    Ok(stream)
}

/// gust to client, for development.
#[derive(Debug, Serialize, Deserialize)]
pub struct Greeting {
    /// Below this folder the client puts its copies, one folder each.
    pub folder: PathBuf,
}

/// Client to gust: run this from now on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The function, without qualifier.
    pub arn: String,
    /// A folder directly below the greeting's, complete, and not changed any more.
    pub folder: PathBuf,
    /// Run it under a debugger.
    pub debug: Option<DebugOrder>,
}

/// What a debugger needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DebugOrder {
    /// Variables that make the runtime listen for one; [`PORT_MARK`] in them stands for the port.
    pub environment: BTreeMap<String, String>,
    /// Where it listens inside, if it has a network of its own.
    pub inside_port: u16,
    /// Where it is to be reached on the host's loopback; 0 for a free port.
    pub host_port: u16,
}

/// gust to client, one for each order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// It runs.
    Done {
        /// The debugger's port on the host.
        debug_port: Option<u16>,
    },
    /// It does not.
    Refused {
        /// Why.
        reason: String,
    },
}

/// The open door. It closes when dropped, and ends all sessions.
pub struct Door {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Door {
    /// Opens the door of `node`.
    ///
    /// Errors: the socket cannot be made, for example because the data folder's path is too long for one.
    pub fn open(node: &Arc<Node>) -> Result<Door, Failure> {
        let path = node.folder().part(SOCKET);
        // What a gust left that was killed; nobody else holds this data folder.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).context(format_args!("cannot listen at {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).context("cannot protect the door")?;
        let task = tokio::spawn(listen(listener, Arc::downgrade(node)));
        Ok(Door { path, task })
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        // What remains of it is removed at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// The functions that somebody develops: one at a time each.
type Developed = Arc<Mutex<BTreeSet<String>>>;

async fn listen(listener: UnixListener, node: Weak<Node>) {
    let (places, developed) = (Arc::new(Semaphore::new(SESSIONS_MAX)), Developed::default());
    let mut sessions = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while sessions.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(cause) => {
                tracing::warn!(%cause, "a command could not be let in");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if !is_same_user(&stream) {
            tracing::warn!("another user was turned away from the door");
            continue;
        }
        let (node, developed) = (node.clone(), developed.clone());
        sessions.spawn(async move {
            if let Err(failure) = serve(stream, &node, developed).await {
                tracing::warn!(cause = %failure, "a session at the door ended");
            }
            drop(place);
        });
    }
}

/// The file's mode says the same; this holds even if somebody changes it.
fn is_same_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// A folder that goes when nothing runs from it any more.
#[derive(Debug)]
struct Kept {
    folder: PathBuf,
    /// The folder around it goes later.
    _around: Option<Arc<Kept>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let folder = std::mem::take(&mut self.folder);
        // Not here: it takes a while, and whoever drops the last reference may be in a hurry. What a crash leaves
        // is swept when the unpacked packages are opened.
        std::thread::spawn(move || {
            if let Err(cause) = fs::remove_dir_all(&folder)
                && cause.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%cause, folder = %folder.display(), "code under development could not be removed");
            }
        });
    }
}

async fn serve(stream: UnixStream, node: &Weak<Node>, developed: Developed) -> Result<(), Failure> {
    let mut stream = BufReader::new(stream);
    let Some(line) = receive(&mut stream).await? else { return Ok(()) };
    match serde_json::from_slice(&line).context("it is not understood what for")? {
        Purpose::Develop => develop(stream, node, developed).await,
        Purpose::Export => export(stream, node).await,
    }
}

async fn export(stream: BufReader<UnixStream>, node: &Weak<Node>) -> Result<(), Failure> {
    let node = node.upgrade().ok_or_else(|| Failure::new("gust is stopping"))?;
    let world = node.world().ok_or_else(|| Failure::new("gust is still starting"))?;
    let scratch = node.folder().scratch("export")?;
    // It is written by threads that may wait.
    let out = stream.into_inner().into_std().context("cannot write to the client")?;
    out.set_nonblocking(false).context("cannot write to the client")?;
    out.set_write_timeout(Some(EXPORT_STALL_MAX)).context("cannot write to the client")?;
    tracing::info!("everything is being exported");
    archive::write(world.sources(), scratch.path(), out).await.map(drop)
}

async fn develop(mut stream: BufReader<UnixStream>, node: &Weak<Node>, developed: Developed) -> Result<(), Failure> {
    let root = {
        let node = node.upgrade().ok_or_else(|| Failure::new("gust is stopping"))?;
        if !node.lets_developers_in() {
            return Err(Failure::new("--auth strict lets no code under development in"));
        }
        let world = node.world().ok_or_else(|| Failure::new("gust is still starting"))?;
        session_folder(world.lambda().code_root())?
    };
    let root = Arc::new(Kept { folder: root, _around: None });
    let mut session = Session { node: node.clone(), root: root.clone(), developed, function: None, forward: None };
    send(&mut stream, &Greeting { folder: root.folder.clone() }).await?;
    while let Some(line) = receive(&mut stream).await? {
        let order: Order = serde_json::from_slice(&line).context("an order is not understood")?;
        let reply = match session.obey(order).await {
            Ok(debug_port) => Reply::Done { debug_port },
            Err(failure) => Reply::Refused { reason: failure.message },
        };
        send(&mut stream, &reply).await?;
    }
    session.end().await;
    Ok(())
}

/// The next line; `None` at the end.
async fn receive(stream: &mut BufReader<UnixStream>) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await;
    Ok((read.context("the client cannot be heard")? > 0).then_some(line))
}

async fn send(stream: &mut BufReader<UnixStream>, message: &impl Serialize) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(message).context("an answer cannot be written")?;
    line.push(b'\n');
    stream.write_all(&line).await.context("the client has gone")
}

fn session_folder(code_root: &Path) -> Result<PathBuf, Failure> {
    let folder = tempfile::Builder::new().prefix(gust_lambda::UNFINISHED_PREFIX).rand_bytes(12).tempdir_in(code_root);
    let folder = folder.context("cannot make a folder for code under development")?.keep();
    // Functions run as other users, and have to reach what is in it.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).context("cannot open it to functions")?;
    Ok(folder)
}

fn free_port() -> Result<u16, Failure> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("no port is free for the debugger")?;
    Ok(listener.local_addr().context("no port is free for the debugger")?.port())
}

fn with_port(debug: &DebugOrder, port: Option<u16>) -> BTreeMap<String, String> {
    let port = port.unwrap_or(debug.inside_port).to_string();
    debug.environment.iter().map(|(name, value)| (name.clone(), value.replace(PORT_MARK, &port))).collect()
}

/// One client and its function.
struct Session {
    node: Weak<Node>,
    root: Arc<Kept>,
    developed: Developed,
    function: Option<Name>,
    forward: Option<Forward>,
}

/// A function's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    arn: String,
    account: AccountId,
    region: Region,
    name: String,
}

impl Name {
    fn parse(arn: &str) -> Option<Name> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", _, "lambda", region, account, "function", name] = parts[..] else { return None };
        let (account, region) = (AccountId::parse(account)?, Region::parse(region)?);
        Some(Name { arn: arn.to_owned(), account, region, name: name.to_owned() })
    }
}

impl Session {
    async fn obey(&mut self, order: Order) -> Result<Option<u16>, Failure> {
        let name = Name::parse(&order.arn).ok_or_else(|| Failure::new(format!("{:?} is no function", order.arn)))?;
        self.claim(&name)?;
        self.check_folder(&order.folder)?;
        let node = self.node.upgrade().ok_or_else(|| Failure::new("gust is stopping"))?;
        let world = node.world().ok_or_else(|| Failure::new("gust is stopping"))?;
        let kept = Kept { folder: order.folder.clone(), _around: Some(self.root.clone()) };
        let debug_port = match &order.debug {
            // Everything shares the host's ports there.
            Some(_) if node.shares_network() => Some(free_port()?),
            Some(debug) => Some(debug.inside_port),
            None => None,
        };
        let substitute = Substitute {
            folder: order.folder,
            environment: order.debug.as_ref().map(|debug| with_port(debug, debug_port)).unwrap_or_default(),
            development: Development { debug_port, hold: Hold::new(kept) },
        };
        if let (Some(debug), None) = (&order.debug, &self.forward) {
            self.forward = Some(forward::listen(world.engine().clone(), &name.arn, debug.host_port).await?);
        }
        let developed = world.lambda().develop(&name.account, &name.region, &name.name, Some(substitute)).await;
        let spec = developed.map_err(|error| Failure::new(error.to_string()))?;
        let (Some(inside_port), Some(forward)) = (debug_port, &self.forward) else { return Ok(None) };
        forward.lead_to(inside_port);
        // The debugger has something to attach to before the first invocation.
        world.engine().prepare(spec);
        Ok(Some(forward.port()))
    }

    /// A session has one function, and a function one session.
    fn claim(&mut self, name: &Name) -> Result<(), Failure> {
        match &self.function {
            Some(own) if own == name => return Ok(()),
            Some(own) => return Err(Failure::new(format!("this session develops {}", own.arn))),
            None => {}
        }
        if !self.developed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.arn.clone()) {
            return Err(Failure::new(format!("another `gust dev` develops {} already", name.arn)));
        }
        self.function = Some(name.clone());
        Ok(())
    }

    fn check_folder(&self, folder: &Path) -> Result<(), Failure> {
        // `..` has a parent, but no name.
        let is_below = folder.parent() == Some(self.root.folder.as_path()) && folder.file_name().is_some();
        let is_folder = fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir());
        match is_below && is_folder {
            true => Ok(()),
            false => Err(Failure::new(format!("{} is no folder of this session", folder.display()))),
        }
    }

    async fn end(mut self) {
        drop(self.forward.take());
        let Some(name) = self.function.clone() else { return };
        if let Some(world) = self.node.upgrade().and_then(|node| node.world())
            && let Err(cause) = world.lambda().develop(&name.account, &name.region, &name.name, None).await
        {
            tracing::debug!(%cause, function = name.arn, "its package could not be put back: it was probably deleted");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(name) = &self.function {
            self.developed.lock().unwrap_or_else(PoisonError::into_inner).remove(&name.arn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_functions_are_developed() {
        let name = Name::parse("arn:aws:lambda:us-east-1:000000000000:function:f").unwrap();
        assert_eq!((name.name.as_str(), name.account.as_str()), ("f", "000000000000"));
        for arn in
            ["", "f", "arn:aws:lambda:us-east-1:000000000000:function:f:1", "arn:aws:lambda:us-east-1:0:function:f"]
        {
            assert_eq!(Name::parse(arn), None, "{arn}");
        }
    }

    #[test]
    fn a_folder_goes_with_its_last_user() {
        let parent = tempfile::tempdir().unwrap();
        let root = session_folder(parent.path()).unwrap();
        let inside = root.join("1");
        fs::create_dir(&inside).unwrap();
        let around = Arc::new(Kept { folder: root.clone(), _around: None });
        let hold = Hold::new(Kept { folder: inside.clone(), _around: Some(around.clone()) });
        let second = hold.clone();
        drop((around, hold));
        assert!(inside.exists());
        drop(second);
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while root.exists() {
            assert!(std::time::Instant::now() < deadline, "the folder stays");
            std::thread::yield_now();
        }
    }
}
