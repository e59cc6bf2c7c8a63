//! Times, lengths and sizes as people write them.

use std::time::Duration;

use model::Timestamp;

/// `0.4s`, `12.3s`, `3m05s`, `2h07m`, `3d04h`.
pub(crate) fn length(time: Duration) -> String {
    let secs = time.as_secs();
    match secs {
        0..60 => format!("{}.{}s", secs, time.subsec_millis() / 100),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86400 => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
        _ => format!("{}d{:02}h", secs / 86400, secs / 3600 % 24),
    }
}

/// How long ago: `now`, `5s ago`, `3m ago`, `2h ago`, `4d ago`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let secs = now.since(then).as_secs();
    match secs {
        0..2 => "now".to_owned(),
        2..60 => format!("{secs}s ago"),
        60..3600 => format!("{}m ago", secs / 60),
        3600..86400 => format!("{}h ago", secs / 3600),
        _ => format!("{}d ago", secs / 86400),
    }
}

/// `512 B`, `1.5 KiB`, `20 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut whole = bytes;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if whole < 1024 {
            break;
        }
        if whole < 10 * 1024 {
            let tenths = whole * 10 / 1024;
            return format!("{}.{} {larger}", tenths / 10, tenths % 10);
        }
        whole /= 1024;
        unit = larger;
    }
    format!("{whole} {unit}")
}

/// `1 stage`, `2 stages`.
pub(crate) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_short_and_says_enough() {
        let shown = |millis| length(Duration::from_millis(millis));
        assert_eq!(shown(0), "0.0s");
        assert_eq!(shown(12_345), "12.3s");
        assert_eq!(shown(185_000), "3m05s");
        assert_eq!(shown(7_620_000), "2h07m");
        assert_eq!(shown(273_600_000), "3d04h");
    }

    #[test]
    fn a_size_is_short_and_says_enough() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(20 * 1024 * 1024), "20 MiB");
    }
}
