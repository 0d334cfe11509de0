//! `cargo xtask tidy`: the invariants of the architecture that a program can check.
//!
//! It reads lines and no syntax: quick, and exact enough for code that rustfmt has laid out.

use crate::{api, project};
use gust_codegen::model::Api;
use std::path::Path;

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 100;

/// What services must not name: all of it comes through `Cx`, so that tests and simulations control it. A
/// deadline on `tokio::time::Instant` is fine, because tests can stop that clock.
const FORBIDDEN_IN_SERVICES: &[&str] = &[
    "SystemTime::now",
    "std::time::Instant",
    "rand::",
    "getrandom",
    "std::net",
    "std::fs",
    "tokio::net",
    "tokio::fs",
    "hyper",
];

/// A place that may break a rule.
struct Exception {
    file: &'static str,
    word: &'static str,
    /// Why; read by people.
    #[allow(dead_code)]
    reason: &'static str,
}

/// The places that may. One that is no longer needed is an error.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        file: "services/lambda/src/code.rs",
        word: "std::fs",
        reason: "the folders of unpacked packages, which sandboxes mount",
    },
    Exception {
        file: "services/lambda/src/code.rs",
        word: "tokio::fs",
        reason: "the folders of unpacked packages, which sandboxes mount",
    },
    Exception {
        file: "services/lambda/src/code/layers.rs",
        word: "std::fs",
        reason: "the folders of merged layers, which sandboxes mount",
    },
    Exception { file: "services/lambda/src/package.rs", word: "std::fs", reason: "unpacks a package into its folder" },
];

/// Checks everything and reports all that is wrong at once.
pub fn run() -> Result<(), String> {
    let mut problems = Vec::new();
    check_dependencies(&mut problems)?;
    check_operations(&mut problems)?;
    check_sources(&mut problems)?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("tidy found {} problems\n  {}", problems.len(), problems.join("\n  ")))
}

/// Which workspace crate may not depend on which.
fn check_dependencies(problems: &mut Vec<String>) -> Result<(), String> {
    let services = project::folders(&project::root().join("services"))?;
    let service_of = |dependency: &str| services.iter().find(|service| dependency == format!("gust-{service}"));
    for part in ["crates", "services", "lang"] {
        for name in project::folders(&project::root().join(part))? {
            let manifest = project::root().join(part).join(&name).join("Cargo.toml");
            for dependency in dependencies(&project::read(&manifest)?) {
                let broken = match part {
                    "services" if service_of(&dependency).is_some() => {
                        "a service never depends on a service; ask kit for a port"
                    }
                    "crates" if service_of(&dependency).is_some() => {
                        "the platform knows no service; only the binary wires them"
                    }
                    "lang" if matches!(dependency.as_str(), "gust-store" | "gust-kit" | "tokio") => {
                        "a language is pure: text in, value out"
                    }
                    _ => continue,
                };
                problems.push(format!("{part}/{name} depends on {dependency}: {broken}"));
            }
        }
    }
    Ok(())
}

/// The names of a manifest's dependencies; those for tests do not count.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut counts = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            counts = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
        } else if counts && let Some(end) = line.find(['.', ' ', '=']) {
            names.push(line[..end].to_owned());
        }
    }
    names
}

/// Where members.json says of one member of an operation that it is honoured, it accounts for all of them.
fn check_members(service: &str, described: &Api, problems: &mut Vec<String>) -> Result<(), String> {
    let path = project::root().join("services").join(service).join("members.json");
    for (operation, members) in gust_codegen::read_members(&path)?.0 {
        let is_complete = members.0.iter().any(|(_, said)| said.0.iter().any(|(key, _)| key == "honoured"));
        let input = described.operations.get(&operation).and_then(|operation| operation.input.as_ref());
        let Some(shape) = input.and_then(|input| described.shapes.get(&input.shape)).filter(|_| is_complete) else {
            continue;
        };
        for (member, _) in &shape.members.0 {
            let is_said = members.0.iter().any(|(path, said)| {
                path.split('.').next() == Some(member)
                    && said.0.iter().any(|(key, _)| TREATMENTS.contains(&key.as_str()))
            });
            if !is_said {
                problems.push(format!("services/{service}/members.json: what becomes of {operation}.{member}?"));
            }
        }
    }
    Ok(())
}

/// What may become of a member.
const TREATMENTS: &[&str] = &["honoured", "accepted", "refused"];

/// Every operation of an api.json has its file, and every file its operation.
fn check_operations(problems: &mut Vec<String>) -> Result<(), String> {
    for service in project::services()? {
        let folder = project::root().join("services").join(&service);
        let described = gust_codegen::read_api(&folder.join("api.json"))?;
        let wanted = api::operation_list(&project::read(&folder.join("operations.txt"))?);
        if !described.operations.0.iter().map(|(name, _)| name).eq(&wanted) {
            problems.push(format!(
                "services/{service}: api.json is not that of operations.txt; run cargo xtask api {service}"
            ));
        }
        check_members(&service, &described, problems)?;
        let mut expected = vec!["mod".to_owned()];
        for (name, _) in &described.operations.0 {
            expected.push(gust_codegen::snake_case(name));
            if !project::operation_file(&service, name).exists() {
                problems
                    .push(format!("services/{service}: {name} has no src/op/{}.rs", gust_codegen::snake_case(name)));
            }
        }
        let operations = folder.join("src/op");
        for file in if operations.exists() { project::files(&operations, "rs")? } else { Vec::new() } {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let is_first_level = file.parent() == Some(operations.as_path());
            if is_first_level && !expected.contains(&stem) {
                problems.push(format!("{}: no operation of api.json has this name", project::relative(&file)));
            }
        }
    }
    Ok(())
}

fn check_sources(problems: &mut Vec<String>) -> Result<(), String> {
    let mut used = vec![false; EXCEPTIONS.len()];
    for part in ["gust", "crates", "services", "lang", "xtask"] {
        for file in project::files(&project::root().join(part), "rs")? {
            check_source(&file, &project::read(&file)?, &mut used, problems);
        }
    }
    for (exception, _) in EXCEPTIONS.iter().zip(used).filter(|(_, used)| !used) {
        problems.push(format!("the exception for {} in {} is not needed any more", exception.word, exception.file));
    }
    Ok(())
}

fn check_source(file: &Path, text: &str, used: &mut [bool], problems: &mut Vec<String>) {
    let name = project::relative(file);
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > FILE_LINES_MAX {
        problems.push(format!("{name}: {} lines, at most {FILE_LINES_MAX}", lines.len()));
    }
    if !text.starts_with("//!") {
        problems.push(format!("{name}: the first line says what the file is for (//!)"));
    }
    for (line, length, function) in long_functions(&lines) {
        problems.push(format!("{name}:{line}: {function} has {length} lines, at most {FUNCTION_LINES_MAX}"));
    }
    let mut in_tests = false;
    for (index, line) in lines.iter().enumerate() {
        let code = code_of(line);
        in_tests |= line.trim() == "#[cfg(test)]";
        if has_word(code, "unsafe") && !name.starts_with("crates/sandbox/") {
            problems.push(format!("{name}:{}: only crates/sandbox holds unsafe code", index + 1));
        }
        if !name.starts_with("services/") || !name.contains("/src/") || in_tests {
            continue;
        }
        let imported = code.replace("std::time::{", "std::time::Instant{");
        let code = if code.contains("Instant") { &imported } else { code };
        for word in FORBIDDEN_IN_SERVICES.iter().filter(|word| code.contains(**word)) {
            match EXCEPTIONS.iter().position(|exception| exception.file == name && exception.word == *word) {
                Some(exception) => used[exception] = true,
                None => problems.push(format!("{name}:{}: services do not use {word}; see Cx", index + 1)),
            }
        }
    }
}

/// A line without its comment. A `//` inside a string cuts it too early, which only makes the check milder.
fn code_of(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Whether `word` stands in `code` by itself and outside of quotes.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let quoted = before.replace("\\\"", "").matches('"').count() % 2 == 1;
        !quoted && !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// Line, length and name of each function that is too long: rustfmt closes a function at its own indentation.
fn long_functions(lines: &[&str]) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indentation = &line[..line.len() - code.len()];
        let Some(name) = function_name(code) else { continue };
        if code.ends_with([';', '}']) {
            continue;
        }
        let ends = |line: &&str| {
            let rest = line.strip_prefix(indentation).unwrap_or_default();
            rest == "}" || rest.starts_with(')') && rest.ends_with([';', '}'])
        };
        let length = lines[start..].iter().position(ends);
        match length {
            Some(length) if length + 1 > FUNCTION_LINES_MAX => found.push((start + 1, length + 1, name.to_owned())),
            _ => {}
        }
    }
    found
}

/// The name of a function whose head starts on this line.
fn function_name(code: &str) -> Option<&str> {
    let (before, after) = code.split_once("fn ")?;
    let is_head = before.split_whitespace().all(|word| {
        matches!(word, "pub" | "const" | "async" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub(")
    });
    let end = after.find(['(', '<'])?;
    is_head.then(|| &after[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_alone_and_unquoted() {
        assert!(has_word("unsafe { x }", "unsafe"));
        assert!(!has_word("deny(unsafe_code)", "unsafe"));
        assert!(!has_word("let x = \"unsafe\";", "unsafe"));
        assert!(!has_word(code_of("x(); // unsafe"), "unsafe"));
    }

    #[test]
    fn long_functions_are_found() {
        let mut text = "impl X {\n    pub async fn long(&self) {\n".to_owned();
        text.push_str(&"        call();\n".repeat(FUNCTION_LINES_MAX - 1));
        text.push_str("    }\n    fn declared(&self);\n    fn short() {}\n}\n");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(long_functions(&lines), [(2, FUNCTION_LINES_MAX + 1, "long".to_owned())]);
        assert!(long_functions(&lines[3..]).is_empty());
    }

    #[test]
    fn dependencies_are_read() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n[dev-dependencies]\nc = \"1\"\n[build-dependencies]\nd = { path = \"x\" }\n";
        assert_eq!(dependencies(manifest), ["a", "b", "d"]);
    }
}
