//! What starts an environment: sandboxes in a running gust, tasks of the test in tests.

use async_trait::async_trait;
use gust_kit::ports::FunctionSpec;
use gust_runtime_api::{ApiListener, EnvironmentApi, RuntimeConnection};
use gust_sandbox::{Exit, ExtensionExit};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// The reading end of a pipe.
pub type PipeReader = Box<dyn AsyncRead + Send + Sync + Unpin>;

/// An environment to be made.
#[derive(Clone)]
pub struct LaunchOrder {
    /// Its id: unique, `[A-Za-z0-9_-]`.
    pub id: String,
    /// What runs in it.
    pub spec: Arc<FunctionSpec>,
    /// The environment variables, all but the Runtime API's address.
    pub variables: Vec<(String, String)>,
    /// The folder with the AWS SDK for `/var/runtime`.
    pub sdk_dir: Option<PathBuf>,
    /// Names of the external extensions in `/opt/extensions`.
    pub extensions: Vec<String>,
    /// What its Runtime API's listener offers besides.
    pub api: Arc<EnvironmentApi>,
}

/// A started environment, whose runtime is initialising.
pub struct Launched {
    /// Talks to the runtime.
    pub connection: RuntimeConnection,
    /// stdout and stderr of all processes.
    pub stdout: Option<PipeReader>,
    /// The framed log pipe.
    pub log: Option<PipeReader>,
    /// gust's own endpoint inside, to be served.
    pub endpoint: Option<TcpListener>,
    /// The Runtime API's listener, where the runtime itself does not use it.
    pub api_listener: Option<ApiListener>,
    /// stdout and stderr of the external extensions.
    pub extension_output: Option<PipeReader>,
    /// Tells the end of each external extension.
    pub extension_exits: Option<mpsc::Receiver<ExtensionExit>>,
    /// Controls it. Dropping the last reference kills and removes it.
    pub control: Arc<dyn Control>,
}

/// Control over one environment.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// Waits for the end of the main process.
    async fn exit(&self) -> Exit;
    /// Kills all processes; returns when they are gone.
    async fn kill(&self) -> Result<(), String>;
    /// Stops all processes from running.
    async fn freeze(&self) -> Result<(), String>;
    /// Lets them run again.
    async fn thaw(&self) -> Result<(), String>;
    /// Starts the runtime that waits for the external extensions.
    async fn start_program(&self) -> Result<(), String>;
    /// Asks the runtime's process to end.
    async fn terminate(&self) -> Result<(), String>;
    /// Initialisation is over: only the CPU share of MemorySize from now on.
    async fn end_boost(&self) -> Result<(), String>;
    /// Connects to a port of its own loopback.
    async fn connect(&self, _port: u16) -> Result<TcpStream, String> {
        Err("it has no network of its own".to_owned())
    }
    /// The highest memory use so far, in bytes.
    async fn memory_peak_bytes(&self) -> Option<u64>;
}

/// Why an environment could not be started.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LaunchError {
    /// The runtime is not on this machine; the text is for the caller.
    #[error("{0}")]
    RuntimeUnavailable(String),
    /// The package has nothing to execute: the function's fault. The text follows `Error: `.
    #[error("{0}")]
    InvalidEntrypoint(String),
    /// The machine or gust failed.
    #[error("{0}")]
    Sandbox(String),
}

/// Starts environments.
#[async_trait]
pub trait Launcher: Send + Sync + 'static {
    /// Starts one.
    async fn launch(&self, order: LaunchOrder) -> Result<Launched, LaunchError>;

    /// The runtime's version as INIT_START prints it, for example `python:3.12.v7`.
    fn runtime_version(&self, spec: &FunctionSpec) -> String;

    /// Something the function's owner should know about its runtime, said once in its log.
    fn warning(&self, spec: &FunctionSpec) -> Option<String>;
}
