//! Installs the AWS SDK for JavaScript with npm.

use super::progress::{self, Complaint};
use crate::failure::{Context, Failure};
use gust_sandbox::{Interpreter, Language};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The packages, in exactly these versions; what they need themselves is chosen by npm.
const PACKAGES: &str = include_str!("package.json");
/// How often a progress shows that it lives.
const TICK: Duration = Duration::from_millis(120);

/// Installs it into `target/node_modules`; `target` does not exist yet.
pub async fn install(interpreters: &[Interpreter], target: &Path) -> Result<(), Failure> {
    let (npm, path) = find_npm(interpreters)?;
    std::fs::create_dir(target).context("cannot create a folder")?;
    std::fs::write(target.join("package.json"), PACKAGES).context("cannot write the list of packages")?;
    let mut install = Command::new(&npm);
    install.args(["install", "--omit=dev", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"]);
    install.args(["--no-update-notifier", "--loglevel=error", "--prefix"]).arg(target).current_dir(target);
    // npm is a script for `node`, which has to be the one that it belongs to.
    install.env("PATH", path);
    install.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = install.spawn().context(format_args!("cannot run {}", npm.display()))?;
    let complaint = Complaint::of(child.stderr.take());
    let bar = progress::bar("installing the AWS SDK for JavaScript", None);
    bar.enable_steady_tick(TICK);
    let (status, complaint) = tokio::join!(child.wait(), complaint.read());
    bar.finish_and_clear();
    let status = status.context("cannot wait for npm")?;
    if status.success() {
        return Ok(());
    }
    let is_reason = |line: &&str| line.starts_with("npm error") || line.starts_with("npm ERR!");
    let reason = complaint.lines().find(is_reason).unwrap_or("it gave no reason").to_owned();
    Err(Failure::new(format!("npm failed ({status}): {reason}")))
}

/// npm beside the newest interpreter that has one, and the PATH for it.
fn find_npm(interpreters: &[Interpreter]) -> Result<(PathBuf, OsString), Failure> {
    let mut nodes: Vec<&Interpreter> = interpreters.iter().filter(|found| found.language == Language::Node).collect();
    if nodes.is_empty() {
        return Err(Failure::new("no Node.js was found"));
    }
    nodes.sort_by_key(|found| std::cmp::Reverse(found.version));
    let machine = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let beside = nodes.iter().filter_map(|found| found.path.parent()).map(Path::to_owned);
    for folder in beside.chain(std::env::split_paths(&machine)) {
        let npm = folder.join("npm");
        if npm.is_file() {
            let folders = std::iter::once(folder).chain(std::env::split_paths(&machine));
            let path = std::env::join_paths(folders).context("cannot make a PATH for npm")?;
            return Ok((npm, path));
        }
    }
    Err(Failure::new("npm was not found"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::Sdk;
    use serde_json::Value;

    #[test]
    fn every_package_is_pinned_and_the_folder_carries_the_version() {
        let list: Value = serde_json::from_str(PACKAGES).unwrap();
        let packages = list["dependencies"].as_object().unwrap();
        assert_eq!(packages["@aws-sdk/client-s3"], Sdk::Node.version());
        for (name, version) in packages {
            let version = version.as_str().unwrap();
            assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{name} {version}");
        }
    }

    #[test]
    fn without_an_interpreter_the_reason_is_named() {
        assert_eq!(find_npm(&[]).unwrap_err().message, "no Node.js was found");
    }
}
