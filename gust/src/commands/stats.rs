//! `gust stats`: how often functions ran, failed and started, and how long that took.

use super::ls::print_table;
use crate::cli;
use crate::client::{Client, now_ms};
use crate::failure::Failure;
use owo_colors::OwoColorize;
use serde_json::Value;

const HEADS: [&str; 10] =
    ["FUNCTION", "INVOCATIONS", "ERRORS", "THROTTLES", "P50", "P90", "P99", "MAX", "COLD STARTS", "INIT P50"];

/// Prints a table, or the object that gust answers with.
pub async fn run(arguments: cli::Stats) -> Result<(), Failure> {
    let client = Client::new(&arguments.target)?;
    let mut stats = client.stats().await?;
    if let Some(name) = &arguments.name {
        keep_only(&client, &mut stats, name).await?;
    }
    if arguments.json {
        anstream::println!("{stats:#}");
        return Ok(());
    }
    let functions = stats["functions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<Vec<String>> = functions.iter().map(row).collect();
    print_table(&HEADS, &rows);
    let age_s = now_ms().saturating_sub(stats["since_ms"].as_i64().unwrap_or_default()).max(0) / 1_000;
    anstream::println!("{}", format!("counted since gust started, {} ago", age_text(age_s)).dimmed());
    Ok(())
}

/// Leaves one function in. One that was not invoked yet has no counters, one that does not exist is an error.
async fn keep_only(client: &Client, stats: &mut Value, name: &str) -> Result<(), Failure> {
    let is_wanted = |function: &Value| function["name"] == name || function["arn"] == name;
    let functions = stats["functions"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let found: Vec<Value> = functions.into_iter().filter(is_wanted).collect();
    if found.is_empty() {
        client.configuration(name).await?;
    }
    stats["functions"] = Value::Array(found);
    Ok(())
}

fn row(function: &Value) -> Vec<String> {
    let count = |member: &str| function[member].as_u64().unwrap_or_default();
    let time = |kind: &str, at: &str, is_there: bool| match is_there {
        true => time_text(function[kind][at].as_f64().unwrap_or_default()),
        false => "-".to_owned(),
    };
    let ran = count("invocations") > 0;
    vec![
        function["name"].as_str().unwrap_or("-").to_owned(),
        count("invocations").to_string(),
        count("errors").to_string(),
        count("throttles").to_string(),
        time("duration_ms", "p50", ran),
        time("duration_ms", "p90", ran),
        time("duration_ms", "p99", ran),
        time("duration_ms", "max", ran),
        count("cold_starts").to_string(),
        time("init_ms", "p50", function["init_ms"]["max"].as_f64().unwrap_or_default() > 0.0),
    ]
}

/// Milliseconds with as many digits as mean something.
fn time_text(ms: f64) -> String {
    match ms {
        _ if ms < 10.0 => format!("{ms:.2} ms"),
        _ if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.1} s", ms / 1_000.0),
    }
}

fn age_text(age_s: i64) -> String {
    match age_s {
        0..=119 => format!("{age_s} s"),
        120..=7_199 => format!("{} min", age_s / 60),
        7_200..=172_799 => format!("{} h", age_s / 3_600),
        _ => format!("{} days", age_s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_short_to_read() {
        for (ms, text) in
            [(0.05, "0.05 ms"), (9.994, "9.99 ms"), (12.4, "12 ms"), (999.0, "999 ms"), (61_250.0, "61.2 s")]
        {
            assert_eq!(time_text(ms), text);
        }
        assert_eq!(
            [age_text(5), age_text(600), age_text(7_200), age_text(864_000)],
            ["5 s", "10 min", "2 h", "10 days"]
        );
    }

    #[test]
    fn what_never_ran_has_no_times() {
        let function = json!({"name": "f", "invocations": 0, "errors": 0, "throttles": 3, "cold_starts": 0,
            "duration_ms": {"p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0}, "init_ms": {"p50": 0.0, "max": 0.0}});
        assert_eq!(row(&function), ["f", "0", "0", "3", "-", "-", "-", "-", "0", "-"]);
    }
}
