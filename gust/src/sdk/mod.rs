//! The AWS SDKs that functions import without bundling them, as Lambda's runtimes have them: installed once, then kept.

mod node;
mod progress;
mod python;

use crate::failure::{Context, Failure};
use crate::interpreters::DeferredLauncher;
use gust_sandbox::{Interpreter, Language};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::watch;

/// Longest time for an installation.
const INSTALL_MS_MAX: u64 = 10 * 60_000;

/// One of the SDKs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// boto3.
    Python,
    /// The AWS SDK for JavaScript, version 3.
    Node,
}

impl Sdk {
    /// All of them.
    pub const ALL: [Sdk; 2] = [Sdk::Python, Sdk::Node];

    fn language(self) -> Language {
        match self {
            Sdk::Python => Language::Python,
            Sdk::Node => Language::Node,
        }
    }

    /// Its name for messages.
    pub fn title(self) -> &'static str {
        match self {
            Sdk::Python => "the AWS SDK for Python",
            Sdk::Node => "the AWS SDK for JavaScript",
        }
    }

    /// What functions have to bundle if it is not there.
    pub fn package(self) -> &'static str {
        match self {
            Sdk::Python => "boto3",
            Sdk::Node => "@aws-sdk",
        }
    }

    /// The flag that names a folder with it.
    pub fn flag(self) -> &'static str {
        match self {
            Sdk::Python => "--sdk",
            Sdk::Node => "--sdk-node",
        }
    }

    /// The version in the folder's name: a new one is installed beside the old one.
    fn version(self) -> &'static str {
        match self {
            Sdk::Python => "1.42.97",
            Sdk::Node => "3.967.0",
        }
    }

    /// What is in its folder for sure.
    fn landmark(self) -> &'static str {
        match self {
            Sdk::Python => "boto3/__init__.py",
            Sdk::Node => "node_modules/@aws-sdk/client-s3/package.json",
        }
    }

    fn recipe(self) -> &'static str {
        match self {
            Sdk::Python => "make it with: python3 -m pip install --target DIR boto3",
            Sdk::Node => {
                "make it with: npm install --prefix DIR @aws-sdk/client-s3 (and what else your functions import)"
            }
        }
    }

    /// The folder of this version below `parent`.
    pub fn folder_in(self, parent: &Path) -> PathBuf {
        match self {
            Sdk::Python => parent.join(format!("sdk/python-{}", self.version())),
            Sdk::Node => parent.join(format!("sdk/node-{}", self.version())),
        }
    }

    /// Whether a folder has it.
    pub fn is_in(self, folder: &Path) -> bool {
        folder.join(self.landmark()).exists()
    }
}

/// How far an SDK is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is being installed.
    Installing,
    /// It lies in this folder.
    Ready(PathBuf),
    /// It is not there; functions that import it without bundling it fail.
    Missing(String),
}

/// The state of each SDK, for whoever has to wait for it.
#[derive(Debug, Clone)]
pub struct Sdks {
    /// The one for Python.
    pub python: watch::Receiver<State>,
    /// The one for JavaScript.
    pub node: watch::Receiver<State>,
}

impl Sdks {
    /// For health.
    pub fn to_json(&self) -> Value {
        let of = |sdk: Sdk, state: &watch::Receiver<State>| match &*state.borrow() {
            State::Installing => json!({"state": "installing", "version": sdk.version()}),
            State::Ready(folder) => json!({"state": "ready", "folder": folder}),
            State::Missing(reason) => json!({"state": "missing", "reason": reason}),
        };
        json!({"python": of(Sdk::Python, &self.python), "node": of(Sdk::Node, &self.node)})
    }
}

/// Checks the folder that the user named.
///
/// Errors: it is not there, or there is no such SDK in it.
pub fn offline(sdk: Sdk, folder: &Path) -> Result<PathBuf, Failure> {
    let flag = sdk.flag();
    let folder =
        folder.canonicalize().map_err(|cause| Failure::usage(format!("{flag} {}: {cause}", folder.display())))?;
    if !sdk.is_in(&folder) {
        return Err(Failure::usage(format!("{flag} {}: there is no {} in it", folder.display(), sdk.package()))
            .hint(sdk.recipe()));
    }
    Ok(folder)
}

/// Uses the user's folder, or one below `parent`; installs it there in the background, beginning when `begin` becomes
/// true.
pub fn provide(
    sdk: Sdk,
    offline: Option<PathBuf>,
    parent: &Path,
    launcher: Arc<DeferredLauncher>,
    mut begin: watch::Receiver<bool>,
) -> watch::Receiver<State> {
    let folder = offline.unwrap_or_else(|| sdk.folder_in(parent));
    if sdk.is_in(&folder) {
        return watch::channel(State::Ready(folder)).1;
    }
    let (sender, receiver) = watch::channel(State::Installing);
    tokio::spawn(async move {
        if begin.wait_for(|begin| *begin).await.is_err() {
            return;
        }
        let interpreters = launcher.interpreters().await;
        if !interpreters.iter().any(|found| found.language == sdk.language()) {
            // Nothing can ask for it either.
            sender.send_replace(State::Missing(format!("no {} was found", sdk.language().name())));
            return;
        }
        let (begun, limit) = (Instant::now(), Duration::from_millis(INSTALL_MS_MAX));
        let outcome = match tokio::time::timeout(limit, install(sdk, &folder, &interpreters)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new(format!("it did not finish within {} minutes", INSTALL_MS_MAX / 60_000))),
        };
        let state = match outcome {
            Ok(()) => {
                let took_s = begun.elapsed().as_secs();
                tracing::info!(version = sdk.version(), took_s, "{} is installed", sdk.title());
                State::Ready(folder)
            }
            Err(failure) => {
                let (title, package, flag) = (sdk.title(), sdk.package(), sdk.flag());
                tracing::warn!(cause = %failure, "{title} could not be installed: functions must bundle {package}; or use {flag} DIR");
                State::Missing(failure.message)
            }
        };
        sender.send_replace(state);
    });
    receiver
}

/// Installs into a folder beside the final one and renames it, so that a half-done one is never used.
async fn install(sdk: Sdk, folder: &Path, interpreters: &[Interpreter]) -> Result<(), Failure> {
    let parent = folder.parent().ok_or_else(|| Failure::new("the SDK's folder has no parent"))?;
    std::fs::create_dir_all(parent).context(format_args!("cannot create {}", parent.display()))?;
    let staging =
        tempfile::Builder::new().prefix(".installing-").tempdir_in(parent).context("cannot create a folder")?;
    let target = staging.path().join("sdk");
    match sdk {
        Sdk::Python => python::install(interpreters, staging.path(), &target).await?,
        Sdk::Node => node::install(interpreters, &target).await?,
    }
    readable_by_all(&target).await?;
    match std::fs::rename(&target, folder) {
        Ok(()) => Ok(()),
        // Another gust that shares the cache folder was faster.
        Err(_) if sdk.is_in(folder) => Ok(()),
        Err(cause) => Err(Failure::new(format!("cannot move the SDK into place: {cause}"))),
    }
}

/// A function runs as another user: the folder must be readable by all.
async fn readable_by_all(target: &Path) -> Result<(), Failure> {
    let status = Command::new("chmod").args(["-R", "a+rX"]).arg(target).stdin(Stdio::null()).status().await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("chmod of the SDK failed ({status})"))),
        Err(cause) => Err(Failure::new(format!("cannot run chmod: {cause}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sdk_has_a_folder_of_its_version() {
        for (sdk, name) in [(Sdk::Python, "python"), (Sdk::Node, "node")] {
            assert!(sdk.folder_in(Path::new("/x")).ends_with(format!("sdk/{name}-{}", sdk.version())));
        }
    }

    #[test]
    fn a_folder_without_the_sdk_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(offline(Sdk::Python, folder.path()).unwrap_err().message.contains("no boto3"));
        assert!(offline(Sdk::Node, folder.path()).unwrap_err().message.contains("--sdk-node"));
        let landmark = folder.path().join(Sdk::Node.landmark());
        std::fs::create_dir_all(landmark.parent().unwrap()).unwrap();
        std::fs::write(landmark, "{}").unwrap();
        assert_eq!(offline(Sdk::Node, folder.path()).unwrap(), folder.path().canonicalize().unwrap());
    }

    #[tokio::test]
    async fn without_an_interpreter_the_reason_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let failure = install(Sdk::Python, &folder.path().join("sdk/python"), &[]).await.unwrap_err();
        assert!(failure.message.contains("with pip"), "{failure}");
        let failure = install(Sdk::Node, &folder.path().join("sdk/node"), &[]).await.unwrap_err();
        assert!(failure.message.contains("no Node.js"), "{failure}");
    }
}
