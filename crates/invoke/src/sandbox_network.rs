//! Network between gust and a sandbox: reaching listeners inside, and knowing who calls.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gust_runtime_api::{Connector, PeerGuard};
use gust_sandbox::{PeerCheck, Sandbox};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Weak;
use tokio::net::{TcpSocket, TcpStream};

/// Connects from inside a sandbox's network to its loopback. Holds the sandbox weakly: telemetry that is still to be
/// delivered does not keep an environment alive.
pub(crate) struct Inside(pub(crate) Weak<Sandbox>);

impl Connector for Inside {
    fn connect(&self, port: u16) -> BoxFuture<'_, io::Result<TcpStream>> {
        async move {
            let socket = {
                let sandbox = self.0.upgrade().ok_or(io::ErrorKind::NotConnected)?;
                sandbox.socket().await.map_err(io::Error::other)?
            };
            // The way in which tokio takes a socket that is not connected yet.
            let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
            socket.connect(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))).await
        }
        .boxed()
    }
}

/// Lets only the sandbox's own processes connect.
pub(crate) struct OwnProcesses(pub(crate) PeerCheck);

impl PeerGuard for OwnProcesses {
    fn is_inside(&self, peer: SocketAddr, local: SocketAddr) -> BoxFuture<'_, bool> {
        let check = self.0;
        // A task that cannot be joined has seen nothing that would let anybody in.
        async move { tokio::task::spawn_blocking(move || check.is_inside(peer, local)).await.unwrap_or(false) }.boxed()
    }
}
