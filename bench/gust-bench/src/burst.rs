//! A client for a burst: connections made and requests signed ahead, all sent at once from one thread.

use crate::http::{Length, parse_head};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections made at the same time, so that no listener's queue overflows.
const CONNECTING_MAX: usize = 64;

/// One answer of a burst.
#[derive(Debug)]
pub struct BurstAnswer {
    /// Since the first request was sent.
    pub elapsed: Duration,
    /// The status; 0: the exchange failed.
    pub status: u16,
    /// The head and the body, or what went wrong.
    pub text: String,
}

/// A burst that is on its way.
pub struct Burst {
    /// When the first request was sent.
    pub begun: Instant,
    /// How many requests failed so far.
    pub failed: Arc<AtomicUsize>,
    answers: std::thread::JoinHandle<Vec<BurstAnswer>>,
}

impl Burst {
    /// Connects `count` times to `address`, then sends `request` on all connections at once. Returns when that begins.
    pub fn send(address: SocketAddr, request: Vec<u8>, count: usize) -> io::Result<Burst> {
        let (begun_sender, when_begun) = channel();
        let failed = Arc::new(AtomicUsize::new(0));
        let counter = failed.clone();
        let answers = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(drive(address, request, count, counter, begun_sender)),
                Err(_) => Vec::new(),
            }
        });
        let begun = first(&when_begun)?;
        Ok(Burst { begun, failed, answers })
    }

    /// Whether all are answered.
    pub fn is_answered(&self) -> bool {
        self.answers.is_finished()
    }

    /// Waits for all answers.
    pub fn answers(self) -> io::Result<Vec<BurstAnswer>> {
        self.answers.join().map_err(|_| io::Error::other("the client panicked"))
    }
}

fn first(when_begun: &Receiver<io::Result<Instant>>) -> io::Result<Instant> {
    when_begun.recv().map_err(|_| io::Error::other("the client did not begin"))?
}

async fn drive(
    address: SocketAddr,
    request: Vec<u8>,
    count: usize,
    failed: Arc<AtomicUsize>,
    begun_sender: std::sync::mpsc::Sender<io::Result<Instant>>,
) -> Vec<BurstAnswer> {
    let connections = match connect(address, count).await {
        Ok(connections) => connections,
        Err(error) => {
            // The caller waits for this word and for nothing else.
            let _ = begun_sender.send(Err(error));
            return Vec::new();
        }
    };
    let (request, begun) = (Arc::new(request), Instant::now());
    let _ = begun_sender.send(Ok(begun));
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|connection| {
            let (request, failed) = (request.clone(), failed.clone());
            tokio::spawn(async move {
                let answer = exchange(connection, &request, begun).await;
                if answer.status != 200 || answer.text.contains("x-amz-function-error") {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                answer
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(count);
    for task in tasks {
        let lost = |error: tokio::task::JoinError| BurstAnswer {
            elapsed: begun.elapsed(),
            status: 0,
            text: error.to_string(),
        };
        answers.push(task.await.unwrap_or_else(lost));
    }
    answers
}

async fn connect(address: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        let some = CONNECTING_MAX.min(count - connections.len());
        let tasks: Vec<_> = (0..some).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
        for task in tasks {
            let connection = task.await.map_err(io::Error::other)??;
            connection.set_nodelay(true)?;
            connections.push(connection);
        }
    }
    Ok(connections)
}

async fn exchange(mut connection: TcpStream, request: &[u8], begun: Instant) -> BurstAnswer {
    match answer(&mut connection, request).await {
        Ok((status, text)) => BurstAnswer { elapsed: begun.elapsed(), status, text },
        Err(error) => BurstAnswer { elapsed: begun.elapsed(), status: 0, text: error.to_string() },
    }
}

async fn answer(connection: &mut TcpStream, request: &[u8]) -> io::Result<(u16, String)> {
    connection.write_all(request).await?;
    let mut received = Vec::with_capacity(2048);
    loop {
        if connection.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = parse_head(&received[..at])?;
        let Length::Bytes(length) = head.length else { return Err(io::Error::other("an answer in chunks")) };
        while received.len() < head.end + length {
            if connection.read_buf(&mut received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        return Ok((head.status, String::from_utf8_lossy(&received).into_owned()));
    }
}
