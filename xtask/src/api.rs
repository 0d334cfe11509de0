//! `cargo xtask api`: a service's `api.json`, cut out of a pinned botocore.
//!
//! botocore's `service-2.json` is AWS's own description of its interfaces (Apache-2.0). We keep the
//! operations that `operations.txt` names and the shapes they need, without documentation, and the
//! method and path of every other operation, so that it can be refused by name.

use crate::project;
use gust_codegen::model::{Api, Operation, Ordered, Route, Shape, Upstream};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The botocore release that all descriptions come from.
const BOTOCORE_VERSION: &str = "1.44.5";

/// Answers, by service and shape, from which AWS leaves members out that its description calls required.
const LEFT_OUT: &[(&str, &str)] = &[
    // A function without a config: an empty structure.
    ("lambda", "GetFunctionCodeSigningConfigResponse"),
];

/// Writes the newest description of one service, uncompressed. Arguments: wheel, service, target.
const EXTRACT: &str = r#"
import gzip, re, sys, zipfile
wheel, service, target = sys.argv[1:]
found = re.compile(r"botocore/data/" + re.escape(service) + r"/([0-9-]+)/service-2\.json(\.gz)?")
with zipfile.ZipFile(wheel) as archive:
    names = sorted(name for name in archive.namelist() if found.fullmatch(name))
    if not names:
        sys.exit("botocore has no service called " + service)
    data = archive.read(names[-1])
    with open(target, "wb") as out:
        out.write(gzip.decompress(data) if names[-1].endswith(".gz") else data)
"#;

/// Which services to write.
#[derive(clap::Args)]
pub struct Options {
    /// Folder names under services/; all that have an operations.txt if none is given.
    services: Vec<String>,
}

/// Writes the descriptions.
pub fn run(options: &Options) -> Result<(), String> {
    let services = if options.services.is_empty() { project::services()? } else { options.services.clone() };
    let wheel = fetch_botocore()?;
    for service in &services {
        write_api(service, &wheel)?;
    }
    Ok(())
}

fn write_api(service: &str, wheel: &Path) -> Result<(), String> {
    let folder = project::root().join("services").join(service);
    let wanted = operation_list(&project::read(&folder.join("operations.txt"))?);
    let upstream = read_upstream(service, wheel)?;
    let api = cut(service, upstream, &wanted)?;
    let mut text = serde_json::to_string_pretty(&api).map_err(|error| error.to_string())?;
    text.push('\n');
    project::write(&folder.join("api.json"), &text)?;
    println!("services/{service}/api.json: {} operations, {} shapes", api.operations.0.len(), api.shapes.0.len());
    Ok(())
}

/// The names in an `operations.txt`: one a line, `#` starts a comment.
pub fn operation_list(text: &str) -> BTreeSet<String> {
    let names = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn cut(service: &str, upstream: Upstream, wanted: &BTreeSet<String>) -> Result<Api, String> {
    if let Some(name) = wanted.iter().find(|name| upstream.operations.get(name).is_none()) {
        return Err(format!("services/{service}/operations.txt: AWS has no operation {name}"));
    }
    let mut operations: Vec<(String, Operation)> = Vec::new();
    let mut unimplemented = Vec::new();
    for (name, operation) in upstream.operations.0 {
        if wanted.contains(&name) {
            operations.push((name, operation));
        } else {
            unimplemented.push(Route { name, method: operation.http.method, uri: operation.http.request_uri });
        }
    }
    operations.sort_by(|a, b| a.0.cmp(&b.0));
    unimplemented.sort_by(|a, b| a.name.cmp(&b.name));
    let mut shapes = reachable(&operations, &upstream.shapes)?;
    let leaves_out = |shape: &str| LEFT_OUT.iter().any(|(of, name)| (*of, *name) == (service, shape));
    shapes.0.iter_mut().filter(|(name, _)| leaves_out(name)).for_each(|(_, shape)| shape.required.clear());
    Ok(Api {
        service: service.to_owned(),
        source: format!("botocore {BOTOCORE_VERSION}"),
        validation_code: validation_code(service, &upstream.metadata.protocol).to_owned(),
        metadata: upstream.metadata,
        operations: Ordered(operations),
        shapes,
        unimplemented,
    })
}

fn reachable(operations: &[(String, Operation)], shapes: &Ordered<Shape>) -> Result<Ordered<Shape>, String> {
    let mut open: Vec<String> =
        operations.iter().flat_map(|(_, operation)| operation.references()).map(str::to_owned).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !seen.contains(&name) {
            let shape = shapes.get(&name).ok_or_else(|| format!("botocore lacks the shape {name}"))?;
            open.extend(shape.references().map(str::to_owned));
            seen.insert(name);
        }
    }
    let found = seen.into_iter().filter_map(|name| shapes.get(&name).cloned().map(|shape| (name, shape)));
    Ok(Ordered(found.collect()))
}

/// The code of a request that breaks a constraint: the query protocol's, the JSON protocols', and the
/// services that have their own.
fn validation_code(service: &str, protocol: &str) -> &'static str {
    match (service, protocol) {
        ("logs", _) => "InvalidParameterException",
        (_, "query") => "ValidationError",
        _ => "ValidationException",
    }
}

fn read_upstream(service: &str, wheel: &Path) -> Result<Upstream, String> {
    let target = cache().join(format!("{service}.json"));
    let mut python = Command::new("python3");
    python.args(["-c", EXTRACT]).arg(wheel).arg(service).arg(&target);
    run_command(&mut python)?;
    let text = project::read(&target)?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", target.display()))
}

fn cache() -> PathBuf {
    project::root().join("target").join(format!("botocore-{BOTOCORE_VERSION}"))
}

fn fetch_botocore() -> Result<PathBuf, String> {
    let wheel = cache().join(format!("botocore-{BOTOCORE_VERSION}-py3-none-any.whl"));
    if !wheel.exists() {
        std::fs::create_dir_all(cache()).map_err(|error| format!("{}: {error}", cache().display()))?;
        println!("fetching botocore {BOTOCORE_VERSION} from PyPI");
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--dest",
        ]);
        pip.arg(cache()).arg(format!("botocore=={BOTOCORE_VERSION}"));
        run_command(&mut pip)?;
    }
    Ok(wheel)
}

fn run_command(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} ended with {status}", command.get_program().to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let names = operation_list("# all\nB\n\n  A # the first\n");
        assert!(names.iter().eq(["A", "B"]));
    }

    #[test]
    fn only_what_is_reached_is_kept() {
        let upstream = |text: &str| serde_json::from_str::<Upstream>(text).unwrap();
        let text = r#"{"version": "2.0", "metadata": {"apiVersion": "1", "endpointPrefix": "x", "protocol": "query"},
            "operations": {"Z": {"name": "Z", "http": {"method": "POST", "requestUri": "/"}, "documentation": "<p>"},
                "A": {"name": "A", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "In"}}},
            "shapes": {"In": {"type": "structure", "members": {"Y": {"shape": "S", "documentation": "<p>"}, "X": {"shape": "S"}}},
                "S": {"type": "string", "max": 5}, "Unused": {"type": "string"}}}"#;
        let api = cut("x", upstream(text), &["A".to_owned()].into()).unwrap();
        assert!(api.shapes.0.iter().map(|(name, _)| name).eq(["In", "S"]));
        assert!(api.shapes.0[0].1.members.0.iter().map(|(name, _)| name).eq(["Y", "X"]), "the model's order is kept");
        assert_eq!(api.unimplemented[0].name, "Z");
        assert_eq!(api.validation_code, "ValidationError");
        assert!(!serde_json::to_string(&api).unwrap().contains("documentation"));
        assert_eq!(
            cut("x", upstream(text), &["B".to_owned()].into()).unwrap_err(),
            "services/x/operations.txt: AWS has no operation B"
        );
    }
}
