//! Node.js on this machine: tests with the AWS SDK for JavaScript.

use crate::{project, python, run};
use std::path::Path;
use std::process::Command;

/// Runs `tests/js-sdk` against `gust`, in a copy below `target` where npm installs what its lock file says.
pub fn sdk_test(gust: &Path) -> Result<(), String> {
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
    run::run(Command::new("node").args(["--test", "--test-reporter=spec"]).current_dir(&copy).env("GUST_BINARY", gust))
}
