//! `cargo xtask test`: every test, on a machine where nothing was installed by hand.

use crate::{leftovers, node, project, python, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The test runner's version, built into `target/tools` where it is missing.
const NEXTEST_VERSION: &str = "0.9.143";

/// A part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Rust tests of all crates.
    Unit,
    /// Tests of the Python and Node.js runtimes, on every interpreter found.
    Runtimes,
    /// boto3, botocore and the AWS CLI against the real binary.
    Conformance,
    /// The conformance tests again, against a gust that an ordinary user runs.
    OrdinaryUser,
    /// The AWS SDK for Rust against the real binary.
    RustSdk,
    /// The AWS SDK for JavaScript against the real binary.
    JsSdk,
    /// Failures, isolation, restarts, real tools.
    E2e,
    /// Functions that attack, a folder for each guarantee.
    Sandbox,
}

const ALL: [Part; 8] = [
    Part::Unit,
    Part::Runtimes,
    Part::Conformance,
    Part::OrdinaryUser,
    Part::RustSdk,
    Part::JsSdk,
    Part::E2e,
    Part::Sandbox,
];

/// Its flags.
#[derive(clap::Args)]
pub struct Options {
    /// Only these parts [default: all].
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Only tests whose name contains this (Python parts).
    #[arg(short = 'k', long, value_name = "EXPRESSION")]
    keyword: Option<String>,
}

/// Runs the tests; the error names the parts that failed.
pub fn run(options: &Options) -> Result<(), String> {
    let parts = if options.parts.is_empty() { &ALL[..] } else { &options.parts[..] };
    let wants = |part| parts.contains(&part);
    let gust = project::root().join("target/debug/gust");
    let before = leftovers::snapshot(std::slice::from_ref(&gust));
    let mut sections = run::Sections::new();
    let mut python = PathBuf::new();
    let prepared = sections.section("prepare", || {
        python = prepare(wants(Part::Unit))?;
        Ok(())
    });
    let built =
        prepared && sections.section("build gust", || run::run(run::cargo().args(["build", "--package", "gust"])));
    if !built {
        return sections.finish();
    }
    if wants(Part::Unit) {
        sections.section("unit tests of all crates", unit);
    }
    if wants(Part::Runtimes) {
        sections.section("tests of the runtimes", || runtimes(&gust));
    }
    if wants(Part::Conformance) {
        sections.section("conformance: boto3 and the AWS CLI", || {
            pytest(options, &python, &gust, "tests/conformance", &[])
        });
    }
    if wants(Part::OrdinaryUser) {
        sections.section("conformance, as an ordinary user", || {
            let as_ordinary_user = [("GUST_TEST_AS_ORDINARY_USER", "1")];
            pytest(options, &python, &gust, "tests/conformance", &as_ordinary_user)
        });
    }
    if wants(Part::RustSdk) {
        sections.section("conformance: the AWS SDK for Rust", || rust_sdk(&python, &gust));
    }
    if wants(Part::JsSdk) {
        sections.section("conformance: the AWS SDK for JavaScript", || node::sdk_test(&python, &gust));
    }
    if wants(Part::E2e) {
        sections.section("end to end", || {
            build_standalone("tests/functions/rust-echo")?;
            pytest(options, &python, &gust, "tests/e2e", &[])
        });
    }
    if wants(Part::Sandbox) {
        sections.section("what a hostile function cannot do", || pytest(options, &python, &gust, "tests/sandbox", &[]));
    }
    sections.section("nothing left behind", || leftovers::check(std::slice::from_ref(&gust), &before));
    sections.finish()
}

/// Installs what the tests need; returns the Python of their virtual environment.
fn prepare(with_postgresql: bool) -> Result<PathBuf, String> {
    let python = python::environment("test-python", &project::root().join("tests/requirements.txt"))?;
    if with_postgresql && !has_initdb() {
        // Debian would start a server of its own at once; the tests start theirs on a private port.
        let configuration = Path::new("/etc/postgresql-common/createcluster.conf");
        if !configuration.exists() && std::fs::create_dir_all("/etc/postgresql-common").is_ok() {
            project::write(configuration, "create_main_cluster = false\n")?;
        }
        if let Err(cause) = python::install_debian_packages(&["postgresql"]) {
            println!("PostgreSQL is not there and its tests will fail: {cause}");
        }
    }
    // The tests of `--egress nat` make networks with it; gust itself needs no such program.
    if !run::succeeds(Command::new("ip").arg("-V"))
        && let Err(cause) = python::install_debian_packages(&["iproute2"])
    {
        println!("iproute2 is not there and tests of networks will fail: {cause}");
    }
    Ok(python)
}

fn has_initdb() -> bool {
    if run::succeeds(Command::new("initdb").arg("--version")) {
        return true;
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.map(|version| version.path().join("bin/initdb")).any(|initdb| initdb.exists())
}

fn unit() -> Result<(), String> {
    let mut nextest = nextest()?;
    run::run(nextest.args(["run", "--workspace", "--no-fail-fast", "--status-level", "fail"]))
}

/// The test runner: the machine's, or our own under `target/tools`.
fn nextest() -> Result<Command, String> {
    if run::succeeds(run::cargo().args(["nextest", "--version"])) {
        let mut command = run::cargo();
        command.arg("nextest");
        return Ok(command);
    }
    let tools = project::root().join("target/tools");
    let binary = tools.join("bin/cargo-nextest");
    if !binary.exists() {
        let mut install = run::cargo();
        install.args(["install", "--quiet", "--locked", "--version", NEXTEST_VERSION, "cargo-nextest", "--root"]);
        // Ten times faster to build; it only starts tests.
        install.args(["--profile", "dev"]);
        run::run(install.arg(&tools).env("CARGO_TARGET_DIR", project::root().join("target/tools/build")))?;
    }
    let mut command = Command::new(binary);
    command.arg("nextest").current_dir(project::root());
    Ok(command)
}

/// On every interpreter of this machine, as gust finds them.
fn runtimes(gust: &Path) -> Result<(), String> {
    // Its exit status is about this machine and does not matter here.
    let report =
        Command::new(gust).args(["doctor", "--json"]).output().map_err(|cause| format!("gust doctor: {cause}"))?;
    let report: serde_json::Value =
        serde_json::from_slice(&report.stdout).map_err(|cause| format!("the report of gust doctor: {cause}"))?;
    let rows = report["runtimes"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (language, name) in [("python", "Python"), ("node", "Node.js")] {
        let exact = rows.iter().filter(|row| row["fit"] == "exact");
        let of_language =
            exact.filter(|row| row["runtime"].as_str().is_some_and(|runtime| runtime.starts_with(language)));
        let interpreters: Vec<&str> = of_language.filter_map(|row| row["path"].as_str()).collect();
        if interpreters.is_empty() {
            return Err(format!("gust finds no {name} on this machine"));
        }
        for interpreter in interpreters {
            println!("{interpreter}");
            let mut tests = Command::new(interpreter);
            match language {
                "python" => tests.args(["-m", "unittest", "-q"]),
                _ => tests.args(["--test", "--test-reporter=dot"]),
            };
            tests.current_dir(project::root().join("runtimes").join(language));
            run::run(tests.env("PYTHONDONTWRITEBYTECODE", "1"))?;
        }
    }
    Ok(())
}

fn pytest(
    options: &Options,
    python: &Path,
    gust: &Path,
    folder: &str,
    variables: &[(&str, &str)],
) -> Result<(), String> {
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5", folder]);
    if let Some(keyword) = &options.keyword {
        pytest.args(["-k", keyword]);
    }
    pytest.current_dir(project::root()).env("PYTHONDONTWRITEBYTECODE", "1").env("GUST_BINARY", gust);
    run::run(pytest.envs(variables.iter().copied()))
}

fn rust_sdk(python: &Path, gust: &Path) -> Result<(), String> {
    build_standalone("tests/rust-sdk")?;
    let binary = project::root().join("target/standalone/debug/gust-rust-sdk-test");
    run::run(Command::new(&binary).env("GUST_BINARY", gust).current_dir(project::root()))?;
    run::run(as_ordinary_user(python, gust).arg(binary).current_dir(project::root()))
}

/// What runs a client, given as its arguments, against a gust of an ordinary user.
pub fn as_ordinary_user(python: &Path, gust: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(project::root().join("tests/as_ordinary_user.py"));
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("GUST_BINARY", gust);
    command
}

/// Builds a package that is no part of the workspace, so that its dependencies stay out of ours.
fn build_standalone(folder: &str) -> Result<(), String> {
    let manifest = project::root().join(folder).join("Cargo.toml");
    let mut build = run::cargo();
    build.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(manifest);
    run::run(build.env("CARGO_TARGET_DIR", project::root().join("target/standalone")))
}
