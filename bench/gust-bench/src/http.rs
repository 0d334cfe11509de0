//! The smallest HTTP/1.1 client that can drive a server hard: blocking, keep-alive, one buffer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest a single exchange may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head as text.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Connection {
    /// Connects to `address`.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(EXCHANGE_TIMEOUT))?;
        Ok(Connection { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a complete request and reads the complete answer.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let head_end = self.read_head()?;
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or_else(|| broken("no status"))?;
        let mut answer = Answer { status, head, body: self.buffer.split_off(head_end + 4) };
        let length = match answer.header("content-length") {
            Some(text) => text.parse::<usize>().map_err(|_| broken("bad content-length"))?,
            None if status == 204 || status == 304 => 0,
            None => return Err(broken("an answer without content-length")),
        };
        if length > ANSWER_BYTES_MAX {
            return Err(broken("the answer is too large"));
        }
        let have = answer.body.len();
        answer.body.resize(length, 0);
        if have < length {
            self.stream.read_exact(&mut answer.body[have..])?;
        }
        Ok(answer)
    }

    fn read_head(&mut self) -> io::Result<usize> {
        let mut chunk = [0u8; 16 * 1024];
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(at);
            }
            let count = self.stream.read(&mut chunk)?;
            if count == 0 {
                return Err(broken("the connection was closed"));
            }
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }
}

fn broken(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
