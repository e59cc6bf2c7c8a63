//! How a text is written that others are to understand: an address, a day, a moment.

use serde::{Deserialize, Serialize};

/// How a text is written; the names are those of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// An e-mail address: `somebody@example.com`.
    Email,
    /// A URI with its scheme: `https://example.com/page`.
    Uri,
    /// A day: `2026-11-30`.
    Date,
    /// A moment, with its offset from UTC: `2026-11-30T10:15:00Z`.
    DateTime,
}

impl Format {
    /// The one with that name, if it is one that is checked here.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Email, Self::Uri, Self::Date, Self::DateTime]
            .into_iter()
            .find(|format| format.name() == name)
    }

    /// What JSON Schema calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Date => "date",
            Self::DateTime => "date-time",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Email => "an e-mail address",
            Self::Uri => "an address like https://example.com/page",
            Self::Date => "a date like 2026-11-30",
            Self::DateTime => "a date and time like 2026-11-30T10:15:00Z",
        }
    }

    pub(super) fn holds(self, text: &str) -> bool {
        match self {
            Self::Email => is_email(text),
            Self::Uri => is_uri(text),
            Self::Date => is_date(text),
            Self::DateTime => is_moment(text),
        }
    }
}

/// One that browsers and mail servers take alike: neither quoted, nor at a number instead of a name.
fn is_email(text: &str) -> bool {
    let Some((who, host)) = text.rsplit_once('@') else { return false };
    let is_atom = |atom: &str| {
        let may_be = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
        !atom.is_empty() && atom.chars().all(may_be)
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    who.len() <= 64
        && host.len() <= 255
        && who.split('.').all(is_atom)
        && host.split('.').all(is_label)
}

/// As RFC 3986 has them, as far as characters go; one of the web has a host.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let may_be = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let mut escapes = rest.split('%');
    let whole =
        |after: &str| after.get(..2).is_some_and(|two| two.chars().all(|c| c.is_ascii_hexdigit()));
    let is_whole = escapes.next().is_some() && escapes.all(whole);
    let of_the_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    let host = || rest.strip_prefix("//")?.split(['/', '?', '#']).next();
    is_scheme
        && !rest.is_empty()
        && rest.chars().all(may_be)
        && is_whole
        && rest.matches('#').count() <= 1
        && (!of_the_web || host().is_some_and(|host| !host.is_empty()))
}

/// As RFC 3339 has them.
fn is_date(text: &str) -> bool {
    is_like(text, "0000-00-00") && text.parse::<jiff::civil::Date>().is_ok()
}

/// As RFC 3339 has them. What is read is less strict about how it is written.
fn is_moment(text: &str) -> bool {
    let Some((clock, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else {
        return false;
    };
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => match fraction.trim_start_matches(|c: char| c.is_ascii_digit()) {
            offset if offset.len() < fraction.len() => offset,
            _ => return false,
        },
    };
    let is_offset =
        offset.eq_ignore_ascii_case("z") || is_like(offset, "+00:00") || is_like(offset, "-00:00");
    is_like(&clock.to_ascii_uppercase(), "0000-00-00T00:00:00")
        && is_offset
        && text.parse::<jiff::Timestamp>().is_ok()
}

/// Whether it has digits where `form` has noughts, and is the same elsewhere.
fn is_like(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            _ => byte == form,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: Format, fit: &[&str], misfit: &[&str]) {
        assert_eq!(Format::named(format.name()), Some(format));
        assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        for text in fit {
            assert!(format.holds(text), "`{text}` is {}", format.words());
        }
        for text in misfit {
            assert!(!format.holds(text), "`{text}` is not {}", format.words());
        }
    }

    #[test]
    fn an_email_address_has_somebody_and_a_host() {
        let fit = ["me@example.com", "a.b+c_d@x-y.example", "root@localhost", "o'neil@a.b.c"];
        let misfit = [
            "",
            "me",
            "@example.com",
            "me@",
            "me@@example.com",
            "me you@example.com",
            "me.@example.com",
            "a..b@example.com",
            "me@-example.com",
            "me@example..com",
            "me@example.com.",
            "me@exämple.com",
            "Me <me@example.com>",
            "me@example.com, you@example.com",
        ];
        check(Format::Email, &fit, &misfit);
        let long = |who: usize, label: usize| format!("{}@{}", "a".repeat(who), "b".repeat(label));
        check(Format::Email, &[&long(64, 63)], &[&long(65, 63), &long(64, 64)]);
    }

    #[test]
    fn a_uri_has_a_scheme_and_one_of_the_web_a_host() {
        let fit = [
            "https://example.com",
            "HTTP://127.0.0.1:8080/a?b=c#d",
            "https://[::1]/",
            "https://example.com/a%20b",
            "mailto:me@example.com",
            "urn:isbn:0451450523",
            "file:///etc/hosts",
        ];
        let misfit = [
            "",
            "example.com",
            "/page",
            "://example.com",
            "1http://example.com",
            "mailto:",
            "https://",
            "https:///page",
            "https:example.com",
            "https://example.com/a b",
            "https://example.com/ä",
            "https://example.com/%2",
            "https://example.com/%zz",
            "https://example.com/#a#b",
            "https://example.com/<x>",
        ];
        check(Format::Uri, &fit, &misfit);
    }

    #[test]
    fn a_date_is_a_day_that_there_is() {
        let misfit = [
            "",
            "2026-02-29",
            "2026-13-01",
            "2026-11-31",
            "2026-1-1",
            "20261130",
            "30.11.2026",
            "2026-11-30T10:15:00Z",
            "+002026-11-30",
            "tomorrow",
        ];
        check(Format::Date, &["2026-11-30", "2028-02-29", "0001-01-01"], &misfit);
    }

    #[test]
    fn a_date_and_time_says_how_far_it_is_from_utc() {
        let fit = [
            "2026-11-30T10:15:00Z",
            "2026-11-30T10:15:00.000Z",
            "2026-11-30t10:15:00.5z",
            "2026-11-30T10:15:00+01:00",
            "2026-11-30T23:59:60-08:30",
        ];
        let misfit = [
            "",
            "2026-11-30",
            "2026-11-30T10:15:00",
            "2026-11-30T10:15Z",
            "2026-11-30 10:15:00Z",
            "2026-11-30T10:15:00.Z",
            "2026-11-30T10:15:00,5Z",
            "2026-11-30T10:15:00+0100",
            "2026-11-30T10:15:00 Z",
            "2026-11-30T25:15:00Z",
            "2026-02-30T10:15:00Z",
            "2026-11-30T10:15:00Z[UTC]",
            "äääääääääääääääääää",
        ];
        check(Format::DateTime, &fit, &misfit);
    }
}
