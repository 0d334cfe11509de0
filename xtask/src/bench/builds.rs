//! How long builds take.

use crate::{project, run};
use std::time::{Instant, SystemTime};

/// A clean release build in a folder of its own, and one after a change in the lambda service.
pub fn measure() -> Result<String, String> {
    let folder = project::root().join("target/bench-build");
    let remove = || match folder.exists() {
        true => std::fs::remove_dir_all(&folder).map_err(|cause| format!("{}: {cause}", folder.display())),
        false => Ok(()),
    };
    remove()?;
    let build = || {
        let begun = Instant::now();
        let mut command = run::cargo();
        command.args(["build", "--release", "--quiet", "--package", "gust"]).env("CARGO_TARGET_DIR", &folder);
        run::run(&mut command).map(|()| begun.elapsed().as_secs_f64())
    };
    let clean_s = build()?;
    let touched = project::root().join("services/lambda/src/lib.rs");
    let file = std::fs::File::options().append(true).open(&touched).map_err(|cause| cause.to_string())?;
    file.set_modified(SystemTime::now()).map_err(|cause| cause.to_string())?;
    let incremental_s = build()?;
    remove()?;
    Ok(format!("clean release build {clean_s:.0} s; after a change in services/lambda {incremental_s:.0} s"))
}
