//! Rows of results: value, floor, ratio, goal, reached or not.

use std::fmt::Write;

/// One measured row of the goals.
#[derive(Debug, Clone)]
pub struct Row {
    /// The row's number in the goals.
    pub number: &'static str,
    /// What was measured.
    pub what: String,
    /// The value with its unit.
    pub value: String,
    /// The floor with its unit.
    pub floor: String,
    /// Value by floor, where a ratio makes sense.
    pub ratio: Option<f64>,
    /// The goals "must" and "moon" as texts.
    pub goals: (String, String),
    /// Whether "must" and "moon" are reached.
    pub reached: (bool, bool),
    /// Minimum, p99, CPU and whatever else a reader should see.
    pub detail: String,
}

/// How a goal is compared.
#[derive(Debug, Clone, Copy)]
pub enum Better {
    /// The value must not exceed the goal.
    Lower,
    /// The value must reach the goal.
    Higher,
}

impl Better {
    fn holds(self, value: f64, goal: f64) -> bool {
        match self {
            Better::Lower => value <= goal,
            Better::Higher => value >= goal,
        }
    }
}

/// A goal pair.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// "Must".
    pub must: f64,
    /// "Moon".
    pub moon: f64,
    /// The direction.
    pub better: Better,
    /// The unit behind the numbers, for example `x hop`.
    pub unit: &'static str,
}

impl Goal {
    /// Judges `value`.
    pub fn judge(self, value: f64) -> ((String, String), (bool, bool)) {
        let text = |goal: f64| format!("{goal} {}", self.unit);
        let reached = (self.better.holds(value, self.must), self.better.holds(value, self.moon));
        ((text(self.must), text(self.moon)), reached)
    }
}

/// The rows as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| # | what | value | floor | ratio | must | moon | detail |\n|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let mark = |goal: &str, reached: bool| format!("{goal}: {}", if reached { "reached" } else { "**missed**" });
        let (must, moon) = (mark(&row.goals.0, row.reached.0), mark(&row.goals.1, row.reached.1));
        writeln!(
            text,
            "| {} | {} | {} | {} | {ratio} | {must} | {moon} | {} |",
            row.number, row.what, row.value, row.floor, row.detail
        )
        .expect("a String takes all that is written");
    }
    text
}
