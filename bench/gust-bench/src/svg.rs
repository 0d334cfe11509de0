//! The few shapes of SVG that the plots need, written as text, and axes with readable ticks.
//!
//! Two hundred lines instead of a plotting library: the plots are bars, distributions and lines, and what is written
//! stays the same from run to run except for the numbers.

use std::fmt::Write;

/// Ink of text and axes.
pub const INK: &str = "#222222";
/// Ink of grid lines.
pub const FAINT: &str = "#dddddd";

/// Where a text is held.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    /// At its beginning.
    Start,
    /// In its middle.
    Middle,
    /// At its end.
    End,
}

/// A drawing in progress.
#[derive(Default)]
pub struct Svg {
    body: String,
}

impl Svg {
    /// A text; `size` in pixels.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, size: f64, ink: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.write(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{ink}\">{}</text>",
            escaped(text)
        ));
    }

    /// A headline.
    pub fn bold(&mut self, (x, y): (f64, f64), size: f64, text: &str) {
        let text = escaped(text);
        self.write(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"bold\" fill=\"{INK}\">{text}</text>"
        ));
    }

    /// A straight line.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), ink: &str, width: f64, is_dashed: bool) {
        let dashes = if is_dashed { " stroke-dasharray=\"6 4\"" } else { "" };
        self.write(&format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{ink}\" stroke-width=\"{width}\"{dashes}/>"
        ));
    }

    /// A filled rectangle.
    pub fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), ink: &str) {
        self.write(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{ink}\"/>"
        ));
    }

    /// A line through points.
    pub fn path(&mut self, points: &[(f64, f64)], ink: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.write(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{ink}\" stroke-width=\"2\"/>",
            points.join(" ")
        ));
    }

    fn write(&mut self, element: &str) {
        writeln!(self.body, "{element}").expect("a String takes all that is written");
    }

    /// The document, on white so that it can be read on any page.
    pub fn finish(self, title: &str, (width, height): (f64, f64)) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             font-family=\"sans-serif\" role=\"img\">\n<title>{}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escaped(title),
            self.body
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Values along a line of pixels.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
    is_logarithmic: bool,
}

impl Axis {
    /// Values `least..=most` on pixels `from..=to`.
    pub fn linear((least, most): (f64, f64), (from, to): (f64, f64)) -> Axis {
        let most = if most > least { most } else { least + 1.0 };
        Axis { least, most, from, to, is_logarithmic: false }
    }

    /// The same, where equal ratios are equally wide. `least` must be above 0.
    pub fn logarithmic((least, most): (f64, f64), (from, to): (f64, f64)) -> Axis {
        let least = least.max(1e-6);
        let most = if most > least { most } else { least * 10.0 };
        Axis { least, most, from, to, is_logarithmic: true }
    }

    /// The pixel of `value`, which is kept inside.
    pub fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.least, self.most);
        let part = match self.is_logarithmic {
            true => (value / self.least).ln() / (self.most / self.least).ln(),
            false => (value - self.least) / (self.most - self.least),
        };
        self.from + part * (self.to - self.from)
    }

    /// Whether `value` lies on the axis.
    pub fn holds(&self, value: f64) -> bool {
        (self.least..=self.most).contains(&value)
    }

    /// Round values to write beside it.
    pub fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic {
            return self.logarithmic_ticks();
        }
        let rough = (self.most - self.least) / 5.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].iter().map(|factor| factor * magnitude).find(|step| *step >= rough);
        let step = step.unwrap_or(magnitude * 10.0);
        let first = (self.least / step).ceil() as i64;
        (first..).map(|number| number as f64 * step).take_while(|tick| *tick <= self.most * 1.000_001).collect()
    }

    fn logarithmic_ticks(&self) -> Vec<f64> {
        let (first, last) = (self.least.log10().floor() as i32, self.most.log10().ceil() as i32);
        // Over many decades the powers of ten are enough.
        let factors: &[f64] = if last - first > 4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = (first..=last).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
        all.filter(|tick| self.holds(*tick)).collect()
    }
}

/// A number as people write it: three digits that count, thousands apart.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size >= 999.5 {
        return thousands(value.round() as i64);
    }
    let digits = match size {
        100.0.. => 0,
        10.0..100.0 => 1,
        1.0..10.0 => 2,
        _ if size == 0.0 => 0,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
    format!("{}{}", if value < 0 { "-" } else { "" }, groups.join(","))
}

/// A tick without digits that say nothing.
pub fn tick(value: f64) -> String {
    if value >= 1_000.0 {
        return thousands(value.round() as i64);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let cases = [
            (0.0, "0"),
            (0.1234, "0.123"),
            (3.21, "3.21"),
            (45.67, "45.7"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
            (-1234.0, "-1,234"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!((tick(0.5), tick(20.0), tick(1_000.0)), ("0.5".to_owned(), "20".to_owned(), "1,000".to_owned()));
    }

    #[test]
    fn axes_have_round_ticks_and_keep_values_inside() {
        let linear = Axis::linear((0.0, 47.0), (100.0, 200.0));
        assert_eq!(linear.ticks(), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!((linear.at(0.0), linear.at(1e9)), (100.0, 200.0));
        let logarithmic = Axis::logarithmic((8.0, 300.0), (0.0, 1.0));
        assert_eq!(logarithmic.ticks(), [10.0, 20.0, 50.0, 100.0, 200.0]);
        // Nothing measured must not be an endless loop.
        assert!(!Axis::linear((0.0, 0.0), (0.0, 1.0)).ticks().is_empty());
    }

    #[test]
    fn texts_cannot_break_the_document() {
        let mut svg = Svg::default();
        svg.text((0.0, 0.0), Anchor::Start, 12.0, INK, "a < b & \"c\"");
        assert!(svg.finish("t", (1.0, 1.0)).contains("a &lt; b &amp; &quot;c&quot;"));
    }
}
