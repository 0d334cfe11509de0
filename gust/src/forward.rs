//! A port of the host's loopback that leads into a function's environment, which may have no network but its own.

use crate::failure::{Context, Failure};
use gust_invoke::Engine;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// Connections at a time.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection waits for an environment, and for something in it that listens.
const CONNECT_MS_MAX: u64 = 30_000;
/// Pause between two tries.
const CONNECT_PAUSE_MS: u64 = 50;

/// A forwarded port. It closes when dropped.
pub struct Forward {
    port: u16,
    inside_port: Arc<AtomicU16>,
    task: JoinHandle<()>,
}

impl Forward {
    /// The host's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// New connections lead to this port inside.
    pub fn lead_to(&self, inside_port: u16) {
        self.inside_port.store(inside_port, Ordering::Relaxed);
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on the host's loopback for the debugger of the function `arn`.
///
/// Errors: the port is taken.
pub async fn listen(engine: Engine, arn: &str, host_port: u16) -> Result<Forward, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", host_port)).await;
    let listener = listener.context(format_args!("cannot listen on port {host_port} for the debugger"))?;
    let port = listener.local_addr().context("cannot listen for the debugger")?.port();
    let inside_port = Arc::new(AtomicU16::new(0));
    let task = tokio::spawn(accept(listener, engine, arn.to_owned(), inside_port.clone()));
    Ok(Forward { port, inside_port, task })
}

async fn accept(listener: TcpListener, engine: Engine, arn: String, inside_port: Arc<AtomicU16>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // They end with the listener.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(CONNECT_PAUSE_MS)).await;
            continue;
        };
        let (engine, arn, inside_port) = (engine.clone(), arn.clone(), inside_port.clone());
        connections.spawn(async move {
            forward(stream, &engine, &arn, &inside_port).await;
            drop(place);
        });
    }
}

async fn forward(mut outside: TcpStream, engine: &Engine, arn: &str, inside_port: &AtomicU16) {
    let deadline = Instant::now() + Duration::from_millis(CONNECT_MS_MAX);
    let mut inside = loop {
        match engine.connect(arn, inside_port.load(Ordering::Relaxed)).await {
            Ok(inside) => break inside,
            Err(cause) if Instant::now() > deadline => {
                tracing::warn!(cause, function = arn, "a debugger found nothing to attach to");
                return;
            }
            // It is starting, or just being replaced by one with new code.
            Err(_) => sleep(Duration::from_millis(CONNECT_PAUSE_MS)).await,
        }
    };
    if let Err(cause) = copy_bidirectional(&mut outside, &mut inside).await {
        tracing::debug!(%cause, function = arn, "a debugger's connection broke off");
    }
}
