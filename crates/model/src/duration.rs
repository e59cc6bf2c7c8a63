//! A length of time as people write it: `90s`, `10m`, `1h30m`, `30d`.

use std::time::Duration;

/// The text is not a length of time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a length of time; lengths of time look like `90s`, `10m` or `1h30m`", .0.escape_debug())]
pub struct BadDuration(String);

/// Each unit with its milliseconds, longest first.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// The longest that we take, a hundred years: any sum of it and a time is still a time.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Reads a length of time: whole numbers with a unit, longest unit first, each at most once. A
/// number alone is in seconds.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    read(text.trim()).ok_or_else(|| BadDuration(text.chars().take(40).collect()))
}

fn read(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut millis = 0_u64;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "" if digits == text.len() => "s",
            unit => unit,
        };
        // The iterator stands behind the last unit used, so that `1s1m` and `1s1s` find nothing.
        let (_, each) = units.find(|(name, _)| *name == unit)?;
        millis = millis.checked_add(number.checked_mul(*each)?)?;
        rest = &rest[letters..];
        if rest.is_empty() {
            return Some(Duration::from_millis(millis)).filter(|length| *length <= LONGEST);
        }
    }
}

/// Writes a length of time as it would be written by hand; what is below a millisecond is dropped.
#[must_use]
pub fn show_duration(length: Duration) -> String {
    let mut rest = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    // Weeks are understood and not written: `30d` stays `30d`.
    for (unit, each) in &UNITS[1..] {
        let (number, left) = (rest / each, rest % each);
        if number > 0 {
            text.push_str(&format!("{number}{unit}"));
        }
        rest = left;
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        let millis = |text: &str| parse_duration(text).map(|length| length.as_millis()).ok();
        for (text, expected) in [
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1w", 604_800_000),
            ("250ms", 250),
            ("1m5ms", 60_005),
            ("90", 90_000),
            (" 5s ", 5_000),
            ("0s", 0),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
        for bad in ["", "s", "5x", "1s1m", "1s1s", "1h30", "-1s", "1.5s", "1 h", "٣s", "101000d"] {
            assert_eq!(millis(bad), None, "{bad}");
        }
        assert_eq!(millis(&format!("{}w", u64::MAX)), None);
        assert_eq!(
            parse_duration("soon").unwrap_err().to_string(),
            "`soon` is not a length of time; lengths of time look like `90s`, `10m` or `1h30m`"
        );
    }

    #[test]
    fn a_length_of_time_is_written_with_its_largest_units() {
        let shown = |millis| show_duration(Duration::from_millis(millis));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(90_000), "1m30s");
        assert_eq!(shown(30 * 24 * 60 * 60 * 1000), "30d");
        assert_eq!(shown(1), "1ms");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0..3_000_000_000_000_u64) {
            let length = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&show_duration(length)), Ok(length));
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,12}") {
            let _ = parse_duration(&text);
        }
    }
}
