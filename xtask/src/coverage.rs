//! `cargo xtask coverage`: COVERAGE.md, from the interface descriptions and the code.

use crate::project;
use gust_codegen::MemberPolicies;
use gust_codegen::model::Api;
use std::fmt::Write;

/// Its flags.
#[derive(clap::Args)]
pub struct Options {
    /// Write nothing; fail if COVERAGE.md is not what would be written.
    #[arg(long)]
    pub check: bool,
}

/// Writes or checks the page.
pub fn run(options: &Options) -> Result<(), String> {
    let path = project::root().join("COVERAGE.md");
    let text = page()?;
    if !options.check {
        return project::write(&path, &text);
    }
    match project::read(&path) {
        Ok(found) if found == text => Ok(()),
        _ => Err("COVERAGE.md is not current: run cargo xtask coverage".to_owned()),
    }
}

/// What is known of one service.
struct Service {
    api: Api,
    policies: MemberPolicies,
    /// Operations with an op file.
    done: Vec<String>,
    /// Operations of api.json without one.
    open: Vec<String>,
}

fn read_service(name: &str) -> Result<Service, String> {
    let folder = project::root().join("services").join(name);
    let api = gust_codegen::read_api(&folder.join("api.json"))?;
    let policies = gust_codegen::read_members(&folder.join("members.json"))?;
    let names = api.operations.0.iter().map(|(name, _)| name.clone());
    let (done, open) = names.partition(|operation| project::operation_file(name, operation).exists());
    Ok(Service { api, policies, done, open })
}

fn page() -> Result<String, String> {
    let services: Vec<Service> =
        project::services()?.iter().map(|name| read_service(name)).collect::<Result<_, _>>()?;
    let mut text = String::from(
        "# Coverage\n\nWritten by `cargo xtask coverage` from each service's `api.json`, `members.json` and code; do not edit.\n\
         An operation that AWS has and gust has not answers 501 with its name.\n\n\
         | Service | Operations | AWS has |\n|---|---:|---:|\n",
    );
    // Writing to a String cannot fail.
    for Service { api, done, open, .. } in &services {
        let known = done.len() + open.len() + api.unimplemented.len();
        let _ = writeln!(text, "| [{0}](#{0}) | {1} | {known} |", api.service, done.len());
    }
    for service in &services {
        section(service, &mut text);
    }
    Ok(text)
}

fn section(service: &Service, text: &mut String) {
    let Service { api, policies, done, open } = service;
    let list = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "\n## {}\n\nFrom {}, API version {}.", api.service, api.source, api.metadata.api_version);
    if !done.is_empty() {
        let _ = writeln!(text, "\nWorks: {}.", list(done));
    }
    if !open.is_empty() {
        let _ = writeln!(text, "\nDescribed, not written yet: {}.", list(open));
    }
    if !api.unimplemented.is_empty() {
        let names: Vec<String> = api.unimplemented.iter().map(|route| route.name.clone()).collect();
        let _ = writeln!(
            text,
            "\n<details><summary>Not there ({})</summary>\n\n{}.\n\n</details>",
            names.len(),
            list(&names)
        );
    }
    let mut rows = String::new();
    for (operation, members) in &policies.0 {
        for (member, treatment) in &members.0 {
            for (key, said) in &treatment.0 {
                let meaning = match key.as_str() {
                    "accepted" => "accepted, no effect",
                    "refused" => "refused",
                    "honoured" => "honoured",
                    _ => continue,
                };
                let _ = writeln!(rows, "| {operation} | `{member}` | {meaning} | {} |", said.replace('|', "\\|"));
            }
        }
    }
    if !rows.is_empty() {
        let _ = write!(text, "\n| Operation | Member | What becomes of it | Why |\n|---|---|---|---|\n{rows}");
    }
    text.push_str("\nEvery other input member of these operations is honoured.\n");
}
