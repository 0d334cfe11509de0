//! The task that owns the socket to the spawner.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot, watch};

use crate::protocol::{MESSAGE_BYTES_MAX, Message, Op, Request};
use crate::sys;
use crate::{Exit, ExtensionExit, SandboxError};

/// A message and the descriptors that came with it.
pub(crate) type Reply = (Message, Vec<OwnedFd>);

/// A request on its way.
pub(crate) struct Outgoing {
    pub request: u64,
    pub bytes: Vec<u8>,
    pub fds: Vec<OwnedFd>,
    pub reply: oneshot::Sender<Reply>,
    /// For a new sandbox: where its end is told.
    pub ends: Option<Ends>,
}

/// Where the ends of a sandbox's processes are told.
pub(crate) struct Ends {
    pub state: watch::Sender<State>,
    /// Has room for one message of each extension.
    pub extensions: mpsc::Sender<ExtensionExit>,
}

/// How far a sandbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Exited(Exit),
    /// Processes, mounts and cgroups are gone.
    Gone(Exit),
}

impl State {
    /// The exit of a sandbox that ended without one being told.
    pub(crate) const KILLED: Exit = Exit { code: None, signal: Some(libc::SIGKILL), oom_killed: false };

    pub(crate) fn exit(self) -> Option<Exit> {
        match self {
            State::Running => None,
            State::Exited(exit) | State::Gone(exit) => Some(exit),
        }
    }
}

pub(crate) struct Connection {
    socket: AsyncFd<OwnedFd>,
    child: Child,
    buffer: Vec<u8>,
    pending: HashMap<u64, oneshot::Sender<Reply>>,
    sandboxes: HashMap<u64, Ends>,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd, child: Child) -> Result<Connection, SandboxError> {
        let socket = sys::register_async(socket).map_err(SandboxError::io("set up the control socket"))?;
        Ok(Connection {
            socket,
            child,
            buffer: vec![0; MESSAGE_BYTES_MAX],
            pending: HashMap::new(),
            sandboxes: HashMap::new(),
        })
    }

    /// The next message; `None` when the spawner is gone.
    pub(crate) async fn receive(&mut self) -> Result<Option<Reply>, SandboxError> {
        let buffer = &mut self.buffer;
        let received = self
            .socket
            .async_io_mut(tokio::io::Interest::READABLE, |socket| sys::receive_message(socket.as_fd(), buffer))
            .await;
        match received {
            Ok(Some((length, fds))) => {
                let message = serde_json::from_slice(&self.buffer[..length])
                    .map_err(|error| SandboxError::Protocol(error.to_string()))?;
                Ok(Some((message, fds)))
            }
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(SandboxError::Io { step: "receive from the spawner", source: error }),
        }
    }

    /// Serves until the spawner is gone or nobody holds a handle any more.
    pub(crate) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Outgoing>,
        mut kills: mpsc::UnboundedReceiver<u64>,
        ended: watch::Sender<bool>,
    ) {
        loop {
            tokio::select! {
                received = self.receive() => match received {
                    Ok(Some(reply)) => self.dispatch(reply),
                    Ok(None) => break,
                    Err(error) => {
                        tracing::error!(%error, "lost the sandbox spawner");
                        break;
                    }
                },
                outgoing = requests.recv() => match outgoing {
                    Some(outgoing) => {
                        if self.forward(outgoing).await.is_err() {
                            break;
                        }
                    }
                    None => break,
                },
                Some(key) = kills.recv() => {
                    if self.sandboxes.contains_key(&key) && self.send_kill(key).await.is_err() {
                        break;
                    }
                }
            }
        }
        self.finish(ended).await;
    }

    fn dispatch(&mut self, (message, fds): Reply) {
        match message {
            Message::Exited { key, exit } => {
                if let Some(ends) = self.sandboxes.get(&key) {
                    ends.state.send_replace(State::Exited(exit));
                }
            }
            Message::ExtensionEnded { key, index, end } => {
                if let Some(ends) = self.sandboxes.get(&key) {
                    // Fails if nobody wants to know; there is room for one message of each.
                    drop(ends.extensions.try_send(ExtensionExit { index, end }));
                }
            }
            Message::Gone { key } => {
                if let Some(ends) = self.sandboxes.remove(&key) {
                    ends.state.send_modify(|state| *state = State::Gone(state.exit().unwrap_or(State::KILLED)));
                }
            }
            Message::Hello(_) => tracing::warn!("the sandbox spawner greeted twice"),
            Message::Created { request, .. }
            | Message::Socket { request }
            | Message::Done { request }
            | Message::Network { request, .. }
            | Message::Stats { request, .. }
            | Message::Failed { request, .. } => {
                if matches!(message, Message::Failed { .. }) {
                    // If it was about a new sandbox: there is none.
                    self.sandboxes.remove(&request);
                }
                // Whoever asked may have given up waiting; descriptors are closed with the message then.
                if let Some(reply) = self.pending.remove(&request) {
                    drop(reply.send((message, fds)));
                }
            }
        }
    }

    async fn forward(&mut self, outgoing: Outgoing) -> io::Result<()> {
        if outgoing.reply.is_closed() {
            return Ok(());
        }
        self.pending.insert(outgoing.request, outgoing.reply);
        if let Some(ends) = outgoing.ends {
            self.sandboxes.insert(outgoing.request, ends);
        }
        self.send(&outgoing.bytes, &outgoing.fds).await
    }

    async fn send_kill(&mut self, key: u64) -> io::Result<()> {
        let bytes = serde_json::to_vec(&Request { request: 0, op: Op::Kill { key } })?;
        self.send(&bytes, &[]).await
    }

    async fn send(&self, bytes: &[u8], fds: &[OwnedFd]) -> io::Result<()> {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        self.socket
            .async_io(tokio::io::Interest::WRITABLE, |socket| sys::send_message(socket.as_fd(), bytes, &fds))
            .await
    }

    /// Tells everybody that it is over, and reaps the spawner.
    async fn finish(self, ended: watch::Sender<bool>) {
        let Connection { socket, mut child, pending, sandboxes, .. } = self;
        // The spawner ends on this, if it has not already.
        drop(socket);
        drop(pending);
        let reaped = tokio::task::spawn_blocking(move || child.wait()).await;
        if let Ok(Err(error)) = reaped {
            tracing::warn!(%error, "cannot wait for the sandbox spawner");
        }
        for ends in sandboxes.into_values() {
            ends.state.send_modify(|state| *state = State::Gone(state.exit().unwrap_or(State::KILLED)));
        }
        ended.send_replace(true);
    }
}
