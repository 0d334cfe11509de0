//! Python for tests and the demo: a virtual environment under `target/` with pinned packages.

use crate::{project, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Oldest minor version of Python 3 that the pinned AWS tools run on.
const MINOR_MIN: u32 = 10;

/// The interpreter of the environment `target/<name>`, made or brought up to date with `requirements`.
///
/// Errors: no fitting Python, or pip cannot fetch a package.
pub fn environment(name: &str, requirements: &Path) -> Result<PathBuf, String> {
    let folder = project::root().join("target").join(name);
    let python = folder.join("bin/python");
    let wanted = project::read(requirements)?;
    let stamp = folder.join("requirements.installed");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let base = base_interpreter()?;
    if !python.exists() || !run::succeeds(Command::new(&python).args(["-m", "pip", "--version"])) {
        create(&base, &folder)?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "-r"]);
    run::run(pip.arg(requirements))?;
    project::write(&stamp, &wanted)?;
    Ok(python)
}

fn create(base: &Path, folder: &Path) -> Result<(), String> {
    let venv = || {
        let mut command = Command::new(base);
        command.args(["-m", "venv", "--clear"]).arg(folder);
        command
    };
    if run::succeeds(&mut venv()) {
        return Ok(());
    }
    // Debian's Python comes without venv and pip.
    install_debian_packages(&["python3-venv", "python3-pip"])
        .map_err(|cause| format!("{} cannot make a virtual environment, and {cause}", base.display()))?;
    run::run(&mut venv())
}

/// `python3` from PATH, or another one there that is new enough.
fn base_interpreter() -> Result<PathBuf, String> {
    let named = (MINOR_MIN..=14).rev().map(|minor| format!("python3.{minor}"));
    let probe = format!("import sys; print(sys.executable) if sys.version_info >= (3, {MINOR_MIN}) else sys.exit(1)");
    for name in std::iter::once("python3".to_owned()).chain(named) {
        if let Ok(path) = run::output(Command::new(&name).args(["-c", &probe])) {
            return Ok(PathBuf::from(path.trim()));
        }
    }
    Err(format!("no Python 3.{MINOR_MIN} or newer on PATH"))
}

/// Installs Debian packages, if we may.
pub fn install_debian_packages(packages: &[&str]) -> Result<(), String> {
    let is_root = run::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !run::succeeds(Command::new("apt-get").arg("--version")) {
        return Err(format!("installing {} needs root and apt-get", packages.join(" ")));
    }
    println!("installing the Debian packages {}", packages.join(" "));
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(words);
        command
    };
    // A stale list of packages is no reason to stop: the installation itself decides.
    if !run::succeeds(&mut apt(&["update"])) {
        eprintln!("apt-get update failed");
    }
    let options = ["install", "-y", "--no-install-recommends", "-o", "Dpkg::Options::=--force-confold"];
    run::run(apt(&options).args(packages).stdout(std::process::Stdio::null()))
}
