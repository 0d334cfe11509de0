//! The AWS SDK for Python that functions import without bundling it: installed once, then kept.

use crate::failure::{Context, Failure};
use crate::interpreters::DeferredLauncher;
use gust_sandbox::Interpreter;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::{oneshot, watch};

/// Exactly these versions, for `pip install -r`.
const REQUIREMENTS: &str = include_str!("sdk-requirements.txt");
/// The version in the folder's name: a new one is installed beside the old one.
const BOTO3_VERSION: &str = "1.42.97";
/// Oldest Python minor version that this SDK runs on.
const PYTHON_MINOR_MIN: u8 = 9;
/// Longest time for the installation.
const INSTALL_MS_MAX: u64 = 10 * 60_000;
/// How much of pip's complaint is kept, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 16 * 1_024;

/// How far the SDK is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is being installed.
    Installing,
    /// It lies in this folder.
    Ready(PathBuf),
    /// It is not there; functions that import boto3 without bundling it fail.
    Missing(String),
}

impl State {
    /// For health and doctor.
    pub fn to_json(&self) -> Value {
        match self {
            State::Installing => json!({"state": "installing", "version": BOTO3_VERSION}),
            State::Ready(folder) => json!({"state": "ready", "folder": folder}),
            State::Missing(reason) => json!({"state": "missing", "reason": reason}),
        }
    }
}

/// The SDK's state, for whoever has to wait for it.
pub type Watch = watch::Receiver<State>;

/// Uses the folder that the user named.
pub fn offline(folder: &Path) -> Result<Watch, Failure> {
    let folder =
        folder.canonicalize().map_err(|cause| Failure::usage(format!("--sdk {}: {cause}", folder.display())))?;
    if !folder.join("boto3/__init__.py").exists() {
        return Err(Failure::usage(format!("--sdk {}: there is no boto3 in it", folder.display()))
            .hint("make it with: python3 -m pip install --target DIR boto3"));
    }
    Ok(watch::channel(State::Ready(folder)).1)
}

/// The folder of this version below `parent`.
pub fn folder_in(parent: &Path) -> PathBuf {
    parent.join(format!("sdk/python-{BOTO3_VERSION}"))
}

/// Finds the SDK below `parent`, or installs it there in the background, beginning when `begin` says so.
pub fn provision(parent: &Path, launcher: Arc<DeferredLauncher>, begin: oneshot::Receiver<()>) -> Watch {
    let folder = folder_in(parent);
    if folder.join("boto3/__init__.py").exists() {
        return watch::channel(State::Ready(folder)).1;
    }
    let (sender, receiver) = watch::channel(State::Installing);
    tokio::spawn(async move {
        if begin.await.is_err() {
            return;
        }
        let interpreters = launcher.interpreters().await;
        let (begun, limit) = (Instant::now(), Duration::from_millis(INSTALL_MS_MAX));
        let outcome = match tokio::time::timeout(limit, install(&folder, &interpreters)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new(format!("pip did not finish within {} minutes", INSTALL_MS_MAX / 60_000))),
        };
        let state = match outcome {
            Ok(()) => {
                tracing::info!(
                    version = BOTO3_VERSION,
                    took_s = begun.elapsed().as_secs(),
                    "the AWS SDK for Python is installed"
                );
                State::Ready(folder)
            }
            Err(failure) => {
                tracing::warn!(cause = %failure, "the AWS SDK for Python could not be installed: functions must bundle boto3; or use --sdk DIR");
                State::Missing(failure.message)
            }
        };
        sender.send_replace(state);
    });
    receiver
}

/// Installs into a folder beside the final one and renames it, so that a half-done one is never used.
async fn install(folder: &Path, interpreters: &[Interpreter]) -> Result<(), Failure> {
    let parent = folder.parent().ok_or_else(|| Failure::new("the SDK's folder has no parent"))?;
    std::fs::create_dir_all(parent).context(format_args!("cannot create {}", parent.display()))?;
    let staging =
        tempfile::Builder::new().prefix(".installing-").tempdir_in(parent).context("cannot create a folder")?;
    let requirements = staging.path().join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS).context("cannot write the list of packages")?;
    let python = interpreter_with_pip(interpreters).await?;
    let target = staging.path().join("sdk");
    pip_install(python, &requirements, &target).await?;
    compile(interpreters, &target).await;
    readable_by_all(&target).await?;
    match std::fs::rename(&target, folder) {
        Ok(()) => Ok(()),
        // Another gust that shares the cache folder was faster.
        Err(_) if folder.join("boto3/__init__.py").exists() => Ok(()),
        Err(cause) => Err(Failure::new(format!("cannot move the SDK into place: {cause}"))),
    }
}

/// The newest interpreter that the SDK runs on and that has pip.
async fn interpreter_with_pip(interpreters: &[Interpreter]) -> Result<&Interpreter, Failure> {
    let mut fitting: Vec<&Interpreter> =
        interpreters.iter().filter(|found| found.version.0 == 3 && found.version.1 >= PYTHON_MINOR_MIN).collect();
    fitting.sort_by_key(|found| std::cmp::Reverse(found.version));
    for interpreter in fitting {
        let mut probe = Command::new(&interpreter.path);
        probe.args(["-I", "-m", "pip", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if probe.kill_on_drop(true).status().await.is_ok_and(|status| status.success()) {
            return Ok(interpreter);
        }
    }
    Err(Failure::new(format!("no Python 3.{PYTHON_MINOR_MIN} or newer with pip was found")))
}

async fn pip_install(python: &Interpreter, requirements: &Path, target: &Path) -> Result<(), Failure> {
    let mut pip = Command::new(&python.path);
    pip.args(["-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-compile", "--no-deps"]);
    pip.args(["--only-binary=:all:", "--root-user-action=ignore", "--target"]).arg(target);
    pip.arg("-r")
        .arg(requirements)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = pip.spawn().context(format_args!("cannot run {}", python.path.display()))?;
    let lines = child.stdout.take().map(BufReader::new).map(AsyncBufReadExt::lines);
    let errors = child.stderr.take();
    let bar = progress_bar();
    let watched = async {
        let Some(mut lines) = lines else { return };
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(package) = line.strip_prefix("Collecting ") {
                bar.set_message(format!(
                    "installing the AWS SDK for Python: {}",
                    package.split_whitespace().next().unwrap_or_default()
                ));
                bar.inc(1);
            }
        }
    };
    let complaint = async {
        let mut text = Vec::new();
        if let Some(mut errors) = errors {
            // What exceeds the bound is read as well, so that pip never blocks on a full pipe.
            let kept = (&mut errors).take(COMPLAINT_BYTES_MAX).read_to_end(&mut text).await;
            let rest = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
            if kept.is_err() || rest.is_err() {
                tracing::debug!("pip closed its standard error early");
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let (status, (), complaint) = tokio::join!(child.wait(), watched, complaint);
    bar.finish_and_clear();
    let status = status.context("cannot wait for pip")?;
    if status.success() {
        return Ok(());
    }
    let reason = complaint.lines().rev().find(|line| line.contains("ERROR")).unwrap_or("it gave no reason").to_owned();
    Err(Failure::new(format!("pip failed ({status}): {reason}")))
}

/// Byte code for each interpreter: functions see the folder read-only and cannot write it themselves.
async fn compile(interpreters: &[Interpreter], target: &Path) {
    for interpreter in interpreters.iter().filter(|found| found.version.1 >= PYTHON_MINOR_MIN) {
        let mut compile = Command::new(&interpreter.path);
        compile.args(["-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]).arg(target);
        compile.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        if let Err(cause) = compile.status().await {
            tracing::debug!(%cause, python = %interpreter.path.display(), "the SDK is not compiled ahead for this Python");
        }
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

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        tracing::info!(version = BOTO3_VERSION, "installing the AWS SDK for Python");
        return ProgressBar::hidden();
    }
    let packages = REQUIREMENTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    let bar = ProgressBar::new(packages as u64).with_style(crate::progress::bar());
    bar.set_message("installing the AWS SDK for Python");
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_carries_the_pinned_version() {
        assert!(REQUIREMENTS.contains(&format!("boto3=={BOTO3_VERSION}\n")));
        assert!(folder_in(Path::new("/x")).ends_with(format!("sdk/python-{BOTO3_VERSION}")));
    }

    #[test]
    fn a_folder_without_boto3_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(offline(folder.path()).unwrap_err().message.contains("no boto3"));
    }

    #[tokio::test]
    async fn without_an_interpreter_the_reason_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let failure = install(&folder.path().join("sdk/python"), &[]).await.unwrap_err();
        assert!(failure.message.contains("with pip"), "{failure}");
    }
}
