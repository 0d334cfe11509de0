//! The two spellings of time that a signature may carry.

const DAY_S: i64 = 86_400;

/// `20150830T123600Z` of a time in seconds since the epoch.
pub(crate) fn basic(at_s: i64) -> String {
    let (year, month, day) = civil(at_s.div_euclid(DAY_S));
    let second = at_s.rem_euclid(DAY_S);
    if !(0..10_000).contains(&year) {
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        return format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z");
    }
    let mut text = String::with_capacity(16);
    // Twice for every request: the formatter's generality would cost more than the date itself.
    let mut push = |value: i64, mark: &str| {
        for digit in [value / 10, value % 10] {
            text.push(char::from(b'0' + u8::try_from(digit).unwrap_or(0)));
        }
        text.push_str(mark);
    };
    push(year / 100, "");
    push(year % 100, "");
    push(month, "");
    push(day, "T");
    push(second / 3600, "");
    push(second / 60 % 60, "");
    push(second % 60, "Z");
    text
}

/// Reads `20150830T123600Z` as seconds since the epoch.
pub(crate) fn parse_basic(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 16 && bytes[8] == b'T' && bytes[15] == b'Z';
    if !shaped {
        return None;
    }
    let date = (digits(bytes, 0, 4)?, digits(bytes, 4, 6)?, digits(bytes, 6, 8)?);
    let time = (digits(bytes, 9, 11)?, digits(bytes, 11, 13)?, digits(bytes, 13, 15)?);
    instant(date, time)
}

/// Reads `Sun, 30 Aug 2015 12:36:00 GMT` as seconds since the epoch.
pub(crate) fn parse_http(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = number(words.next()?)?;
    let month_name = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month_name)? as i64 + 1;
    let year = number(words.next()?)?;
    let mut time = words.next()?.split(':').map(number);
    let time = (time.next()??, time.next()??, time.next()??);
    let zone = words.next()?;
    let utc = matches!(zone, "GMT" | "UTC" | "-0000" | "+0000") && words.next().is_none();
    if !utc {
        return None;
    }
    instant((year, month, day), time)
}

fn number(text: &str) -> Option<i64> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn digits(bytes: &[u8], from: usize, to: usize) -> Option<i64> {
    bytes[from..to].iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

fn instant((year, month, day): (i64, i64, i64), (hour, minute, second): (i64, i64, i64)) -> Option<i64> {
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    fits.then(|| days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 of a date of the Gregorian calendar, in eras of 400 years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_second() {
        assert_eq!(parse_basic("20150830T123600Z"), Some(1_440_938_160));
        assert_eq!(parse_http("Sun, 30 Aug 2015 12:36:00 GMT"), Some(1_440_938_160));
        assert_eq!(basic(1_440_938_160), "20150830T123600Z");
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in 0..146_097 {
            let text = basic(day * DAY_S + 86_399);
            assert_eq!(parse_basic(&text), Some(day * DAY_S + 86_399), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in
            ["", "20150830", "20150830T123600", "20151330T123600Z", "2015083aT123600Z", "20150830T250000Z", "２０１５"]
        {
            assert_eq!(parse_basic(text), None, "{text}");
        }
        for text in [
            "",
            "Sun, 30 Aug 2015",
            "Sun, 30 Xxx 2015 12:36:00 GMT",
            "Sun, 30 Aug 2015 12:36:00 CET",
            "Sun, 30 Aug 2015 12:36:00 GMT x",
        ] {
            assert_eq!(parse_http(text), None, "{text}");
        }
    }
}
