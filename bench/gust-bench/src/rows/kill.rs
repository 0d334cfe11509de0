//! Row 19: what `kill -9` under load lost, counted by the end-to-end test that does it.

use crate::context::Context;
use crate::row::{Against, Goal, Kind, Row, Series};
use std::io;
use std::process::Command;

/// What the test prints about a run.
const MARK: &str = "durability:";

/// Measures the row.
pub fn rows(context: &Context, rows: &mut Vec<Row>) -> io::Result<()> {
    let output = Command::new(&context.test_python)
        .args(["-m", "pytest", "-q", "-s", "-p", "no:cacheprovider"])
        .args(["tests/e2e/test_durability.py", "-k", "nothing_acknowledged"])
        .current_dir(&context.workspace)
        .env("GUST_BINARY", &context.gust)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = printed.lines().find_map(|line| line.split_once(MARK)).map(|(_, text)| text.trim().to_owned());
    let said = said.filter(|_| output.status.success()).ok_or_else(|| {
        let end: String = printed.chars().rev().take(600).collect::<String>().chars().rev().collect();
        io::Error::other(format!("the test failed: {end}"))
    })?;
    let goal = Goal::at_most(0.0, 0.0, Against::Nothing);
    rows.push(
        Row::new("19", "kill -9 under load: accepted and lost", Kind::Figures, "", Series::of_figures("gust", &[0.0]))
            .goal(goal)
            .note(said)
            .note("a loss fails the test and with it this row"),
    );
    Ok(())
}
