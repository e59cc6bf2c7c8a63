//! The names of tasks, runs, stages and questions. Most become file names, so they are checked once,
//! here.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::Timestamp;

/// The piece of work that runs belong to: `1203`, `fix-login`, `feature_x.2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(String);

/// One run: a UTC time and a random tail, `2026-11-22T10-15-00-123Z-4f9a2c1b`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

/// A stage within its run, `build`; the stages of a sub-pipeline are `checks/build`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(String);

/// A question, `q4f9a2c1b77`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(String);

/// Why a text is no question id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a question id; question ids look like `q4f9a2c1b77`", shown(.0))]
pub struct BadQuestionId(String);

/// Why a text is no task id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not a task id: {why}; task ids have 1 to 128 letters, digits, `.`, `_` and `-`, and begin with a letter or digit",
    shown(.text)
)]
pub struct BadTaskId {
    text: String,
    why: &'static str,
}

/// Why a text is no run id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a run id; run ids look like `2026-11-22T10-15-00-123Z-4f9a2c1b`", shown(.0))]
pub struct BadRunId(String);

/// Why a text is no stage id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not a stage id: {why}; stage ids have 1 to 128 letters, digits, `.`, `_`, `:` and `-`",
    shown(.text)
)]
pub struct BadStageId {
    text: String,
    why: &'static str,
}

/// A wrong value as an error shows it: quoted, one line, and not longer than a person reads.
fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{}`", short.escape_debug())
}

/// The longest name we take: with a run's number and ending it stays below the 255 bytes that
/// file systems allow.
const LONGEST: usize = 128;

fn name_fault(text: &str, also: &[char]) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || also.contains(&c);
    match text.chars().next() {
        None => Some("it is empty"),
        Some(_) if text.trim().is_empty() => Some("it is blank"),
        Some(_) if text.len() > LONGEST => Some("it is too long"),
        Some(_) if text.chars().any(char::is_control) => Some("it has a control character"),
        Some(_) if text.contains("..") => Some("it has `..`"),
        Some(first) if !first.is_ascii_alphanumeric() => Some("it begins with something else"),
        Some(_) if !text.chars().all(allowed) => Some("it has another character"),
        Some(_) => None,
    }
}

impl FromStr for TaskId {
    type Err = BadTaskId;

    fn from_str(text: &str) -> Result<Self, BadTaskId> {
        match name_fault(text, &['.', '_', '-']) {
            Some(why) => Err(BadTaskId { text: text.to_owned(), why }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TaskId {
    /// The nearest task id to a text that need not be one, such as a branch name: what is not
    /// allowed becomes `-`. `None` when nothing is left.
    #[must_use]
    pub fn from_words(words: &str) -> Option<Self> {
        let mut id = String::new();
        for c in words.chars() {
            let c = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
            let repeats = matches!(c, '-' | '.') && id.ends_with(c);
            if !repeats && (!id.is_empty() || c.is_ascii_alphanumeric()) && id.len() < LONGEST {
                id.push(c);
            }
        }
        id.trim_end_matches(['-', '.', '_']).parse().ok()
    }
}

impl FromStr for StageId {
    type Err = BadStageId;

    fn from_str(text: &str) -> Result<Self, BadStageId> {
        let fault = text.split('/').find_map(|part| name_fault(part, &['.', '_', '-', ':']));
        match fault {
            Some(why) => Err(BadStageId { text: text.to_owned(), why }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl StageId {
    /// The id of a stage inside the sub-pipeline that this stage runs.
    #[must_use]
    pub fn join(&self, inner: &StageId) -> Self {
        Self(format!("{self}/{inner}"))
    }

    /// The id of the stage that runs the sub-pipeline this stage is of.
    #[must_use]
    pub fn outer(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(outer, _)| outer)
    }

    /// The id as a part of a file name.
    #[must_use]
    pub fn as_file_name(&self) -> String {
        // `:` and `/` cannot meet: `a/b` and `a:b` in one pipeline get different numbers before them.
        let name: String = self.0.chars().map(|c| if c == '/' { '.' } else { c }).collect();
        name.chars().take(LONGEST).collect()
    }
}

/// Characters of the time part, `2026-11-22T10-15-00-123Z`.
const TIME_PART: usize = 24;
/// Characters of the random tail.
const TAIL_PART: usize = 8;

impl RunId {
    /// The id of a run made at `at`; `random` becomes its tail.
    #[must_use]
    pub fn new(at: Timestamp, random: u32) -> Self {
        let time = at.to_string().replace([':', '.'], "-");
        Self(format!("{time}-{random:08x}"))
    }

    /// The last eight characters, by which a person names a run.
    #[must_use]
    pub fn tail(&self) -> &str {
        &self.0[TIME_PART + 1..]
    }
}

impl FromStr for RunId {
    type Err = BadRunId;

    fn from_str(text: &str) -> Result<Self, BadRunId> {
        let fits = text.len() == TIME_PART + 1 + TAIL_PART
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 | 13 | 16 | 19 | TIME_PART => byte == b'-',
                10 => byte == b'T',
                23 => byte == b'Z',
                at if at > TIME_PART => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                _ => byte.is_ascii_digit(),
            });
        if fits { Ok(Self(text.to_owned())) } else { Err(BadRunId(text.to_owned())) }
    }
}

/// Hexadecimal digits of a question's name.
const QUESTION_DIGITS: usize = 10;

impl QuestionId {
    /// A name made from a number, of which the lowest 40 bits count.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Self(format!("q{:010x}", random & 0xff_ffff_ffff))
    }
}

impl FromStr for QuestionId {
    type Err = BadQuestionId;

    fn from_str(text: &str) -> Result<Self, BadQuestionId> {
        let digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let fits = text
            .strip_prefix('q')
            .is_some_and(|digits| digits.len() == QUESTION_DIGITS && digits.bytes().all(digit));
        if fits { Ok(Self(text.to_owned())) } else { Err(BadQuestionId(text.to_owned())) }
    }
}

/// What every name has: its text, and its form in JSON.
macro_rules! name {
    ($name:ident, $about:literal, $pattern:literal) => {
        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(input)?;
                text.parse().map_err(D::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": $about,
                    "pattern": $pattern,
                })
            }
        }
    };
}

name!(TaskId, "the piece of work a run belongs to", r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$");
name!(RunId, "one run", r"^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z-[0-9a-f]{8}$");
name!(QuestionId, "one question", r"^q[0-9a-f]{10}$");
name!(
    StageId,
    "a stage within its run",
    r"^[A-Za-z0-9][A-Za-z0-9._:-]*(/[A-Za-z0-9][A-Za-z0-9._:-]*)*$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_is_a_plain_file_name() {
        for good in ["demo", "1203", "fix-login", "a.b_c", "0001-thing"] {
            assert_eq!(good.parse::<TaskId>().unwrap().as_str(), good);
        }
        for bad in ["", " ", "../x", "a/b", "-x", ".x", "a..b", "a b", "é", "a\nb", "a\u{7}"] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(300).parse::<TaskId>().is_err());
    }

    #[test]
    fn a_wrong_id_is_shown_short_and_on_one_line() {
        let error = format!("a\n{}", "x".repeat(300)).parse::<TaskId>().unwrap_err().to_string();
        assert!(error.starts_with(r"`a\nxxx"), "{error}");
        assert!(error.len() < 300 && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_branch_name_gives_a_task_id() {
        let from = |words| TaskId::from_words(words).map(|id| id.to_string());
        assert_eq!(from("feature/Log in..now"), Some("feature-Log-in.now".to_owned()));
        assert_eq!(from("--x--"), Some("x".to_owned()));
        assert_eq!(from("日本"), None);
    }

    #[test]
    fn a_run_id_is_its_time_and_a_tail() {
        let id = RunId::new("2026-11-22T10:15:00.123Z".parse().unwrap(), 0x4f9a_2c1b);
        assert_eq!(id.to_string(), "2026-11-22T10-15-00-123Z-4f9a2c1b");
        assert_eq!(id.tail(), "4f9a2c1b");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("2026-11-22T10-15-00-123Z-4F9A2C1B".parse::<RunId>().is_err());
        assert!("é".repeat(16).parse::<RunId>().is_err());
    }

    #[test]
    fn a_question_id_is_short_enough_to_type() {
        let id = QuestionId::new(0xffff_ff4f_9a2c_1b77);
        assert_eq!(id.as_str(), "q4f9a2c1b77");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "q", "4f9a2c1b77", "q4f9a2c1b7", "q4F9A2C1B77", "q4f9a2c1b77 "] {
            assert!(bad.parse::<QuestionId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_stage_of_a_sub_pipeline_carries_its_path() {
        let id = "checks".parse::<StageId>().unwrap().join(&"test:unit".parse().unwrap());
        assert_eq!(id.as_str(), "checks/test:unit");
        assert_eq!(id.as_file_name(), "checks.test:unit");
        assert_eq!(id.outer(), Some("checks"));
        assert_eq!("checks".parse::<StageId>().unwrap().outer(), None);
        assert!("checks//x".parse::<StageId>().is_err());
    }
}
