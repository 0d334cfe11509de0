//! Node.js on this machine: tests with the AWS SDK for JavaScript.

use crate::{project, python, run, test};
use std::path::Path;
use std::process::Command;

/// Runs `tests/js-sdk` against `gust`, and again against one of an ordinary user, in a copy below `target` where npm
/// installs what its lock file says.
pub fn sdk_test(test_python: &Path, gust: &Path) -> Result<(), String> {
    if !run::succeeds(Command::new("npm").arg("--version")) {
        python::install_debian_packages(&["nodejs", "npm"])?;
    }
    let source = project::root().join("tests/js-sdk");
    let copy = project::root().join("target/js-sdk");
    std::fs::create_dir_all(&copy).map_err(|cause| format!("{}: {cause}", copy.display()))?;
    let files = std::fs::read_dir(&source).map_err(|cause| format!("{}: {cause}", source.display()))?;
    for file in files.flatten().filter(|file| file.path().is_file()) {
        let target = copy.join(file.file_name());
        std::fs::copy(file.path(), &target).map_err(|cause| format!("{}: {cause}", target.display()))?;
    }
    run::run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&copy))?;
    let tests = ["--test", "--test-reporter=spec"];
    run::run(Command::new("node").args(tests).current_dir(&copy).env("GUST_BINARY", gust))?;
    run::run(test::as_ordinary_user(test_python, gust).arg("node").args(tests).current_dir(&copy))
}
