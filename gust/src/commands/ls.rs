//! `gust ls`: what there is.

use crate::cli::{self, Listing};
use crate::client::Client;
use crate::failure::Failure;
use owo_colors::OwoColorize;
use serde_json::Value;

/// Prints a table, or JSON.
pub async fn run(arguments: cli::Ls) -> Result<(), Failure> {
    let client = Client::new(&arguments.target)?;
    let items = match arguments.what {
        Listing::Functions => client.functions().await?,
        Listing::Groups => client.log_groups().await?,
    };
    if arguments.json {
        anstream::println!("{:#}", Value::Array(items));
        return Ok(());
    }
    match arguments.what {
        Listing::Functions => {
            print_table(&["NAME", "RUNTIME", "MEMORY", "TIMEOUT", "MODIFIED"], &rows(&items, function_row))
        }
        Listing::Groups => print_table(&["LOG GROUP", "STORED", "RETENTION"], &rows(&items, group_row)),
    }
    Ok(())
}

fn rows(items: &[Value], row: fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    items.iter().map(row).collect()
}

fn function_row(function: &Value) -> Vec<String> {
    let text = |member: &str| function[member].as_str().unwrap_or("-").to_owned();
    let modified = text("LastModified").chars().take(19).collect();
    let memory = format!("{} MB", function["MemorySize"]);
    vec![text("FunctionName"), text("Runtime"), memory, format!("{} s", function["Timeout"]), modified]
}

fn group_row(group: &Value) -> Vec<String> {
    let name = group["logGroupName"].as_str().unwrap_or("-").to_owned();
    let stored = format!("{} B", group["storedBytes"].as_i64().unwrap_or_default());
    let retention = group["retentionInDays"].as_i64().map_or("never expires".to_owned(), |days| format!("{days} days"));
    vec![name, stored, retention]
}

/// Prints columns as wide as their widest cell.
pub fn print_table(heads: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([heads[column].len()]).max().unwrap_or_default()
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    anstream::println!("{}", line(&mut heads.iter().copied()).bold());
    for row in rows {
        anstream::println!("{}", line(&mut row.iter().map(String::as_str)));
    }
}
