//! A gust under test: started on a free port with signatures checked, driven through the AWS API. A rival that speaks the
//! same API is a target, too.

use crate::http::{Answer, Connection};
use base64::Engine;
use gust_auth::{Head, Signer};
use http::HeaderMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest that gust may take to answer after its start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that a function may stay Pending or InProgress.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
const REGION: &str = "us-east-1";

/// Longest that it may take to end, with a thousand sandboxes to remove; then it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Seconds that functions have to finish when gust is told to end.
const DRAIN_S: &str = "2";

/// A running gust, or a rival.
pub struct Target {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    key: (String, String),
}

/// A trust policy that lets Lambda act in the role, as a form carries it.
const TRUST: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22lambda.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";

/// A function to be made.
pub struct Function<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its runtime.
    pub runtime: &'a str,
    /// Its handler.
    pub handler: &'a str,
    /// Files of its package: name, bytes, mode.
    pub files: &'a [(&'a str, &'a [u8], u32)],
    /// Its memory in MB.
    pub memory_mb: u32,
    /// Its time limit in seconds.
    pub timeout_s: u32,
}

/// One whole processor on Lambda.
pub const MEMORY_MB: u32 = 1769;

impl<'a> Function<'a> {
    /// A function with one whole processor and a minute of time.
    pub fn new(
        name: &'a str,
        runtime: &'a str,
        handler: &'a str,
        files: &'a [(&'a str, &'a [u8], u32)],
    ) -> Function<'a> {
        Function { name, runtime, handler, files, memory_mb: MEMORY_MB, timeout_s: 60 }
    }
}

impl Target {
    /// Starts `binary` on the data folder `data` with verified signatures and waits until it serves.
    pub fn start(binary: &Path, data: &Path, more: &[&str]) -> io::Result<Target> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut child = Command::new(binary)
            .args(["up", "--auth", "strict", "--end-with-stdin", "--drain", DRAIN_S, "--port", &port.to_string()])
            .arg("--data")
            .arg(data)
            .args(more)
            // Its other end is closed with this process, however that ends: gust never outlives a benchmark.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or_else(|| io::Error::other("no standard error"))?;
        let key = read_root_key(stderr, &data.join("bench-root-key"));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut target = Target { child, address, key: Default::default() };
        target.wait_until_healthy()?;
        target.key = key.recv_timeout(START_TIMEOUT).map_err(|_| io::Error::other("gust showed no root key"))?;
        Ok(target)
    }

    /// A rival that speaks the same API: `child` is about to serve `address` and checks no signatures. It is there when
    /// it answers any request at all.
    pub fn rival(child: Child, address: SocketAddr) -> io::Result<Target> {
        let key = ("test".to_owned(), "test".to_owned());
        let mut target = Target { child, address, key };
        let begun = Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            if let Some(status) = target.child.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status}")));
            }
            if Connection::open(address)
                .and_then(|mut open| open.exchange(&target.signed("GET", "/2015-03-31/functions", &[], b"")))
                .is_ok()
            {
                return Ok(target);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(io::Error::other("it did not answer"))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_healthy(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("gust ended with {status}")));
            }
            if is_healthy(self.address) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(io::Error::other("gust did not answer"))
    }

    /// A signed request, ready to be sent any number of times within 15 minutes.
    pub fn signed(&self, method: &str, path: &str, headers: &[(&'static str, &str)], body: &[u8]) -> Vec<u8> {
        self.signed_for("lambda", method, path, headers, body)
    }

    /// The same for another service than lambda.
    pub fn signed_for(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        let host = self.address.to_string();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("the benchmark's own headers are valid"));
        }
        let head = Head { method, path, query: "", headers: &map, host: &host };
        let signer = Signer {
            access_key_id: &self.key.0,
            secret_access_key: &self.key.1,
            session_token: None,
            region: REGION,
            service,
        };
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len()).into_bytes();
        for (name, value) in &signer.sign(&head, body, i64::try_from(now_ms).unwrap_or(i64::MAX)) {
            request.extend_from_slice(name.as_str().as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        request
    }

    /// A signed invocation.
    pub fn invocation(&self, function: &str, kind: &'static str, payload: &[u8]) -> Vec<u8> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        self.signed("POST", &path, &[("x-amz-invocation-type", kind)], payload)
    }

    /// Sends one request on a new connection.
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let request = self.signed(method, path, &[("content-type", "application/json")], body);
        Connection::open(self.address)?.exchange(&request)
    }

    /// Sends one request of the logs service on `connection`.
    pub fn logs(&self, connection: &mut Connection, operation: &str, body: &serde_json::Value) -> io::Result<()> {
        let target = format!("Logs_20140328.{operation}");
        let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
        let request = self.signed_for("logs", "POST", "/", &headers, body.to_string().as_bytes());
        expect(&connection.exchange(&request)?, 200)
    }

    /// Ends it as `kill -9` does.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Makes a function and waits until it is active.
    pub fn create(&self, function: &Function<'_>) -> io::Result<()> {
        self.ensure_role()?;
        self.begin_to_create(function)?;
        self.settle(function.name)
    }

    /// Makes a function whose role exists, without waiting.
    pub fn begin_to_create(&self, function: &Function<'_>) -> io::Result<()> {
        let body = serde_json::json!({
            "FunctionName": function.name, "Runtime": function.runtime, "Handler": function.handler,
            "Role": "arn:aws:iam::000000000000:role/bench", "MemorySize": function.memory_mb,
            "Timeout": function.timeout_s,
            "Code": {"ZipFile": base64::engine::general_purpose::STANDARD.encode(package(function.files)?)},
        });
        let answer = self.send("POST", "/2015-03-31/functions", body.to_string().as_bytes())?;
        expect(&answer, 201)
    }

    /// Replaces the function's code, and waits until the new one counts.
    pub fn update_code(&self, function: &str, files: &[(&str, &[u8], u32)]) -> io::Result<()> {
        let body = serde_json::json!({"ZipFile": base64::engine::general_purpose::STANDARD.encode(package(files)?)});
        let path = format!("/2015-03-31/functions/{function}/code");
        expect(&self.send("PUT", &path, body.to_string().as_bytes())?, 200)?;
        self.settle(function)
    }

    /// Deletes a function.
    pub fn delete(&self, function: &str) -> io::Result<()> {
        expect(&self.send("DELETE", &format!("/2015-03-31/functions/{function}"), b"")?, 204)
    }

    /// Reserves `count` concurrent executions for the function.
    pub fn reserve(&self, function: &str, count: u32) -> io::Result<()> {
        let body = serde_json::json!({"ReservedConcurrentExecutions": count});
        let path = format!("/2017-10-31/functions/{function}/concurrency");
        expect(&self.send("PUT", &path, body.to_string().as_bytes())?, 200)
    }

    /// What `/_gust/health` says.
    pub fn health(&self) -> io::Result<serde_json::Value> {
        let request = format!("GET /_gust/health HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        let answer = Connection::open(self.address)?.exchange(request.as_bytes())?;
        expect(&answer, 200)?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// Makes the role that functions act in: with verified signatures one that Lambda may not assume is refused.
    pub fn ensure_role(&self) -> io::Result<()> {
        let body = format!("Action=CreateRole&Version=2010-05-08&RoleName=bench&AssumeRolePolicyDocument={TRUST}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let request = self.signed_for("iam", "POST", "/", &headers, body.as_bytes());
        let answer = Connection::open(self.address)?.exchange(&request)?;
        // 409: an earlier function's.
        if answer.status == 409 { Ok(()) } else { expect(&answer, 200) }
    }

    /// Changes the function's environment, so that its next invocation is a cold one.
    pub fn refresh(&self, function: &str, round: u32) -> io::Result<()> {
        self.refresh_with(function, &serde_json::json!({"ROUND": round.to_string()}))
    }

    /// The same with these variables.
    pub fn refresh_with(&self, function: &str, variables: &serde_json::Value) -> io::Result<()> {
        let body = serde_json::json!({"Environment": {"Variables": variables}});
        let path = format!("/2015-03-31/functions/{function}/configuration");
        expect(&self.send("PUT", &path, body.to_string().as_bytes())?, 200)?;
        self.settle(function)
    }

    /// Waits until the function is active and its last update is done.
    pub fn settle(&self, function: &str) -> io::Result<()> {
        let begun = Instant::now();
        let path = format!("/2015-03-31/functions/{function}/configuration");
        while begun.elapsed() < SETTLE_TIMEOUT {
            let answer = self.send("GET", &path, b"")?;
            expect(&answer, 200)?;
            let configuration: serde_json::Value = serde_json::from_slice(&answer.body)?;
            // Rivals may leave out the status of an update that never was.
            let is_updated = matches!(configuration["LastUpdateStatus"].as_str(), Some("Successful") | None);
            if configuration["State"] == "Active" && is_updated {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(io::Error::other("the function did not become active"))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // The end of its standard input ends gust in order; a rival is asked by signal.
        if self.child.stdin.take().is_none() {
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        }
        let begun = Instant::now();
        while begun.elapsed() < STOP_TIMEOUT {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether something answers the health check at `address`.
pub fn is_healthy(address: SocketAddr) -> bool {
    let request = format!("GET /_gust/health HTTP/1.1\r\nhost: {address}\r\n\r\n");
    Connection::open(address)
        .and_then(|mut connection| connection.exchange(request.as_bytes()))
        .is_ok_and(|answer| answer.status == 200)
}

/// Fails unless `answer` has `status`.
pub fn expect(answer: &Answer, status: u16) -> io::Result<()> {
    if answer.status == status && answer.header("x-amz-function-error").is_none() {
        return Ok(());
    }
    let body = String::from_utf8_lossy(&answer.body);
    Err(io::Error::other(format!("{} instead of {status}: {body}", answer.status)))
}

/// A zip archive of `files`.
fn package(files: &[(&str, &[u8], u32)]) -> io::Result<Vec<u8>> {
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, bytes, mode) in files {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        archive.start_file(*name, options).map_err(io::Error::other)?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish().map_err(io::Error::other)?.into_inner())
}

/// Reads the root key out of what gust prints at its first start, and goes on reading so that gust never blocks.
/// A later start on the same folder shows no key: it is kept in `memo`.
fn read_root_key(stderr: std::process::ChildStderr, memo: &Path) -> std::sync::mpsc::Receiver<(String, String)> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let memo = memo.to_path_buf();
    if let Ok(text) = std::fs::read_to_string(&memo)
        && let Some((id, secret)) = text.split_once(' ')
    {
        let _ = sender.send((id.to_owned(), secret.to_owned()));
    }
    std::thread::spawn(move || {
        let (mut id, mut secret) = (None, None);
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            for word in line.split(|c: char| c.is_whitespace() || "='\"".contains(c)) {
                if word.len() == 20 && word.starts_with("AKIA") {
                    id = Some(word.to_owned());
                } else if word.len() == 40 && !word.contains("://") && id.is_some() {
                    secret = Some(word.to_owned());
                }
            }
            if let (Some(id), Some(secret)) = (&id, secret.take()) {
                let _ = std::fs::write(&memo, format!("{id} {secret}"));
                let _ = sender.send((id.clone(), secret));
            }
        }
    });
    receiver
}
