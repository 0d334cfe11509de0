//! Spans of time as people type them.

use std::time::Duration;

/// Longest span: logs are never older than CloudWatch keeps them (10 years).
const SPAN_S_MAX: u64 = 3_653 * 86_400;

/// Parses `90s`, `10m`, `2h` or `7d`; a bare number means seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no span of time; write 90s, 10m, 2h or 7d");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    match count.checked_mul(factor) {
        Some(seconds) if seconds <= SPAN_S_MAX => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("{text:?} is longer than ten years")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        for (text, seconds) in [("5", 5), ("90s", 90), ("10m", 600), ("2h", 7_200), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "m", "-5m", "5w", "1.5h", "5 m", "99999999999999999999d", "4000d", "10m5s", "é"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
