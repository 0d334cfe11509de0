//! Listeners and connections: bounded, watched, and stopped in order.

use crate::Gateway;
use crate::limits::{
    ACCEPT_PAUSE, ENVIRONMENT_CONNECTIONS_MAX, HEADER_BYTES_MAX, HEADER_TIME_MAX, HEADERS_MAX, IDLE_TIME_MAX,
    PUBLIC_CONNECTIONS_MAX, STREAMS_MAX, WATCH_PERIOD,
};
use crate::watch::{Activity, Verdict, Watched, Watcher};
use gust_kit::Principal;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Who may be at the other end of a listener.
#[derive(Debug, Clone)]
pub enum ConnectionOrigin {
    /// Anyone who reaches gust's address.
    Public,
    /// The function inside one execution environment; what it calls without a key of its own that gust knows counts
    /// as this principal's call (`--auth open`).
    Environment(Principal),
}

impl ConnectionOrigin {
    fn connections_max(&self) -> usize {
        match self {
            ConnectionOrigin::Public => PUBLIC_CONNECTIONS_MAX,
            ConnectionOrigin::Environment(_) => ENVIRONMENT_CONNECTIONS_MAX,
        }
    }
}

/// A listener at work. Dropping it stops the listener and cuts its connections.
#[derive(Debug)]
pub struct Serving {
    address: Option<SocketAddr>,
    stop: Option<oneshot::Sender<Duration>>,
    task: JoinHandle<usize>,
}

impl Serving {
    /// Where it listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Accepts nothing more, lets requests in flight finish, and cuts what is left after `deadline`.
    ///
    /// Returns how many connections were cut.
    pub async fn stop(mut self, deadline: Duration) -> usize {
        if let Some(stop) = self.stop.take() {
            // A failed send means that the task has ended, which is what is wanted.
            let _ = stop.send(deadline);
        }
        (&mut self.task).await.unwrap_or_default()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn serve(gateway: Gateway, listener: TcpListener, origin: ConnectionOrigin) -> Serving {
    let address = listener.local_addr().ok();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(listen(gateway, listener, Arc::new(origin), stopped));
    Serving { address, stop: Some(stop), task }
}

async fn listen(
    gateway: Gateway,
    listener: TcpListener,
    origin: Arc<ConnectionOrigin>,
    mut stopped: oneshot::Receiver<Duration>,
) -> usize {
    let (finish, finishing) = watch::channel(false);
    let mut connections = JoinSet::new();
    let deadline = loop {
        let has_room = connections.len() < origin.connections_max();
        tokio::select! {
            biased;
            deadline = &mut stopped => break deadline.unwrap_or_default(),
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, peer)) => {
                    let context = Context { gateway: gateway.clone(), origin: origin.clone(), peer: peer.ip() };
                    connections.spawn(connection(context, stream, finishing.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    };
    drop(listener);
    // All receivers may have gone: then there is nothing to finish.
    let _ = finish.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(deadline, drained).await.is_ok() {
        return 0;
    }
    let cut = connections.len();
    connections.shutdown().await;
    cut
}

/// What the requests of one connection share, and no other connection with them.
struct Context {
    gateway: Gateway,
    origin: Arc<ConnectionOrigin>,
    peer: IpAddr,
}

async fn connection(context: Context, stream: TcpStream, mut finishing: watch::Receiver<bool>) {
    // Without it a response may wait for the client's delayed acknowledgement; a socket that has gone shows below.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::default());
    let shared = Arc::new((context, activity.clone()));
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move {
            let (Context { gateway, origin, peer }, activity) = &*shared;
            let running = activity.begin();
            let mut response = gateway.handle(request, origin, Some(*peer)).await;
            response.body_mut().hold(running);
            Ok::<_, Infallible>(response)
        }
    });
    let builder = builder();
    let io = TokioIo::new(Watched::new(stream, activity.clone()));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut watcher = Watcher::new(activity, HEADER_TIME_MAX, IDLE_TIME_MAX, WATCH_PERIOD);
    let mut is_finishing = *finishing.borrow();
    if is_finishing {
        connection.as_mut().graceful_shutdown();
    }
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            changed = finishing.changed(), if !is_finishing => {
                is_finishing = true;
                if changed.is_ok() {
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = sleep(WATCH_PERIOD) => match watcher.look() {
                Verdict::Keep => {}
                Verdict::TooSlow | Verdict::Idle => return,
            },
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // hyper's own header time-out would take a timer for every request; the watcher takes one a connection.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .keep_alive_interval(None);
    builder
}
