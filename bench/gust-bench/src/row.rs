//! A measured row of the goals: samples by round, what bounds them, and the judgement.

use serde::{Deserialize, Serialize};

/// How a row is counted, which also decides how it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Many samples of a time a round: drawn as distribution.
    Times,
    /// One figure a round (a rate, a size, the time of the last of many): drawn as bar.
    Figures,
}

/// Samples of one thing, by round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Series {
    /// What was measured, for example `hop` or `ministack`.
    pub name: String,
    /// The samples of each round, in the row's unit.
    pub rounds: Vec<Vec<f64>>,
    /// CPU time of the server and all its children for one operation, in microseconds; of each round where it was taken.
    pub cpu_us: Vec<f64>,
}

impl Series {
    /// An empty one.
    pub fn new(name: &str) -> Series {
        Series { name: name.to_owned(), ..Series::default() }
    }

    /// One sample a round.
    pub fn of_figures(name: &str, figures: &[f64]) -> Series {
        let mut series = Series::new(name);
        figures.iter().for_each(|figure| series.push(vec![*figure]));
        series
    }

    /// Adds a round. A tenth of a thousandth is exact enough to keep.
    pub fn push(&mut self, samples: Vec<f64>) {
        self.rounds.push(samples.into_iter().map(|sample| (sample * 1e4).round() / 1e4).collect());
    }

    /// All samples, sorted.
    pub fn sorted(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.rounds.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        all
    }

    /// The `fraction` quantile of all samples.
    pub fn quantile(&self, fraction: f64) -> f64 {
        quantile(&self.sorted(), fraction)
    }

    /// The median over the rounds of each round's `fraction` quantile: one bad round does not decide.
    pub fn typical(&self, fraction: f64) -> f64 {
        let of_round = |round: &Vec<f64>| {
            let mut sorted = round.clone();
            sorted.sort_by(f64::total_cmp);
            quantile(&sorted, fraction)
        };
        let quantiles: Vec<f64> = self.rounds.iter().filter(|round| !round.is_empty()).map(of_round).collect();
        median(&quantiles)
    }

    /// The median CPU time of an operation in microseconds.
    pub fn cpu(&self) -> Option<f64> {
        (!self.cpu_us.is_empty()).then(|| median(&self.cpu_us))
    }

    /// How many samples there are.
    pub fn count(&self) -> usize {
        self.rounds.iter().map(Vec::len).sum()
    }
}

/// The `fraction` quantile of sorted values; 0 for none.
pub fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    match sorted.len() {
        0 => 0.0,
        count => sorted[((count - 1) as f64 * fraction).round() as usize],
    }
}

/// The median of values in any order.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// The direction of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Better {
    /// The value must not exceed the goal.
    Lower,
    /// The value must reach the goal.
    Higher,
}

/// What a goal's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Against {
    /// Multiples of the floor.
    TimesFloor,
    /// The floor and so much more, in the row's unit.
    FloorPlus,
    /// Absolute, in the row's unit.
    Nothing,
}

/// A pair of goals.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Goal {
    /// "Must", where there is one.
    pub must: Option<f64>,
    /// "Moon", where there is one.
    pub moon: Option<f64>,
    /// The direction.
    pub better: Better,
    /// What the numbers are.
    pub against: Against,
}

impl Goal {
    /// Not more than these multiples of the floor.
    pub fn at_most(must: f64, moon: f64, against: Against) -> Goal {
        Goal { must: Some(must), moon: Some(moon), better: Better::Lower, against }
    }

    /// At least these.
    pub fn at_least(must: f64, moon: f64, against: Against) -> Goal {
        Goal { must: Some(must), moon: Some(moon), better: Better::Higher, against }
    }

    /// The value that `goal` asks for, in the row's unit; `None` without the floor it needs.
    pub fn bound(self, goal: f64, floor: Option<f64>) -> Option<f64> {
        match self.against {
            Against::TimesFloor => floor.map(|floor| floor * goal),
            Against::FloorPlus => floor.map(|floor| floor + goal),
            Against::Nothing => Some(goal),
        }
    }

    /// Whether `value` is good enough for `bound`.
    pub fn is_reached(self, value: f64, bound: f64) -> bool {
        match self.better {
            Better::Lower => value <= bound,
            Better::Higher => value >= bound,
        }
    }
}

/// One measured row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The row's number in the goals.
    pub number: String,
    /// What was measured.
    pub what: String,
    /// Which cold start it is, in the words of the taxonomy.
    pub cold: Option<String>,
    /// How it is counted.
    pub kind: Kind,
    /// The unit of all samples.
    pub unit: String,
    /// The quantile that is compared with the goal: 0.5, or 0.99 where the goal is about the tail.
    pub judged: f64,
    /// gust's samples.
    pub value: Series,
    /// What bounds them.
    pub floor: Option<Series>,
    /// Others in the same run.
    pub rivals: Vec<Series>,
    /// Distributions that belong to a row of figures, for its plot: in milliseconds.
    pub curves: Vec<Series>,
    /// The goals.
    pub goal: Option<Goal>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl Row {
    /// A row without floor, rivals and goal.
    pub fn new(number: &str, what: &str, kind: Kind, unit: &str, value: Series) -> Row {
        Row {
            number: number.to_owned(),
            what: what.to_owned(),
            cold: None,
            kind,
            unit: unit.to_owned(),
            judged: 0.5,
            value,
            floor: None,
            rivals: Vec::new(),
            curves: Vec::new(),
            goal: None,
            notes: Vec::new(),
        }
    }

    /// With a floor.
    pub fn floor(mut self, floor: Series) -> Row {
        self.floor = Some(floor);
        self
    }

    /// With goals.
    pub fn goal(mut self, goal: Goal) -> Row {
        self.goal = Some(goal);
        self
    }

    /// With a rival, if it could be measured.
    pub fn rival(mut self, rival: Option<Series>) -> Row {
        self.rivals.extend(rival.filter(|rival| rival.count() > 0));
        self
    }

    /// With something that a reader should know.
    pub fn note(mut self, note: impl Into<String>) -> Row {
        self.notes.push(note.into());
        self
    }

    /// As this kind of cold start.
    pub fn cold(mut self, cold: &str) -> Row {
        self.cold = Some(cold.to_owned());
        self
    }

    /// What is compared with the goal.
    pub fn judged_value(&self) -> f64 {
        self.value.typical(self.judged)
    }

    /// The floor's figure of the same kind.
    pub fn judged_floor(&self) -> Option<f64> {
        self.floor.as_ref().map(|floor| floor.typical(self.judged))
    }

    /// Value by floor.
    pub fn ratio(&self) -> Option<f64> {
        self.judged_floor().filter(|floor| *floor > 0.0).map(|floor| self.judged_value() / floor)
    }

    /// The bounds "must" and "moon" in the row's unit, and whether they are reached.
    pub fn verdicts(&self) -> [Option<(f64, bool)>; 2] {
        let verdict = |wanted: Option<f64>| {
            let (goal, wanted) = (self.goal?, wanted?);
            let bound = goal.bound(wanted, self.judged_floor())?;
            Some((bound, goal.is_reached(self.judged_value(), bound)))
        };
        [verdict(self.goal.and_then(|goal| goal.must)), verdict(self.goal.and_then(|goal| goal.moon))]
    }
}

/// What one measurement gave, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measurement {
    /// Kernel, cores, load, commit, versions: what the samples were taken on.
    pub header: std::collections::BTreeMap<String, String>,
    /// The measurement's name.
    pub name: String,
    /// The rows of the goals that it is about.
    pub numbers: Vec<String>,
    /// What was measured, all of it even if something failed later.
    pub rows: Vec<Row>,
    /// What went wrong.
    pub failures: Vec<String>,
    /// The load average at its beginning and its end.
    pub load: [String; 2],
    /// How long it took, in seconds.
    pub took_s: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &[f64], floor: &[f64], goal: Goal) -> Row {
        Row::new("0", "x", Kind::Figures, "ms", Series::of_figures("gust", value))
            .floor(Series::of_figures("floor", floor))
            .goal(goal)
    }

    #[test]
    fn goals_are_multiples_of_the_floor_or_more_than_it_or_absolute() {
        let judged = |goal: Goal| row(&[3.0, 2.0, 9.0], &[1.0], goal).verdicts();
        assert_eq!(judged(Goal::at_most(4.0, 2.0, Against::TimesFloor)), [Some((4.0, true)), Some((2.0, false))]);
        assert_eq!(judged(Goal::at_most(2.0, 0.4, Against::FloorPlus)), [Some((3.0, true)), Some((1.4, false))]);
        assert_eq!(judged(Goal::at_least(3.0, 3.5, Against::Nothing)), [Some((3.0, true)), Some((3.5, false))]);
    }

    #[test]
    fn a_goal_that_needs_a_floor_is_not_judged_without_one() {
        let mut row = row(&[1.0], &[1.0], Goal::at_most(4.0, 2.0, Against::TimesFloor));
        row.floor = None;
        assert_eq!(row.verdicts(), [None, None]);
        assert_eq!(row.ratio(), None);
    }

    #[test]
    fn one_bad_round_does_not_decide() {
        let mut series = Series::new("gust");
        for round in [[1.0, 2.0, 3.0], [1.0, 2.0, 4.0], [100.0, 200.0, 300.0]] {
            series.push(round.to_vec());
        }
        assert_eq!((series.typical(0.5), series.typical(1.0), series.quantile(0.0)), (2.0, 4.0, 1.0));
        assert_eq!(Series::new("none").typical(0.5), 0.0);
    }
}
