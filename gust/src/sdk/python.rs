//! Installs the AWS SDK for Python with pip.

use super::progress::{self, Complaint};
use crate::failure::{Context, Failure};
use gust_sandbox::{Interpreter, Language};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Exactly these versions, for `pip install -r`.
const REQUIREMENTS: &str = include_str!("requirements.txt");
/// Oldest Python minor version that this SDK runs on.
const PYTHON_MINOR_MIN: u8 = 9;

/// Installs it into `target`, which does not exist yet; `staging` is for what is needed on the way.
pub async fn install(interpreters: &[Interpreter], staging: &Path, target: &Path) -> Result<(), Failure> {
    let requirements = staging.join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENTS).context("cannot write the list of packages")?;
    let python = interpreter_with_pip(interpreters).await?;
    pip_install(python, &requirements, target).await?;
    compile(interpreters, target).await;
    Ok(())
}

fn runs_sdk(found: &Interpreter) -> bool {
    found.language == Language::Python && found.version.0 == 3 && found.version.1 >= PYTHON_MINOR_MIN
}

/// The newest interpreter that the SDK runs on and that has pip.
async fn interpreter_with_pip(interpreters: &[Interpreter]) -> Result<&Interpreter, Failure> {
    let mut fitting: Vec<&Interpreter> = interpreters.iter().filter(|found| runs_sdk(found)).collect();
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
    pip.arg("-r").arg(requirements);
    pip.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = pip.spawn().context(format_args!("cannot run {}", python.path.display()))?;
    let lines = child.stdout.take().map(BufReader::new).map(AsyncBufReadExt::lines);
    let complaint = Complaint::of(child.stderr.take());
    let packages = REQUIREMENTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    let bar = progress::bar("installing the AWS SDK for Python", Some(packages));
    let watched = async {
        let Some(mut lines) = lines else { return };
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(package) = line.strip_prefix("Collecting ") {
                let name = package.split_whitespace().next().unwrap_or_default();
                bar.set_message(format!("installing the AWS SDK for Python: {name}"));
                bar.inc(1);
            }
        }
    };
    let (status, (), complaint) = tokio::join!(child.wait(), watched, complaint.read());
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
    for interpreter in interpreters.iter().filter(|found| runs_sdk(found)) {
        let mut compile = Command::new(&interpreter.path);
        compile.args(["-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]).arg(target);
        compile.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        if let Err(cause) = compile.status().await {
            tracing::debug!(%cause, python = %interpreter.path.display(), "the SDK is not compiled ahead for this Python");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_carries_the_pinned_version() {
        assert!(REQUIREMENTS.contains(&format!("boto3=={}\n", super::super::Sdk::Python.version())));
    }
}
