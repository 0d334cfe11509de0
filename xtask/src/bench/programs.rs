//! What the benchmarks run: gust and its floors, built for release; rivals, installed below `target`.

use super::Options;
use crate::{project, python, run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything that is needed, and what is not to be had.
pub struct Programs {
    gust: PathBuf,
    /// The harness.
    pub bench: PathBuf,
    spawn_floor: PathBuf,
    bootstrap: PathBuf,
    test_python: PathBuf,
    python: PathBuf,
    python_runtime: String,
    sdk: PathBuf,
    node: Option<(PathBuf, String)>,
    rival_python: Option<PathBuf>,
    serverless: Option<PathBuf>,
    /// Names and versions.
    pub versions: Vec<String>,
    /// What is left out, and why.
    pub missing: Vec<String>,
}

impl Programs {
    /// Builds and installs. What is only for comparison may be missing.
    pub fn prepare(gust: Option<&Path>, bench: Option<&Path>) -> Result<Programs, String> {
        let root = project::root();
        let test_python = python::environment("test-python", &root.join("tests/requirements.txt"))?;
        let ask = |question: &str| run::output(Command::new(&test_python).args(["-c", question]));
        // The interpreter itself and not the environment's link to it: that is what functions run on.
        let python = ask("import os, sys; print(os.path.realpath(sys._base_executable))")?;
        let python_runtime = ask("import sys; print('python%d.%d' % sys.version_info[:2])")?;
        let sdk = ask("import os, boto3; print(os.path.dirname(os.path.dirname(boto3.__file__)))")?;
        build(gust.is_none(), bench.is_none())?;
        let release = root.join("target/release");
        let absolute = |path: &Path| path.canonicalize().map_err(|cause| format!("{}: {cause}", path.display()));
        let mut programs = Programs {
            gust: gust.map_or(Ok(release.join("gust")), absolute)?,
            bench: bench.map_or(Ok(release.join("gust-bench")), absolute)?,
            spawn_floor: release.join("examples/spawn_floor"),
            bootstrap: root.join("target/standalone/release/rust-echo"),
            test_python: test_python.clone(),
            python: PathBuf::from(python.trim()),
            python_runtime: python_runtime.trim().to_owned(),
            sdk: PathBuf::from(sdk.trim()),
            node: node(),
            rival_python: None,
            serverless: None,
            versions: Vec::new(),
            missing: Vec::new(),
        };
        programs.add_rivals();
        programs.add_versions();
        Ok(programs)
    }

    fn add_rivals(&mut self) {
        let requirements = project::root().join("bench/rivals/requirements.txt");
        match python::environment("bench-rivals", &requirements) {
            Ok(python) => self.rival_python = Some(python),
            Err(cause) => self.miss("ministack and uvicorn", &cause),
        }
        match install_serverless() {
            Ok(folder) => self.serverless = Some(folder),
            Err(cause) => self.miss("serverless-offline", &cause),
        }
    }

    fn miss(&mut self, what: &str, cause: &str) {
        let cause = cause.lines().next().unwrap_or_default();
        eprintln!("{what}: cannot be installed here: {cause}");
        self.missing.push(format!("{what} (cannot be installed here: {cause})"));
    }

    fn add_versions(&mut self) {
        let mut add = |name: &str, said: Result<String, String>| {
            if let Ok(said) = said {
                self.versions.push(format!("{name} {}", said.trim()));
            }
        };
        add("gust", run::output(Command::new(&self.gust).arg("--version")).map(|said| said.replace("gust ", "")));
        add("Python", run::output(Command::new(&self.python).arg("--version")).map(|said| said.replace("Python ", "")));
        if let Some((node, _)) = &self.node {
            add("Node.js", run::output(Command::new(node).arg("--version")));
        }
        if let Some(python) = &self.rival_python {
            for package in ["ministack", "uvicorn"] {
                let question = format!("import importlib.metadata as m; print(m.version('{package}'))");
                add(package, run::output(Command::new(python).args(["-c", &question])));
            }
        }
        if let Some(folder) = &self.serverless {
            for package in ["serverless-offline", "osls"] {
                let manifest = project::read(&folder.join("node_modules").join(package).join("package.json"));
                let said =
                    manifest.and_then(|text| serde_json::from_str::<Value>(&text).map_err(|cause| cause.to_string()));
                add(package, said.map(|said| said["version"].as_str().unwrap_or_default().to_owned()));
            }
        }
    }

    /// What the harness reads.
    pub fn context(&self, options: &Options, folder: &Path, header: &Value) -> Value {
        let beside = |name: &str| self.rival_python.as_ref().map(|python| python.with_file_name(name));
        json!({
            "gust": self.gust,
            "python": self.python,
            "python_runtime": self.python_runtime,
            "node": self.node.as_ref().map(|(path, runtime)| json!({"path": path, "runtime": runtime})),
            "rust_bootstrap": self.bootstrap,
            "sdk": self.sdk,
            "spawn_floor": self.spawn_floor,
            "test_python": self.test_python,
            "workspace": project::root(),
            "ministack": beside("ministack"),
            "uvicorn_python": self.rival_python,
            "serverless": self.serverless,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "raw": folder,
            "header": header,
        })
    }
}

fn build(with_gust: bool, with_bench: bool) -> Result<(), String> {
    let root = project::root();
    let mut build = run::cargo();
    build.args(["build", "--release", "--quiet"]);
    for (package, _) in [("gust", with_gust), ("gust-bench", with_bench)].iter().filter(|(_, wanted)| *wanted) {
        build.args(["--package", package]);
    }
    if with_gust || with_bench {
        run::run(&mut build)?;
    }
    let floor = ["build", "--release", "--quiet", "--package", "gust-sandbox", "--example", "spawn_floor"];
    run::run(run::cargo().args(floor))?;
    let mut echo = run::cargo();
    echo.args(["build", "--release", "--quiet", "--locked", "--manifest-path"]);
    echo.arg(root.join("tests/functions/rust-echo/Cargo.toml")).env("CARGO_TARGET_DIR", root.join("target/standalone"));
    run::run(&mut echo)
}

/// Node.js and the runtime that it is exact for.
fn node() -> Option<(PathBuf, String)> {
    let said = run::output(Command::new("node").args(["-p", "process.execPath + ' ' + process.versions.node"])).ok()?;
    let (path, version) = said.trim().rsplit_once(' ')?;
    Some((PathBuf::from(path), format!("nodejs{}.x", version.split('.').next()?)))
}

/// serverless-offline and osls, as the lock file says, in a copy below `target`.
fn install_serverless() -> Result<PathBuf, String> {
    let source = project::root().join("bench/rivals");
    let copy = project::root().join("target/bench-rivals-node");
    let lock = project::read(&source.join("package-lock.json"))?;
    let stamp = copy.join("package-lock.installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(copy);
    }
    std::fs::create_dir_all(&copy).map_err(|cause| format!("{}: {cause}", copy.display()))?;
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), copy.join(name)).map_err(|cause| format!("{name}: {cause}"))?;
    }
    println!("installing serverless-offline below target");
    let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    run::run(Command::new("npm").args(arguments).current_dir(&copy))?;
    project::write(&stamp, &lock)?;
    Ok(copy)
}
