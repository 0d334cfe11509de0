//! The floor "hop": an HTTP server that hands each request to a worker process over a unix socket.
//!
//! One blocking thread a connection; no signature, no log, no sandbox. What gust adds to this is
//! gust's own cost.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex};

/// The language of the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// A Python loop that echoes JSON.
    Python,
    /// A Node loop that echoes JSON.
    Node,
    /// A Rust loop that echoes bytes.
    Rust,
}

const PYTHON_WORKER: &str = r#"
import json, socket, struct, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
def exactly(n):
    b = s.recv(n)
    while len(b) < n:
        more = s.recv(n - len(b))
        if not more: sys.exit()
        b += more
    return b
while True:
    head = s.recv(4)
    if not head: break
    body = exactly(struct.unpack('<I', head)[0])
    out = json.dumps(json.loads(body)).encode()
    s.sendall(struct.pack('<I', len(out)) + out)
"#;

const NODE_WORKER: &str = r#"
const s = require('net').connect(process.argv[1]); let have = Buffer.alloc(0);
s.on('data', d => { have = have.length ? Buffer.concat([have, d]) : d;
  while (have.length >= 4) { const n = have.readUInt32LE(0); if (have.length < 4 + n) break;
    const out = Buffer.from(JSON.stringify(JSON.parse(have.subarray(4, 4 + n)))); const head = Buffer.alloc(4);
    head.writeUInt32LE(out.length); s.write(Buffer.concat([head, out])); have = have.subarray(4 + n); } });
s.on('end', () => process.exit());
"#;

/// Serves on a free port, which it prints, until its standard input ends.
pub fn serve(language: Language, workers: usize, python: &str) -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("hop");
    let unix = UnixListener::bind(&socket)?;
    let mut children: Vec<Child> =
        (0..workers).map(|_| start_worker(language, &socket, python)).collect::<io::Result<_>>()?;
    let free: Vec<UnixStream> =
        (0..workers).map(|_| unix.accept().map(|(stream, _)| stream)).collect::<io::Result<_>>()?;
    let pool = Arc::new((Mutex::new(free), Condvar::new()));
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pool = pool.clone();
            std::thread::spawn(move || drop(serve_connection(stream, &pool)));
        }
    });
    io::stdin().read_to_end(&mut Vec::new())?;
    for child in &mut children {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// Echoes frames: the Rust worker.
pub fn rust_worker(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let mut frame = Vec::new();
    while read_frame(&mut stream, &mut frame).is_ok() {
        stream.write_all(&frame)?;
    }
    Ok(())
}

fn start_worker(language: Language, socket: &Path, python: &str) -> io::Result<Child> {
    let mut command = match language {
        Language::Python => {
            let mut command = Command::new(python);
            command.args(["-c", PYTHON_WORKER]);
            command
        }
        Language::Node => {
            let mut command = Command::new("node");
            command.args(["-e", NODE_WORKER]);
            command
        }
        Language::Rust => {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("rust-worker");
            command
        }
    };
    command.arg(socket).spawn()
}

type Pool = (Mutex<Vec<UnixStream>>, Condvar);

fn serve_connection(stream: TcpStream, pool: &Pool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
    let mut stream = stream;
    let (mut request, mut answer, mut response) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        read_request(&mut reader, &mut request)?;
        let mut worker = take(pool);
        let exchanged = worker.write_all(&request).and_then(|()| read_frame(&mut worker, &mut answer));
        pool.0.lock().expect("no holder of this lock panics").push(worker);
        pool.1.notify_one();
        exchanged?;
        response.clear();
        write!(response, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len() - 4)?;
        response.extend_from_slice(&answer[4..]);
        stream.write_all(&response)?;
    }
}

fn take(pool: &Pool) -> UnixStream {
    let mut free = pool.0.lock().expect("no holder of this lock panics");
    loop {
        match free.pop() {
            Some(worker) => return worker,
            None => free = pool.1.wait(free).expect("no holder of this lock panics"),
        }
    }
}

/// Reads one request and leaves its body, framed, in `request`.
fn read_request(reader: &mut BufReader<TcpStream>, request: &mut Vec<u8>) -> io::Result<()> {
    use std::io::BufRead;
    let mut length = 0usize;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
    request.clear();
    request.extend_from_slice(&u32::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?.to_le_bytes());
    request.resize(4 + length, 0);
    reader.read_exact(&mut request[4..])
}

/// Reads one frame, its length included.
fn read_frame(stream: &mut UnixStream, frame: &mut Vec<u8>) -> io::Result<()> {
    frame.resize(4.max(frame.capacity().min(64 * 1024)), 0);
    let mut have = 0;
    loop {
        let count = stream.read(&mut frame[have..])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        have += count;
        if have < 4 {
            continue;
        }
        let total = 4 + u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
        if have >= total {
            frame.truncate(total);
            return Ok(());
        }
        if frame.len() < total {
            frame.resize(total, 0);
        }
    }
}
