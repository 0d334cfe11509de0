//! Timestamps in the spellings of the AWS protocols. All values are milliseconds since 1970-01-01T00:00:00Z.

use crate::schema::TimestampFormat;

const DAY_MS: i64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z, the last moment that ISO 8601 writes with four digits.
const LAST_MS: i64 = 253_402_300_799_999;
/// 0000-01-01T00:00:00Z.
const FIRST_MS: i64 = -62_167_219_200_000;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Writes a timestamp. What lies outside the years 0 to 9999 is written as the nearest that lies inside.
pub fn format(at_ms: i64, format: TimestampFormat) -> String {
    let at_ms = at_ms.clamp(FIRST_MS, LAST_MS);
    let (seconds, millis) = (at_ms.div_euclid(1000), at_ms.rem_euclid(1000));
    let (year, month, day) = civil_from_days(at_ms.div_euclid(DAY_MS));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    match format {
        TimestampFormat::EpochSeconds if millis == 0 => seconds.to_string(),
        TimestampFormat::EpochSeconds => {
            let sign = if at_ms < 0 { "-" } else { "" };
            let size = at_ms.unsigned_abs();
            let text = format!("{sign}{}.{:03}", size / 1000, size % 1000);
            text.trim_end_matches('0').to_owned()
        }
        TimestampFormat::Iso8601 if millis == 0 => {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
        }
        TimestampFormat::Iso8601 => {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
        }
        TimestampFormat::HttpDate => {
            let weekday = WEEKDAYS[usize::try_from(at_ms.div_euclid(DAY_MS).rem_euclid(7)).unwrap_or_default()];
            let month = MONTHS[usize::try_from(month - 1).unwrap_or_default()];
            format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
        }
    }
}

/// Reads a timestamp in any spelling that AWS takes: ISO 8601 with `Z` or an offset, an HTTP date, seconds.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    parse_iso8601(text).or_else(|| parse_http_date(text)).or_else(|| from_seconds(text.parse().ok()?))
}

/// Milliseconds of a number of seconds, within the years 0 to 9999.
pub fn from_seconds(seconds: f64) -> Option<i64> {
    let millis = (seconds * 1000.0).round();
    (millis >= FIRST_MS as f64 && millis <= LAST_MS as f64).then_some(millis as i64)
}

fn parse_iso8601(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    let (time, offset_minutes) = split_offset(time)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |text| number(text, 2))?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some(moment(year, month, day, hour, minute, second)? + millis - offset_minutes * 60_000)
}

fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let (time, offset) = time.split_at(at);
    let (hours, minutes) = offset[1..].split_once(':').or_else(|| offset[1..].split_at_checked(2))?;
    let minutes = number(hours, 2)? * 60 + number(minutes, 2)?;
    (minutes < 24 * 60).then_some((time, if offset.starts_with('-') { -minutes } else { minutes }))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn parse_http_date(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day = number(parts.next()?, 2)?;
    let month = parts.next().and_then(|name| MONTHS.iter().position(|month| *month == name))?;
    let year = number(parts.next()?, 4)?;
    let mut time = parts.next()?.splitn(3, ':');
    let (hour, minute, second) = (number(time.next()?, 2)?, number(time.next()?, 2)?, time.next()?);
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let millis: i64 = if fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{fraction:0<3}").get(..3)?.parse().ok()?
    } else {
        return None;
    };
    (parts.next() == Some("GMT") && parts.next().is_none()).then_some(())?;
    Some(moment(year, i64::try_from(month).ok()? + 1, day, hour, minute, number(second, 2)?)? + millis)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn moment(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let fits = (1..=days_in_month).contains(&day) && hour < 24 && minute < 60 && second < 60;
    fits.then(|| days_from_civil(year, month, day) * DAY_MS + (hour * 3600 + minute * 60 + second) * 1000)
}

// Days are counted from a year that starts in March, so that the leap day comes last, in eras of 400 years.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH_DAYS
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formats() {
        let at = 784_111_777_000;
        assert_eq!(format(at, TimestampFormat::Iso8601), "1994-11-06T08:49:37Z");
        assert_eq!(format(at + 5, TimestampFormat::Iso8601), "1994-11-06T08:49:37.005Z");
        assert_eq!(format(at, TimestampFormat::HttpDate), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(format(at, TimestampFormat::EpochSeconds), "784111777");
        assert_eq!(format(at + 120, TimestampFormat::EpochSeconds), "784111777.12");
        assert_eq!(format(-1, TimestampFormat::EpochSeconds), "-0.001");
        assert_eq!(format(951_782_400_000, TimestampFormat::Iso8601), "2000-02-29T00:00:00Z");
    }

    #[test]
    fn parses() {
        for (text, expected) in [
            ("1994-11-06T08:49:37Z", Some(784_111_777_000)),
            ("1994-11-06T09:49:37.5+01:00", Some(784_111_777_500)),
            ("1994-11-06T08:49:37.123456789Z", Some(784_111_777_123)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777_000)),
            ("784111777", Some(784_111_777_000)),
            ("784111777.25", Some(784_111_777_250)),
            ("1994-02-29T00:00:00Z", None),
            ("1994-13-01T00:00:00Z", None),
            ("1994-11-06T24:00:00Z", None),
            ("1994-11-06", None),
            ("", None),
            ("NaN", None),
            ("1e300", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(at in FIRST_MS..=LAST_MS) {
            prop_assert_eq!(parse(&format(at, TimestampFormat::Iso8601)), Some(at));
            prop_assert_eq!(parse(&format(at, TimestampFormat::HttpDate)), Some(at.div_euclid(1000) * 1000));
            prop_assert_eq!(parse(&format(at, TimestampFormat::EpochSeconds)), Some(at));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
