//! Tables and plots out of kept measurements: `bench/RESULTS.md` and `bench/plots/`.

use crate::plot;
use crate::row::{Against, Better, Kind, Measurement, Row, Series};
use crate::rows::ENTRIES;
use crate::svg::{number, tick};
use std::fmt::Write;
use std::io;
use std::path::Path;

/// Groups of rows that share a section and a plot: file name, title, rows.
const GROUPS: &[(&str, &str, &[&str])] = &[
    ("warm", "Warm invocations", &["1", "2", "3"]),
    ("cold", "Cold starts", &["4", "4b", "6", "7"]),
    ("burst", "Burst and density", &["8", "9"]),
    ("asynchronous", "Asynchronous invocations", &["10", "11"]),
    ("url", "Function URLs", &["14"]),
    ("start", "Start, idle cost, size", &["15", "16", "17"]),
    ("fairness", "A quiet function beside a noisy one", &["18"]),
    ("durability", "Durability", &["19"]),
];

/// Rows of the goals that nothing can be measured for yet, and why.
const NOT_YET: &[(&str, &str)] = &[
    ("5", "SnapStart, and with it the cold start (d) from an initialised copy, is not there yet"),
    ("12", "S3, SQS and streams are not there yet"),
    ("13", "DynamoDB, SQS, Kinesis and S3 are not there yet"),
    ("13b", "S3 is not there yet"),
];

/// Reads the measurements in `folder`, writes the document and the plots, and prints the document.
pub fn write(folder: &Path, results: &Path, plots: &Path) -> io::Result<()> {
    let measurements = read(folder)?;
    let rows: Vec<&Row> = measurements.iter().flat_map(|measurement| &measurement.rows).collect();
    std::fs::create_dir_all(plots)?;
    for (name, title, numbers) in GROUPS {
        let some: Vec<&Row> = rows.iter().copied().filter(|row| numbers.contains(&row.number.as_str())).collect();
        if !some.is_empty() {
            std::fs::write(plots.join(format!("{name}.svg")), plot::group(title, &some))?;
        }
    }
    let shown_plots = relative(plots, results);
    let text = document(&measurements, &shown_plots);
    print!("{text}");
    std::fs::write(results, text)
}

/// The path of `plots` as seen from the document.
fn relative(plots: &Path, results: &Path) -> String {
    let below = results.parent().and_then(|folder| plots.strip_prefix(folder).ok());
    below.unwrap_or(plots).display().to_string()
}

/// All measurements that are there, in their order.
fn read(folder: &Path) -> io::Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    for entry in ENTRIES {
        match std::fs::read(folder.join(format!("{}.json", entry.name))) {
            Ok(bytes) => measurements.push(serde_json::from_slice(&bytes).map_err(io::Error::other)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(measurements)
}

fn document(measurements: &[Measurement], plots: &str) -> String {
    let mut text = String::from(
        "# Results\n\nWritten by `cargo xtask bench`; goals, floors and method are explained in [README.md](README.md).\n\n",
    );
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if let Some(first) = measurements.first() {
        for (name, value) in &first.header {
            line(format!("- {name}: {value}"));
        }
    }
    let loads: Vec<String> = measurements.iter().map(|one| format!("{} {}", one.name, one.load[0])).collect();
    line(format!("- load average (1, 5, 15 minutes) before each measurement: {}", loads.join("; ")));
    line(format!("- took: {:.1} minutes", measurements.iter().map(|one| one.took_s).sum::<f64>() / 60.0));
    line("\nThe value is the median of the rounds' medians (of their p99 in row 18), the ratio that value by the same of the floor. min and p99 are of all samples; of figures, of which each round gives one, p99 is the largest. CPU is that of gust and all its children for one operation, the client left out.".to_owned());
    for (name, title, numbers) in GROUPS {
        let rows: Vec<&Row> = measurements
            .iter()
            .flat_map(|one| &one.rows)
            .filter(|row| numbers.contains(&row.number.as_str()))
            .collect();
        if rows.is_empty() {
            continue;
        }
        line(format!("\n## {title}\n\n![{title}]({plots}/{name}.svg)\n\n{}", table(&rows)));
    }
    line(missing(measurements));
    text
}

fn missing(measurements: &[Measurement]) -> String {
    let mut text = String::from("## Not measured\n\n");
    for one in measurements {
        for failure in &one.failures {
            let failure = failure.replace('\n', " ");
            writeln!(text, "- row {} ({}): **failed**: {failure}", one.numbers.join(", "), one.name)
                .expect("a String takes all");
        }
    }
    for (number, why) in NOT_YET {
        writeln!(text, "- row {number}: {why}").expect("a String takes all");
    }
    text
}

/// The rows as a Markdown table, with their notes below.
fn table(rows: &[&Row]) -> String {
    let mut text = String::from(
        "| # | what | value | min | p99 | CPU | floor | ratio | must | moon | beside |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let what = match &row.cold {
            Some(cold) => format!("{} **{cold}**", row.what),
            None => row.what.clone(),
        };
        let ratio = match row.goal {
            Some(goal) if goal.against == Against::Nothing => "-".to_owned(),
            _ => row.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        };
        let floor = row.floor.as_ref().map_or("-".to_owned(), |floor| {
            format!("{} ({})", with_unit(floor.typical(row.judged), &row.unit), floor.name)
        });
        let [must, moon] = goals(row);
        writeln!(
            text,
            "| {} | {what} | **{}** | {} | {} | {} | {floor} | {ratio} | {must} | {moon} | {} |",
            row.number,
            with_unit(row.judged_value(), &row.unit),
            number(row.value.quantile(0.0)),
            number(row.value.quantile(0.99)),
            cpu(&row.value),
            beside(row),
        )
        .expect("a String takes all");
    }
    text.push('\n');
    for row in rows.iter().filter(|row| !row.notes.is_empty()) {
        let kind = row.cold.as_ref().map_or_else(String::new, |cold| format!(" {cold}"));
        let rounds = counted(row.value.rounds.len(), "round");
        let samples = match row.kind {
            Kind::Times => format!("{} in {rounds}", counted(row.value.count(), "sample")),
            Kind::Figures => rounds,
        };
        writeln!(text, "- row {}, {}{kind}: {}; {samples}", row.number, row.what, row.notes.join("; "))
            .expect("a String takes all");
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn with_unit(value: f64, unit: &str) -> String {
    with_unit_text(&number(value), unit)
}

fn with_unit_text(value: &str, unit: &str) -> String {
    match unit {
        "" => value.to_owned(),
        _ if unit.starts_with('/') => format!("{value}{unit}"),
        _ => format!("{value} {unit}"),
    }
}

fn cpu(series: &Series) -> String {
    match series.cpu() {
        Some(us) if us >= 1_000.0 => format!("{} ms", number(us / 1e3)),
        Some(us) => format!("{} us", number(us)),
        None => "-".to_owned(),
    }
}

fn beside(row: &Row) -> String {
    let shown = |series: &Series| {
        let cpu = series.cpu().map_or_else(String::new, |_| format!(", CPU {}", cpu(series)));
        format!("{}: {}{cpu}", series.name, with_unit(series.typical(row.judged), &row.unit))
    };
    let all: Vec<String> = row.rivals.iter().map(shown).collect();
    if all.is_empty() { "-".to_owned() } else { all.join("; ") }
}

/// "Must" and "moon": what is asked, and whether it is reached.
fn goals(row: &Row) -> [String; 2] {
    let Some(goal) = row.goal else { return ["-".to_owned(), "-".to_owned()] };
    let floor = row.floor.as_ref().map_or("", |floor| floor.name.split(',').next().unwrap_or_default());
    let sign = if goal.better == Better::Lower { "<=" } else { ">=" };
    let asked = |wanted: f64| match goal.against {
        Against::TimesFloor => format!("{sign} {wanted} x {floor}"),
        Against::FloorPlus => format!("{sign} {floor} + {wanted} {}", row.unit),
        Against::Nothing => format!("{sign} {}", with_unit_text(&tick(wanted), &row.unit)),
    };
    let verdicts = row.verdicts();
    let shown = |wanted: Option<f64>, verdict: Option<(f64, bool)>| match (wanted, verdict) {
        (Some(wanted), Some((_, true))) => format!("{}: reached", asked(wanted)),
        (Some(wanted), Some((_, false))) => format!("{}: **missed**", asked(wanted)),
        (Some(wanted), None) => format!("{}: not judged, the floor is missing", asked(wanted)),
        (None, _) => "-".to_owned(),
    };
    [shown(goal.must, verdicts[0]), shown(goal.moon, verdicts[1])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Goal;

    #[test]
    fn each_row_says_value_floor_ratio_and_whether_its_goals_are_reached() {
        let row = Row::new("7", "Rust cold start", Kind::Times, "ms", Series::of_figures("gust", &[6.0]))
            .floor(Series::of_figures("spawn", &[2.0]))
            .rival(Some(Series::of_figures("ministack", &[55.0])))
            .cold("(b) no zygote")
            .goal(Goal::at_most(4.0, 2.0, Against::TimesFloor))
            .note("noted");
        let text = table(&[&row]);
        let wanted = "| 7 | Rust cold start **(b) no zygote** | **6.00 ms** | 6.00 | 6.00 | - | 2.00 ms (spawn) | 3.00 | <= 4 x spawn: reached | <= 2 x spawn: **missed** | ministack: 55.0 ms |";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("noted; 1 sample in 1 round"), "{text}");
    }

    #[test]
    fn what_failed_and_what_is_not_there_is_said() {
        let failed = Measurement {
            header: Default::default(),
            name: "burst-node".to_owned(),
            numbers: vec!["8".to_owned(), "9".to_owned()],
            rows: Vec::new(),
            failures: vec!["it broke".to_owned()],
            load: Default::default(),
            took_s: 1.0,
        };
        let text = document(&[failed], "plots");
        assert!(text.contains("- row 8, 9 (burst-node): **failed**: it broke"), "{text}");
        assert!(text.contains("- row 12: S3, SQS and streams are not there yet"), "{text}");
    }

    #[test]
    fn every_measured_row_has_a_group() {
        for number in ENTRIES.iter().flat_map(|entry| entry.numbers) {
            assert!(GROUPS.iter().any(|(_, _, numbers)| numbers.contains(number)), "row {number}");
        }
    }
}
