//! How a runtime is made to listen for a debugger, and what it needs for that.
//!
//! Python gets debugpy, started by a wrapper before the runtime; Node has its own inspector. A custom runtime listens by
//! itself, its port is only forwarded. <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html>

use crate::dev::guess::Language;
use crate::dev::tree::Tree;
use crate::door::{DebugOrder, PORT_MARK};
use crate::failure::{Context, Failure};
use crate::folder;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// The folder inside the package with what the debugger needs.
const FOLDER: &str = ".gust-debug";
const WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";
/// The version that is fetched from PyPI, without compiled parts: one for all interpreters.
const DEBUGPY_VERSION: &str = "1.8.17";
/// How long fetching it may take.
const FETCH_MS_MAX: u64 = 120_000;
/// Where debugpy usually listens.
const PYTHON_PORT: u16 = 5678;
/// Where Node's inspector usually listens.
const NODE_PORT: u16 = 9229;

/// The wrapper: Lambda calls it with the runtime's own command line.
const WRAPPER_TEXT: &str = "#!/bin/sh\nexec \"$1\" -S /var/task/.gust-debug/start.py \"$@\"\n";
/// Starts debugpy in the runtime's process, then the runtime as if nothing had happened.
const START_TEXT: &str = "\
import os, runpy, sys

folder = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, folder)
import debugpy

sys.path.remove(folder)
debugpy.listen((\"127.0.0.1\", int(os.environ.pop(\"GUST_DEBUG_PORT\"))), in_process_debug_adapter=True)
if os.environ.pop(\"GUST_DEBUG_WAIT\", \"\"):
    debugpy.wait_for_client()
os.environ.pop(\"AWS_LAMBDA_EXEC_WRAPPER\", None)
script = sys.argv[-1]
sys.argv = [script]
sys.path[0] = os.path.dirname(script)
runpy.run_path(script, run_name=\"__main__\")
";

/// How a function is debugged.
#[derive(Debug, Clone)]
pub struct Debugger {
    order: DebugOrder,
    files: Tree,
}

impl Debugger {
    /// What `--debug` and `--wait` mean for a function in `language` with these variables of its own.
    ///
    /// Errors: debugpy cannot be fetched, or the function has a wrapper of its own.
    pub async fn prepare(
        language: Language,
        port: Option<u16>,
        waits: bool,
        variables: &Map<String, Value>,
    ) -> Result<Debugger, Failure> {
        let mut environment = BTreeMap::new();
        let mut files = Tree::default();
        let usual = match language {
            Language::Python => {
                if variables.contains_key(WRAPPER) {
                    return Err(Failure::usage(format!("--debug uses {WRAPPER}, which this function sets itself")));
                }
                environment.insert(WRAPPER.to_owned(), format!("/var/task/{FOLDER}/wrapper"));
                environment.insert("GUST_DEBUG_PORT".to_owned(), PORT_MARK.to_owned());
                if waits {
                    environment.insert("GUST_DEBUG_WAIT".to_owned(), "1".to_owned());
                }
                files = python_files().await?;
                Some(PYTHON_PORT)
            }
            Language::Node => {
                let flag = if waits { "--inspect-brk" } else { "--inspect" };
                let own = variables.get("NODE_OPTIONS").and_then(Value::as_str).unwrap_or_default();
                let options = format!("{own} {flag}=127.0.0.1:{PORT_MARK}");
                environment.insert("NODE_OPTIONS".to_owned(), options.trim().to_owned());
                Some(NODE_PORT)
            }
            Language::Custom => None,
        };
        let inside_port = usual.or(port).ok_or_else(|| {
            Failure::usage("a custom runtime listens for its debugger itself: name the port with --debug=PORT")
        })?;
        let order = DebugOrder { environment, inside_port, host_port: port.unwrap_or(inside_port) };
        Ok(Debugger { order, files })
    }

    /// What gust is asked for.
    pub fn order(&self) -> DebugOrder {
        self.order.clone()
    }

    /// Adds what the debugger needs to the package.
    pub fn add_to(&self, tree: &Tree) -> Tree {
        let mut tree = tree.clone();
        for (path, entry) in &self.files.files {
            tree.files.insert(format!("{FOLDER}/{path}"), entry.clone());
        }
        tree
    }
}

async fn python_files() -> Result<Tree, Failure> {
    let folder = folder::cache_path()?.join(format!("debugpy-{DEBUGPY_VERSION}"));
    if !folder.join("debugpy/__init__.py").exists() {
        fetch(&folder).await?;
    }
    write(&folder.join("wrapper"), WRAPPER_TEXT, 0o755)?;
    write(&folder.join("start.py"), START_TEXT, 0o644)?;
    Tree::scan(&folder).map_err(|cause| Failure::new(format!("cannot read debugpy: {cause}")))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .context(format_args!("cannot write {}", path.display()))
}

/// Fetches debugpy into a folder beside the final one and renames it, so that a half-done one is never used.
async fn fetch(folder: &Path) -> Result<(), Failure> {
    let by_hand = || {
        let path = folder.display();
        format!("fetch it by hand: python3 -m pip install --target {path} debugpy=={DEBUGPY_VERSION}")
    };
    let parent: PathBuf = folder.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(&parent).context(format_args!("cannot create {}", parent.display()))?;
    let staging =
        tempfile::Builder::new().prefix(".fetching-").tempdir_in(&parent).context("cannot create a folder")?;
    let target = staging.path().join("debugpy");
    let mut pip = Command::new("python3");
    pip.args(["-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps", "--quiet"]);
    pip.args(["--root-user-action=ignore", "--only-binary=:all:", "--implementation", "py", "--abi", "none"]);
    pip.args(["--platform", "any", "--target"]).arg(&target).arg(format!("debugpy=={DEBUGPY_VERSION}"));
    pip.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    tracing::info!(version = DEBUGPY_VERSION, "fetching debugpy");
    let output = match timeout(Duration::from_millis(FETCH_MS_MAX), pip.output()).await {
        Ok(output) => output.context("cannot run python3 to fetch debugpy")?,
        Err(_) => return Err(Failure::new("debugpy could not be fetched in time").hint(by_hand())),
    };
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let reason = complaint.lines().rev().find(|line| line.contains("ERROR")).unwrap_or("pip gave no reason");
        return Err(Failure::new(format!("debugpy could not be fetched from PyPI: {reason}")).hint(by_hand()));
    }
    match fs::rename(&target, folder) {
        Ok(()) => Ok(()),
        // Another `gust dev` was faster.
        Err(_) if folder.join("debugpy/__init__.py").exists() => Ok(()),
        Err(cause) => Err(Failure::new(format!("cannot move debugpy into place: {cause}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn prepare(language: Language, port: Option<u16>, variables: Value) -> Result<Debugger, Failure> {
        Debugger::prepare(language, port, false, variables.as_object().unwrap()).await
    }

    #[tokio::test]
    async fn node_keeps_its_own_options() {
        let variables = serde_json::json!({"NODE_OPTIONS": "--enable-source-maps"});
        let order = prepare(Language::Node, Some(9000), variables).await.unwrap().order();
        assert_eq!(order.environment["NODE_OPTIONS"], "--enable-source-maps --inspect=127.0.0.1:{port}");
        assert_eq!((order.inside_port, order.host_port), (9229, 9000));
    }

    #[tokio::test]
    async fn a_custom_runtime_needs_a_port() {
        let none = Value::Object(Map::new());
        assert!(prepare(Language::Custom, None, none.clone()).await.unwrap_err().message.contains("--debug=PORT"));
        let order = prepare(Language::Custom, Some(2345), none).await.unwrap().order();
        assert_eq!((order.inside_port, order.host_port, order.environment.len()), (2345, 2345, 0));
    }

    #[tokio::test]
    async fn a_wrapper_of_ones_own_is_refused() {
        let variables = serde_json::json!({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/x"});
        let refused = prepare(Language::Python, None, variables).await.unwrap_err();
        assert!(refused.message.contains("AWS_LAMBDA_EXEC_WRAPPER"), "{refused}");
    }
}
