//! Dates of Release files: the text form of RFC 5322 in UTC, to and from Unix seconds.
//!
//! Refuses every zone but UTC, as the repository format asks. Start at [`parse`].

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The text is not a date such as `Sat, 09 Aug 2025 09:16:30 UTC`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date of the form `Sat, 09 Aug 2025 09:16:30 UTC`")]
pub struct DateError(String);

/// Unix seconds of a `Date` or `Valid-Until` field (Debian repository format: RFC 5322 date, UTC
/// written as `UTC`, `GMT`, `Z` or `+0000`). The name of the day is not compared with the date.
///
/// # Errors
/// [`DateError`] when the text has another form or names a day that does not exist.
pub fn parse(text: &str) -> Result<i64, DateError> {
    parse_parts(text.trim()).ok_or_else(|| DateError(crate::quote::quote(text)))
}

fn parse_parts(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    let day_name = words.next()?;
    if day_name.len() != 4 || !day_name.ends_with(',') {
        return None;
    }
    let day: i8 = number(words.next()?, 1..=2)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let year: i16 = number(words.next()?, 4..=4)?;
    let mut clock = words.next()?.split(':');
    let hour: i8 = number(clock.next()?, 1..=2)?;
    let minute: i8 = number(clock.next()?, 2..=2)?;
    let second: i8 = number(clock.next()?, 2..=2)?;
    let zone = words.next()?;
    if clock.next().is_some()
        || words.next().is_some()
        || !matches!(zone, "UTC" | "GMT" | "Z" | "+0000")
    {
        return None;
    }
    let civil = DateTime::new(
        year,
        i8::try_from(month).ok()?,
        day,
        hour,
        minute,
        second,
        0,
    )
    .ok()?;
    let zoned = TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(zoned.as_second())
}

fn number<T: std::str::FromStr>(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && digits.contains(&text.len());
    plain.then(|| text.parse().ok())?
}

/// `2025-08-09 09:16:30 UTC` for Unix seconds; the bare number when no calendar has that second.
pub fn show(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| format!("second {seconds}"),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_date_is_read_and_shown() {
        let seconds = parse("Sat, 09 Aug 2025 09:16:30 UTC").expect("a date");
        assert_eq!(seconds, 1_754_730_990);
        assert_eq!(show(seconds), "2025-08-09 09:16:30 UTC");
        assert_eq!(parse("Sat, 09 Aug 2025  9:16:30 +0000"), Ok(seconds));
    }

    #[test]
    fn other_zones_and_impossible_days_are_refused() {
        for text in [
            "",
            "Sat, 09 Aug 2025 09:16:30 CET",
            "Sat, 09 Aug 2025 09:16:30 +0200",
            "Sat, 31 Feb 2025 09:16:30 UTC",
            "Sat, 09 Aug 2025 25:16:30 UTC",
            "Sat, 09 Aug 2025 09:16 UTC",
            "Sat, +9 Aug 2025 09:16:30 UTC",
            "Sat, 09 Aug 2025 09:16:30 UTC trailing",
            "2025-08-09T09:16:30Z",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,40}", seconds in any::<i64>()) {
            let _ = parse(&text);
            let _ = show(seconds);
        }
    }
}
