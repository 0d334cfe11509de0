//! What the soak found: `bench/SOAK.md` and its plot.

use super::flat::{self, RISE_MAX};
use super::sample::{COURSES, Sample};
use super::{Places, WORKERS};
use crate::context::Context;
use crate::plot;
use crate::svg::number;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::time::Duration;

/// Invokes past warm-up below which pools may still fill, and flatness is not judged.
const JUDGED_MIN: f64 = 100_000.0;

/// What happened.
pub struct Outcome {
    /// Taken during the run.
    pub samples: Vec<Sample>,
    /// Taken after all functions but one were deleted and their environments had ended.
    pub after: Sample,
    /// The part of the run that does not count.
    pub warm_part: f64,
    /// Changes of functions.
    pub changes: u64,
    /// Answers that were wrong.
    pub wrong: BTreeMap<String, u64>,
    /// How long it took.
    pub took: Duration,
}

/// Writes samples, plot and document; prints the document. Fails if something is not flat or was wrong.
pub fn write(context: &Context, invokes: u64, outcome: &Outcome, places: &Places) -> io::Result<()> {
    std::fs::create_dir_all(&places.raw)?;
    let raw = serde_json::json!({"header": context.header, "samples": outcome.samples, "after": outcome.after});
    std::fs::write(places.raw.join("soak.json"), raw.to_string())?;
    let xs: Vec<f64> = outcome.samples.iter().map(|sample| sample.invokes as f64).collect();
    let series: Vec<(String, Vec<f64>)> = COURSES
        .iter()
        .map(|(name, value, _)| ((*name).to_owned(), outcome.samples.iter().map(value).collect()))
        .collect();
    let title = format!("{} invokes with changing functions", number(invokes as f64));
    if let Some(folder) = places.plot.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&places.plot, plot::course(&title, "invokes", &xs, &series))?;
    let (text, problems) = document(context, &title, outcome, places);
    print!("{text}");
    std::fs::write(&places.results, text)?;
    if problems.is_empty() { Ok(()) } else { Err(io::Error::other(problems.join("; "))) }
}

fn document(context: &Context, title: &str, outcome: &Outcome, places: &Places) -> (String, Vec<String>) {
    let mut problems = Vec::new();
    let plot = places.results.parent().and_then(|folder| places.plot.strip_prefix(folder).ok()).unwrap_or(&places.plot);
    let mut text = format!(
        "# Soak: {title}\n\nWritten by `cargo xtask bench soak`; what it does is explained in [README.md](README.md).\n\n"
    );
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for (name, value) in &context.header {
        line(format!("- {name}: {value}"));
    }
    line(format!(
        "- took {:.1} minutes at {WORKERS} connections, with {} changes of functions meanwhile",
        outcome.took.as_secs_f64() / 60.0,
        outcome.changes
    ));
    match outcome.wrong.is_empty() {
        true => line("- every answer was what its function gives".to_owned()),
        false => {
            for (what, count) in &outcome.wrong {
                let what = what.replace('\n', " ");
                line(format!("- **{count} wrong answers**: {what}"));
                problems.push(format!("{count} x {what}"));
            }
        }
    }
    line(format!("\n![{title}]({})\n", plot.display()));
    if !is_judged(outcome) {
        line(format!(
            "**Only the answers are judged**: nothing is said about flatness after fewer than {} invokes past warm-up.\n",
            number(JUDGED_MIN)
        ));
    }
    line(format!(
        "Flat: a line fitted to the last {:.0} % rises in 100,000 invokes by at most {:.0} % of the mean, or by less than twice its standard error.\n",
        (1.0 - outcome.warm_part) * 100.0,
        RISE_MAX * 100.0
    ));
    line(table(outcome, &mut problems));
    (text, problems)
}

/// Whether the run was long enough past its warm-up to tell anything.
fn is_judged(outcome: &Outcome) -> bool {
    outcome.samples.last().is_some_and(|last| last.invokes as f64 * (1.0 - outcome.warm_part) >= JUDGED_MIN)
}

fn table(outcome: &Outcome, problems: &mut Vec<String>) -> String {
    let total = outcome.samples.last().map_or(0.0, |sample| sample.invokes as f64);
    let counted: Vec<&Sample> =
        outcome.samples.iter().filter(|sample| sample.invokes as f64 >= total * outcome.warm_part).collect();
    let xs: Vec<f64> = counted.iter().map(|sample| sample.invokes as f64).collect();
    let mut text = String::from(
        "| what | after warm-up | at the end | mean | rise in 100,000 | noise | flat | after deleting the functions |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (name, value, must_be_flat) in COURSES {
        let values: Vec<f64> = counted.iter().map(|sample| value(sample)).collect();
        let verdict = flat::judge(&xs, &values);
        let word = match (must_be_flat, verdict.is_flat) {
            (false, _) => "-",
            (true, _) if !is_judged(outcome) => "not judged",
            (true, true) => "yes",
            (true, false) => {
                problems.push(format!("{name} is not flat"));
                "**no**"
            }
        };
        let [first, last] = [values.first(), values.last()].map(|value| number(value.copied().unwrap_or(0.0)));
        let [mean, rise, noise] = [verdict.mean, verdict.rise, verdict.noise].map(number);
        writeln!(
            text,
            "| {name} | {first} | {last} | {mean} | {rise} | {noise} | {word} | {} |",
            number(value(&outcome.after))
        )
        .expect("a String takes all");
    }
    text
}
