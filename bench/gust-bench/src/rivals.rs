//! Others, started for the same run: ministack, serverless-offline, `node:http`, uvicorn.

use crate::context::Context;
use crate::http::Connection;
use crate::target::Target;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that one may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A server that answers POST with the body that it got.
const NODE_SERVER: &str = r#"
require("http").createServer((request, response) => {
  let body = ""; request.setEncoding("utf8");
  request.on("data", (part) => { body += part; });
  request.on("end", () => { response.writeHead(200, {"content-type": "text/plain", "content-length": Buffer.byteLength(body)}); response.end(body); });
}).listen(Number(process.argv[1]), "127.0.0.1");
"#;

/// The same as an application for uvicorn.
const PYTHON_SERVER: &str = r#"
import sys, uvicorn

async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    head = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})

uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False, lifespan="off")
"#;

/// What serverless-offline serves.
const SERVERLESS_YAML: &str = "service: bench\nframeworkVersion: \"*\"\nprovider:\n  name: aws\n  runtime: nodejs20.x\n  region: us-east-1\nplugins:\n  - serverless-offline\nfunctions:\n  echo:\n    handler: echo.handler\n    events:\n      - httpApi:\n          path: /\n          method: post\n";

/// A function of a URL: answers with the body that it got.
pub const NODE_URL_ECHO: &[u8] = b"exports.handler = async (event) => ({ statusCode: 200, headers: { \"content-type\": \"text/plain\" }, body: event.body || \"\" });\n";
/// The same.
pub const PYTHON_URL_ECHO: &[u8] = b"def handler(event, context):\n    return {\"statusCode\": 200, \"headers\": {\"content-type\": \"text/plain\"}, \"body\": event.get(\"body\", \"\")}\n";

/// A plain HTTP server in a process of its own, ended with this value.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    // The files that it serves.
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    /// `node:http`.
    pub fn node(node: &Path) -> io::Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(node);
        command.args(["-e", NODE_SERVER, &port.to_string()]);
        Server::start(command, port, None)
    }

    /// uvicorn.
    pub fn uvicorn(python: &Path) -> io::Result<Server> {
        let port = free_port()?;
        let mut command = Command::new(python);
        command.args(["-c", PYTHON_SERVER, &port.to_string()]);
        Server::start(command, port, None)
    }

    /// serverless-offline with `osls`, both installed in `folder`.
    pub fn serverless(node: &Path, folder: &Path) -> io::Result<Server> {
        // A project of its own below the installed packages, so that Node.js finds them.
        let project = tempfile::Builder::new().prefix("project-").tempdir_in(folder)?;
        std::fs::write(project.path().join("serverless.yml"), SERVERLESS_YAML)?;
        std::fs::write(project.path().join("echo.js"), NODE_URL_ECHO)?;
        let (port, lambda_port) = (free_port()?, free_port()?);
        let mut command = Command::new(node);
        command.arg(program(folder)?).args([
            "offline",
            "start",
            "--host",
            "127.0.0.1",
            "--httpPort",
            &port.to_string(),
        ]);
        command.args(["--lambdaPort", &lambda_port.to_string()]).current_dir(project.path());
        command.envs([
            ("SLS_TELEMETRY_DISABLED", "1"),
            ("SLS_NOTIFICATIONS_MODE", "off"),
            ("SLS_ANALYTICS_DISABLED", "1"),
        ]);
        Server::start(command, port, Some(project))
    }

    fn start(mut command: Command, port: u16, folder: Option<tempfile::TempDir>) -> io::Result<Server> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut server = Server { child, address, _folder: folder };
        let (request, begun) = (server.post("x"), Instant::now());
        while begun.elapsed() < START_TIMEOUT {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended with {status}")));
            }
            let answer = Connection::open(address).and_then(|mut connection| connection.exchange(&request));
            if answer.is_ok_and(|answer| answer.status == 200 && answer.body == b"x") {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(io::Error::other("the server did not answer"))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A request that it echoes.
    pub fn post(&self, body: &str) -> Vec<u8> {
        let head = "content-type: text/plain\r\naccept: */*";
        format!("POST / HTTP/1.1\r\nhost: {}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", self.address, body.len())
            .into_bytes()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program of osls, whatever its package calls it.
fn program(folder: &Path) -> io::Result<PathBuf> {
    let bin = folder.join("node_modules/.bin");
    let found = ["osls", "serverless", "sls"].iter().map(|name| bin.join(name)).find(|path| path.exists());
    found.ok_or_else(|| io::Error::other(format!("no serverless in {}", bin.display())))
}

/// ministack, which runs functions as processes without isolation and checks no signatures; `None`, said aloud, where
/// it is not installed or does not start: a rival that cannot run here is no reason to measure nothing.
pub fn ministack(context: &Context) -> Option<(Target, tempfile::TempDir)> {
    let program = context.ministack.as_ref()?;
    match start_ministack(context, program) {
        Ok(started) => Some(started),
        Err(error) => {
            eprintln!("ministack does not run here: {error}");
            None
        }
    }
}

fn start_ministack(context: &Context, program: &Path) -> io::Result<(Target, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    // It looks for interpreters on the path, and is to find those that gust uses.
    let folders = [context.python.parent(), context.node.as_ref().and_then(|node| node.path.parent())];
    let own = std::env::var("PATH").unwrap_or_default();
    let path: Vec<String> = folders.iter().flatten().map(|folder| folder.display().to_string()).chain([own]).collect();
    let child = Command::new(program)
        .envs([
            ("BIND_HOST", "127.0.0.1".to_owned()),
            ("GATEWAY_PORT", port.to_string()),
            ("LOG_LEVEL", "ERROR".to_owned()),
        ])
        .env("PATH", path.join(":"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok((Target::rival(child, SocketAddr::from(([127, 0, 0, 1], port)))?, folder))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
