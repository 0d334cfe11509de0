//! The smallest HTTP/1.1 client that can drive a server hard: blocking, keep-alive, one buffer, nothing allocated a request.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest a single exchange may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// What is read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    /// What was received: `buffer[..filled]`.
    buffer: Vec<u8>,
    filled: usize,
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

/// What the head of an answer says.
pub struct Head {
    /// The status.
    pub status: u16,
    /// Where the body begins.
    pub end: usize,
    /// How long it is.
    pub length: Length,
}

/// How long a body is.
pub enum Length {
    /// So many bytes.
    Bytes(usize),
    /// It comes in chunks.
    Chunked,
}

impl Connection {
    /// Connects to `address`.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(EXCHANGE_TIMEOUT))?;
        Ok(Connection { stream, buffer: vec![0; CHUNK_BYTES], filled: 0 })
    }

    /// Sends a complete request and reads the complete answer.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let (status, end, body) = self.receive(request)?;
        let head = String::from_utf8_lossy(&self.buffer[..end - 4]).into_owned();
        Ok(Answer { status, head, body })
    }

    /// The same for callers to whom the status is enough.
    pub fn status_of(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request)?;
        let head = self.read_head()?;
        match head.length {
            Length::Bytes(length) => self.fill(head.end + length)?,
            Length::Chunked => drop(self.read_chunks(head.end)?),
        }
        Ok(head.status)
    }

    fn receive(&mut self, request: &[u8]) -> io::Result<(u16, usize, Vec<u8>)> {
        self.stream.write_all(request)?;
        let head = self.read_head()?;
        let body = match head.length {
            Length::Bytes(length) => {
                self.fill(head.end + length)?;
                self.buffer[head.end..head.end + length].to_vec()
            }
            Length::Chunked => self.read_chunks(head.end)?,
        };
        Ok((head.status, head.end, body))
    }

    /// Reads until `wanted` bytes are there.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if wanted > ANSWER_BYTES_MAX {
            return Err(broken("the answer is too large"));
        }
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.filled < wanted {
            self.read_more()?;
        }
        Ok(())
    }

    fn read_more(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            let longer = self.buffer.len() + CHUNK_BYTES;
            if longer > ANSWER_BYTES_MAX + CHUNK_BYTES {
                return Err(broken("the answer is too large"));
            }
            self.buffer.resize(longer, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..])? {
            0 => Err(broken("the connection was closed")),
            count => {
                self.filled += count;
                Ok(())
            }
        }
    }

    fn read_head(&mut self) -> io::Result<Head> {
        self.filled = 0;
        loop {
            let received = &self.buffer[..self.filled];
            if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                return parse_head(&received[..at]);
            }
            if self.filled > HEAD_BYTES_MAX {
                return Err(broken("the head is too large"));
            }
            self.read_more()?;
        }
    }

    /// The body in chunks that begins at `at`.
    fn read_chunks(&mut self, mut at: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                match self.buffer[at..self.filled].windows(2).position(|window| window == b"\r\n") {
                    Some(offset) => break at + offset,
                    None => self.read_more()?,
                }
            };
            let digits = std::str::from_utf8(&self.buffer[at..line_end]).map_err(|_| broken("bad chunk"))?;
            let length = usize::from_str_radix(digits.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| broken("bad chunk"))?;
            at = line_end + 2;
            self.fill(at + length + 2)?;
            body.extend_from_slice(&self.buffer[at..at + length]);
            at += length + 2;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

/// Reads the head of an answer, without the empty line that ends it.
pub fn parse_head(head: &[u8]) -> io::Result<Head> {
    let text = std::str::from_utf8(head).map_err(|_| broken("a head that is no text"))?;
    let status = text.get(9..12).and_then(|text| text.parse().ok()).ok_or_else(|| broken("no status"))?;
    let mut length = None;
    for line in text.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(Length::Bytes(value.trim().parse().map_err(|_| broken("bad content-length"))?));
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked") {
            length = Some(Length::Chunked);
        }
    }
    let length = match length {
        Some(length) => length,
        None if status == 204 || status == 304 => Length::Bytes(0),
        None => return Err(broken("an answer without a length")),
    };
    Ok(Head { status, end: head.len() + 4, length })
}

fn broken(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answered(answer: &'static [u8]) -> io::Result<Answer> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 3];
            stream.read_exact(&mut request).unwrap();
            // In two parts, so that the client has to wait for the second one.
            let (first, second) = answer.split_at(answer.len() / 2);
            stream.write_all(first).unwrap();
            stream.flush().unwrap();
            stream.write_all(second).unwrap();
        });
        let answer = Connection::open(address)?.exchange(b"GET");
        server.join().unwrap();
        answer
    }

    #[test]
    fn bodies_with_a_length_and_in_chunks_are_read() {
        let plain = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-a: b\r\n\r\nhello").unwrap();
        assert_eq!((plain.status, plain.header("X-A"), &plain.body[..]), (200, Some("b"), &b"hello"[..]));
        let chunked =
            answered(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!((chunked.status, &chunked.body[..]), (201, &b"hello"[..]));
        assert_eq!(answered(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().body, b"");
    }

    #[test]
    fn broken_answers_are_errors() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
        ] {
            assert!(answered(answer).is_err());
        }
    }
}
