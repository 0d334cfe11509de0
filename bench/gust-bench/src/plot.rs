//! A plot for each group of rows: bars for figures, distributions for times, with the goals marked.

use crate::row::{Kind, Row, Series};
use crate::svg::{Anchor, Axis, FAINT, INK, Svg, number, tick};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 720.0;
/// Where legends and values stand.
const ASIDE: f64 = 735.0;
const BAR: f64 = 24.0;
const CURVE_HEIGHT: f64 = 200.0;
/// Points of a drawn distribution.
const CURVE_POINTS: usize = 200;
/// What a curve shows at most: the last thousandth would squeeze the rest.
const CURVE_END: f64 = 0.999;

const GUST: &str = "#00704a";
const FLOOR: &str = "#777777";
const OTHERS: [&str; 4] = ["#c4560a", "#6a3d9a", "#1f78b4", "#b2182b"];
const MUST: &str = "#b2182b";
const MOON: &str = "#1f78b4";

/// A line of a plot.
struct Track<'a> {
    series: &'a Series,
    ink: &'static str,
}

/// The plot of a group of rows.
pub fn group(title: &str, rows: &[&Row]) -> String {
    let mut svg = Svg::default();
    svg.bold((20.0, 30.0), 18.0, title);
    let mut top = 60.0;
    for row in rows {
        top = panel(&mut svg, row, top);
    }
    svg.finish(title, (WIDTH, top))
}

fn panel(svg: &mut Svg, row: &Row, top: f64) -> f64 {
    let kind = row.cold.as_ref().map_or_else(String::new, |cold| format!(", {cold}"));
    svg.bold((20.0, top), 13.0, &format!("row {}: {}{kind}", row.number, row.what));
    let tracks = tracks(row);
    match row.kind {
        Kind::Times => curves(svg, &tracks, &row.unit, Some(row), top + 30.0),
        Kind::Figures => {
            let mut top = bars(svg, &tracks, row, top + 30.0);
            let mut more: Vec<Track<'_>> = others(&row.curves, 0).collect();
            let floor = row.floor.as_ref().map(|floor| floor.name.as_str());
            for track in &mut more {
                // The same ink as above.
                track.ink = match track.series.name.as_str() {
                    name if name.starts_with("gust") => GUST,
                    name if Some(name) == floor => FLOOR,
                    _ => track.ink,
                };
            }
            if more.iter().any(|track| track.series.count() > 1) {
                top = curves(svg, &more, "ms", None, top);
            }
            top
        }
    }
}

fn tracks(row: &Row) -> Vec<Track<'_>> {
    let mut tracks = vec![Track { series: &row.value, ink: GUST }];
    tracks.extend(row.floor.as_ref().map(|series| Track { series, ink: FLOOR }));
    tracks.extend(others(&row.rivals, 0));
    if row.kind == Kind::Times {
        tracks.extend(others(&row.curves, row.rivals.len()));
    }
    tracks
}

fn others(series: &[Series], from: usize) -> impl Iterator<Item = Track<'_>> {
    series.iter().enumerate().map(move |(index, series)| Track { series, ink: OTHERS[(index + from) % OTHERS.len()] })
}

/// "Must" and "moon" as value, name and ink.
fn marks(row: &Row) -> Vec<(f64, &'static str, &'static str)> {
    let [must, moon] = row.verdicts();
    let must = must.map(|(bound, _)| (bound, "Must", MUST));
    must.into_iter().chain(moon.map(|(bound, _)| (bound, "Moon", MOON))).collect()
}

fn bars(svg: &mut Svg, tracks: &[Track<'_>], row: &Row, top: f64) -> f64 {
    let goals = marks(row);
    let most = tracks.iter().map(|track| track.series.quantile(1.0)).chain(goals.iter().map(|mark| mark.0));
    let axis = Axis::linear((0.0, most.fold(0.0, f64::max) * 1.05), (LEFT, RIGHT));
    let bottom = top + BAR * tracks.len() as f64;
    scale(svg, &axis, &row.unit, (top, bottom));
    for (index, track) in tracks.iter().enumerate() {
        let y = top + BAR * index as f64;
        let value = track.series.typical(row.judged);
        let (least, greatest) = (track.series.quantile(0.0), track.series.quantile(1.0));
        svg.text((LEFT - 8.0, y + 16.0), Anchor::End, 12.0, INK, &short(&track.series.name));
        svg.rectangle((LEFT, y + 4.0), ((axis.at(value) - LEFT).max(1.0), BAR - 8.0), track.ink);
        if track.series.count() > 1 {
            svg.line((axis.at(least), y + BAR / 2.0), (axis.at(greatest), y + BAR / 2.0), INK, 1.5, false);
        }
        let range = match track.series.count() {
            0 | 1 => String::new(),
            _ => format!(" ({} to {})", number(least), number(greatest)),
        };
        svg.text((ASIDE, y + 16.0), Anchor::Start, 12.0, track.ink, &format!("{} {}{range}", number(value), row.unit));
    }
    draw_marks(svg, &axis, row, (top, bottom));
    bottom + 60.0
}

fn curves(svg: &mut Svg, tracks: &[Track<'_>], unit: &str, row: Option<&Row>, top: f64) -> f64 {
    let sorted: Vec<Vec<f64>> = tracks.iter().map(|track| track.series.sorted()).collect();
    let goals = row.map(marks).unwrap_or_default();
    let at = |fraction: f64| move |values: &Vec<f64>| crate::row::quantile(values, fraction);
    let filled = || sorted.iter().filter(|values| !values.is_empty());
    let least = filled().map(at(0.0)).chain(goals.iter().map(|mark| mark.0)).filter(|value| *value > 0.0);
    let most = filled().map(at(CURVE_END)).chain(goals.iter().map(|mark| mark.0));
    let range = (least.fold(f64::INFINITY, f64::min) * 0.9, most.fold(0.0, f64::max) * 1.1);
    let x = Axis::logarithmic(if range.0.is_finite() { range } else { (1.0, 10.0) }, (LEFT, RIGHT));
    let bottom = top + CURVE_HEIGHT;
    let y = Axis::linear((0.0, 1.0), (bottom, top));
    scale(svg, &x, unit, (top, bottom));
    for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
        svg.line((LEFT, y.at(part)), (RIGHT, y.at(part)), FAINT, 1.0, false);
        svg.text((LEFT - 8.0, y.at(part) + 4.0), Anchor::End, 11.0, INK, &format!("{:.0} %", part * 100.0));
    }
    svg.text((20.0, top + CURVE_HEIGHT / 2.0), Anchor::Start, 11.0, INK, "share of samples");
    for (index, (track, values)) in tracks.iter().zip(&sorted).enumerate().filter(|(_, (_, values))| !values.is_empty())
    {
        svg.path(&curve(values, &x, &y), track.ink);
        let place = top + 14.0 + 34.0 * index as f64;
        svg.line((ASIDE, place - 4.0), (ASIDE + 16.0, place - 4.0), track.ink, 3.0, false);
        svg.text((ASIDE + 22.0, place), Anchor::Start, 12.0, track.ink, &short(&track.series.name));
        let [p50, p99] = [0.5, 0.99].map(|fraction| number(crate::row::quantile(values, fraction)));
        svg.text((ASIDE + 22.0, place + 14.0), Anchor::Start, 11.0, INK, &format!("p50 {p50}, p99 {p99} {unit}"));
    }
    if let Some(row) = row {
        draw_marks(svg, &x, row, (top, bottom));
    }
    bottom + 60.0
}

fn curve(sorted: &[f64], x: &Axis, y: &Axis) -> Vec<(f64, f64)> {
    let points = (0..=CURVE_POINTS).map(|point| point as f64 / CURVE_POINTS as f64 * CURVE_END);
    points.map(|part| (x.at(crate::row::quantile(sorted, part)), y.at(part))).collect()
}

/// The axis below, with grid lines up to `top`.
fn scale(svg: &mut Svg, axis: &Axis, unit: &str, (top, bottom): (f64, f64)) {
    for value in axis.ticks() {
        svg.line((axis.at(value), top), (axis.at(value), bottom), FAINT, 1.0, false);
        svg.text((axis.at(value), bottom + 15.0), Anchor::Middle, 11.0, INK, &tick(value));
    }
    svg.line((LEFT, bottom), (RIGHT, bottom), INK, 1.0, false);
    svg.text((ASIDE + 10.0, bottom + 15.0), Anchor::Start, 11.0, INK, unit);
}

fn draw_marks(svg: &mut Svg, axis: &Axis, row: &Row, (top, bottom): (f64, f64)) {
    let quantile = if row.kind == Kind::Times { format!(" (p{:.0})", row.judged * 100.0) } else { String::new() };
    let marks = marks(row);
    let mut ends = f64::NEG_INFINITY;
    let mut sorted: Vec<_> = marks.iter().filter(|mark| axis.holds(mark.0)).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (bound, name, ink) in sorted {
        svg.line((axis.at(*bound), top - 4.0), (axis.at(*bound), bottom), ink, 1.5, true);
        // Names that would overlap stand one after the other.
        let x = axis.at(*bound).max(ends);
        let text = format!("{name} {}{quantile}", number(*bound));
        svg.text((x, top - 6.0), Anchor::Start, 11.0, ink, &text);
        ends = x + 7.0 * text.len() as f64;
    }
}

fn short(name: &str) -> String {
    match name.chars().count() {
        0..=28 => name.to_owned(),
        _ => format!("{}...", name.chars().take(26).collect::<String>()),
    }
}

/// Values over the course of something: one panel a series, all with the same axis below.
pub fn course(title: &str, below: &str, xs: &[f64], series: &[(String, Vec<f64>)]) -> String {
    let mut svg = Svg::default();
    svg.bold((20.0, 30.0), 18.0, title);
    let mut top = 70.0;
    let x = Axis::linear((0.0, xs.iter().copied().fold(0.0, f64::max)), (LEFT, RIGHT));
    for (index, (name, values)) in series.iter().enumerate() {
        let bottom = top + 110.0;
        let y = Axis::linear((0.0, values.iter().copied().fold(0.0, f64::max) * 1.1), (bottom, top));
        svg.bold((20.0, top - 8.0), 12.0, name);
        scale(&mut svg, &x, below, (top, bottom));
        for value in y.ticks() {
            svg.line((LEFT, y.at(value)), (RIGHT, y.at(value)), FAINT, 1.0, false);
            svg.text((LEFT - 8.0, y.at(value) + 4.0), Anchor::End, 11.0, INK, &tick(value));
        }
        let points: Vec<(f64, f64)> = xs.iter().zip(values).map(|(at, value)| (x.at(*at), y.at(*value))).collect();
        svg.path(&points, if index == 0 { GUST } else { OTHERS[index % OTHERS.len()] });
        top = bottom + 60.0;
    }
    svg.finish(title, (WIDTH, top))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Against, Goal};

    #[test]
    fn a_plot_names_what_it_shows() {
        let mut times = Series::new("gust");
        times.push((1..100).map(f64::from).collect());
        let mut floor = Series::new("hop");
        floor.push((1..50).map(f64::from).collect());
        let row = Row::new("1", "warm <invoke>", Kind::Times, "us", times).floor(floor).goal(Goal::at_most(
            4.0,
            2.0,
            Against::TimesFloor,
        ));
        let bars = Row::new("17", "size", Kind::Figures, "MB", Series::of_figures("gust", &[20.0]))
            .goal(Goal::at_most(60.0, 30.0, Against::Nothing));
        let text = group("Group", &[&row, &bars]);
        for wanted in [
            "row 1: warm &lt;invoke&gt;",
            "hop",
            "Must 100 (p50)",
            "Moon 50.0 (p50)",
            "Must 60.0",
            "share of samples",
            "MB",
            "us",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert_eq!(text.matches("<polyline").count(), 2);
    }

    #[test]
    fn nothing_measured_is_drawn_as_nothing() {
        let row = Row::new("1", "x", Kind::Times, "us", Series::new("gust"));
        assert!(group("Group", &[&row]).contains("row 1"));
    }
}
