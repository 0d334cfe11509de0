//! The short way to a gust of the same user on this machine: through its door (`crate::door`).

use crate::door::{self, DebugOrder, Greeting, LINE_BYTES_MAX, Order, Purpose, Reply};
use crate::failure::{Context, Failure};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// What a failure says when gust has ended.
pub const GONE: &str = "gust has gone";
/// How long gust may take to answer.
const REPLY_MS_MAX: u64 = 30_000;

/// A session: what it put in place is taken back when it ends, however it ends.
pub struct Session {
    stream: BufReader<UnixStream>,
    folder: PathBuf,
}

impl Session {
    /// Opens the door at `socket`.
    pub async fn open(socket: &Path) -> Result<Session, Failure> {
        let mut stream = BufReader::new(door::enter(socket, Purpose::Develop).await?);
        let greeting: Greeting = receive(&mut stream).await?;
        Ok(Session { stream, folder: greeting.folder })
    }

    /// Where copies of the code go.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has the function `arn` run the code in `folder` from now on. Returns the host's port for the debugger, if
    /// one was asked for.
    pub async fn serve(&mut self, arn: &str, folder: &Path, debug: Option<DebugOrder>) -> Result<Option<u16>, Failure> {
        let order = Order { arn: arn.to_owned(), folder: folder.to_owned(), debug };
        let mut line = serde_json::to_vec(&order).context("this order cannot be written")?;
        line.push(b'\n');
        self.stream.write_all(&line).await.map_err(|_| Failure::new(GONE))?;
        match receive(&mut self.stream).await? {
            Reply::Done { debug_port } => Ok(debug_port),
            Reply::Refused { reason } => Err(Failure::new(reason)),
        }
    }
}

async fn receive<T: DeserializeOwned>(stream: &mut BufReader<UnixStream>) -> Result<T, Failure> {
    let mut line = Vec::new();
    let mut bounded = stream.take(LINE_BYTES_MAX);
    let read = timeout(Duration::from_millis(REPLY_MS_MAX), bounded.read_until(b'\n', &mut line)).await;
    let read = read.map_err(|_| Failure::new("gust does not answer"))?.map_err(|_| Failure::new(GONE))?;
    if read == 0 {
        return Err(Failure::new(GONE));
    }
    serde_json::from_slice(&line).context("gust's answer is not understood: is it another version?")
}
