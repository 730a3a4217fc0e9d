//! Durations as Go writes them: `1h30m`, `1.5s`, `250ms`.
//!
//! The config file and the kinds hold them as text, because the original was a Go program.
//! Exact where Go is not: fractions are computed in whole numbers, not in floating point.
//! Negative durations, which nothing here needs, are told apart from unreadable ones, then refused.

use std::{fmt::Write as _, time::Duration};

/// Why a text is no usable duration. The text itself is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("is empty; write a duration such as 90s, 60m or 1h30m")]
    Empty,
    #[error("is negative")]
    Negative,
    #[error("is not a duration; write numbers with units, such as 90s, 60m or 1h30m")]
    NoNumber,
    #[error("has a number without a unit; units are h, m, s, ms, us and ns")]
    NoUnit,
    #[error("has an unknown unit; units are h, m, s, ms, us and ns")]
    UnknownUnit,
    #[error("is too long; the longest duration is about 292 years")]
    TooLong,
}

/// Go keeps a duration as nanoseconds in 64 bits with a sign.
const LONGEST_NS: u128 = i64::MAX as u128;

const SECOND_NS: u128 = 1_000_000_000;

/// Digits of a fraction that count: no unit has more than 3.6 * 10^12 nanoseconds.
const FRACTION_DIGITS: usize = 18;

/// Reads a duration by the rules of Go's `time.ParseDuration` (package time, "ParseDuration").
pub fn parse(text: &str) -> Result<Duration, Error> {
    let (unsigned, is_negative) = match text.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    if unsigned.is_empty() {
        return Err(if text.is_empty() {
            Error::Empty
        } else {
            Error::NoNumber
        });
    }
    let nanoseconds = if unsigned == "0" { 0 } else { sum(unsigned)? };
    if is_negative && nanoseconds > 0 {
        return Err(Error::Negative);
    }
    u64::try_from(nanoseconds)
        .map(Duration::from_nanos)
        .map_err(|_| Error::TooLong)
}

/// Writes a duration as Go's `Duration.String` does: `1h0m0s`, `1.5s`, `20µs`, `0s`.
pub fn format(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    if nanoseconds < SECOND_NS {
        return match nanoseconds {
            0..1_000 => format!("{nanoseconds}ns"),
            1_000..1_000_000 => format!("{}µs", decimal(nanoseconds, 1_000)),
            _ => format!("{}ms", decimal(nanoseconds, 1_000_000)),
        };
    }
    let minutes = nanoseconds / (60 * SECOND_NS);
    let seconds = decimal(nanoseconds % (60 * SECOND_NS), SECOND_NS);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Adds up the parts, such as `1h` and `30m`, of a text without sign.
fn sum(mut rest: &str) -> Result<u128, Error> {
    let mut total = 0;
    while !rest.is_empty() {
        let (whole, after_whole) = digits(rest);
        let (fraction, after_number) = match after_whole.strip_prefix('.') {
            Some(after_point) => digits(after_point),
            None => ("", after_whole),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(Error::NoNumber);
        }
        let end = after_number
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after_number.len());
        let (unit, after_unit) = after_number.split_at(end);
        total += part(whole, fraction, unit_ns(unit)?)?;
        if total > LONGEST_NS {
            return Err(Error::TooLong);
        }
        rest = after_unit;
    }
    Ok(total)
}

/// The nanoseconds of `whole.fraction` units.
fn part(whole: &str, fraction: &str, unit: u128) -> Result<u128, Error> {
    let whole = match whole {
        "" => 0,
        whole => whole.parse::<u64>().map_err(|_| Error::TooLong)?,
    };
    let (numerator, denominator) =
        fraction
            .bytes()
            .take(FRACTION_DIGITS)
            .fold((0, 1), |(numerator, denominator), digit| {
                (numerator * 10 + u128::from(digit - b'0'), denominator * 10)
            });
    Ok(u128::from(whole) * unit + numerator * unit / denominator)
}

fn unit_ns(unit: &str) -> Result<u128, Error> {
    Ok(match unit {
        "ns" => 1,
        // Both Unicode spellings of the prefix: the micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND_NS,
        "m" => 60 * SECOND_NS,
        "h" => 3_600 * SECOND_NS,
        "" => return Err(Error::NoUnit),
        _ => return Err(Error::UnknownUnit),
    })
}

/// Splits `text` after its leading digits.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

/// `value / unit` without trailing zeros; `unit` is a power of ten.
fn decimal(value: u128, unit: u128) -> String {
    let mut text = (value / unit).to_string();
    let fraction = value % unit;
    if fraction > 0 {
        let width = unit.ilog10() as usize;
        // Writing into a String cannot fail.
        let _ = write!(text, ".{fraction:0width$}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, want: Result<u64, Error>) {
        assert_eq!(parse(text), want.map(Duration::from_nanos), "{text:?}");
    }

    #[test]
    fn row_15_durations_are_read_as_go_reads_them() {
        const S: u64 = 1_000_000_000;
        check("0", Ok(0));
        check("-0", Ok(0));
        check("60m", Ok(3_600 * S));
        check("+1h30m", Ok(5_400 * S));
        check("1.5h", Ok(5_400 * S));
        check(".5s", Ok(S / 2));
        check("5.s", Ok(5 * S));
        check("90s", Ok(90 * S));
        check("1h1m1s1ms1us1ns", Ok(3_661 * S + 1_001_001));
        check("10\u{b5}s", Ok(10_000));
        check("10\u{3bc}s", Ok(10_000));
        check("0.000000000000000000000001h", Ok(0));
        check("9223372036854775807ns", Ok(9_223_372_036_854_775_807));
    }

    #[test]
    fn what_is_no_duration_says_why() {
        check("", Err(Error::Empty));
        check("-", Err(Error::NoNumber));
        check("soon", Err(Error::NoNumber));
        check(".s", Err(Error::NoNumber));
        check(" 60m", Err(Error::NoNumber));
        check("60", Err(Error::NoUnit));
        check("1h30", Err(Error::NoUnit));
        check("60min", Err(Error::UnknownUnit));
        check("1d", Err(Error::UnknownUnit));
        check("60 m", Err(Error::UnknownUnit));
        check("-60m", Err(Error::Negative));
        check("9223372036854775808ns", Err(Error::TooLong));
        check("99999999999999999999h", Err(Error::TooLong));
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (nanoseconds, want) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (3_600_000_000_000, "1h0m0s"),
            (18_367_001_000_000, "5h6m7.001s"),
        ] {
            assert_eq!(format(Duration::from_nanos(nanoseconds)), want);
        }
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_back_unchanged(nanoseconds in 0..=i64::MAX.unsigned_abs()) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn a_short_duration_reads_back_unchanged(nanoseconds in 0..=5_000_000_000_u64) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_the_reader_fail_otherwise(text in "[-+.0-9hmsnuµ ]{0,30}") {
            let _ = parse(&text);
        }
    }
}
