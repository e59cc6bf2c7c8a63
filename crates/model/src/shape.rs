//! What an answer has to be, where more is asked of it than to be one of the options or any text.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Number;

mod format;

pub use format::Format;

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Shape {
    /// One of the options, or any other text.
    Other,
    /// Text of so many characters.
    Text {
        /// At least so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        least: Option<u64>,
        /// At most so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        most: Option<u64>,
        /// And that is written so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<Format>,
    },
    /// A number, as JSON has them.
    Number {
        /// One without a fraction.
        whole: bool,
        /// At least that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        least: Option<Number>,
        /// At most that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        most: Option<Number>,
    },
    /// Several of the options, divided by commas.
    Several {
        /// At least so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        least: Option<u64>,
        /// At most so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        most: Option<u64>,
    },
}

impl Shape {
    /// What an answer comes to; nothing where it does not fit.
    #[must_use]
    pub fn read(&self, answer: &str, options: &[String]) -> Option<Vec<String>> {
        let parts = match self {
            Self::Other | Self::Text { format: None, .. } => vec![answer],
            Self::Text { format: Some(_), .. } | Self::Number { .. } => vec![answer.trim()],
            Self::Several { .. } => answer.split([',', '\n']).map(str::trim).collect(),
        };
        let parts: Vec<String> = parts.into_iter().map(ToOwned::to_owned).collect();
        self.holds(&parts, options).then_some(parts)
    }

    fn holds(&self, parts: &[String], options: &[String]) -> bool {
        let so_many = |count: usize, least: &Option<u64>, most: &Option<u64>| {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            least.is_none_or(|least| least <= count) && most.is_none_or(|most| count <= most)
        };
        match self {
            Self::Other => true,
            Self::Text { least, most, format } => parts.iter().all(|text| {
                so_many(text.chars().count(), least, most)
                    && format.is_none_or(|format| format.holds(text))
            }),
            Self::Number { whole, least, most } => parts.iter().all(|text| {
                let Ok(number) = serde_json::from_str::<Number>(text) else { return false };
                let is_whole = number.is_i64() || number.is_u64();
                let value = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
                (is_whole || !whole)
                    && least.as_ref().is_none_or(|least| value(least) <= value(&number))
                    && most.as_ref().is_none_or(|most| value(&number) <= value(most))
            }),
            Self::Several { least, most } => {
                let named_once = |(at, one): (usize, &String)| {
                    options.contains(one) && !parts[..at].contains(one)
                };
                so_many(parts.len(), least, most) && parts.iter().enumerate().all(named_once)
            }
        }
    }
}

/// In words, for whoever answers.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = |least: Option<String>, most: Option<String>| match (least, most) {
            (None, None) => String::new(),
            (Some(least), None) => format!("at least {least}"),
            (None, Some(most)) => format!("at most {most}"),
            (Some(least), Some(most)) => format!("{least} to {most}"),
        };
        let text = |it: &Option<u64>| it.as_ref().map(ToString::to_string);
        let with = |what: &str, before: &str, bounds: String, after: &str| match bounds.is_empty() {
            true => what.to_owned(),
            false => format!("{what}{before}{bounds}{after}"),
        };
        f.write_str(&match self {
            Self::Other => "one of the options, or anything else".to_owned(),
            Self::Text { least, most, format } => {
                let (what, before) = match format {
                    None => ("text", " of "),
                    Some(format) => (format.words(), ", of "),
                };
                with(what, before, within(text(least), text(most)), " characters")
            }
            Self::Number { whole, least, most } => {
                let what = if *whole { "a whole number" } else { "a number" };
                let text = |it: &Option<Number>| it.as_ref().map(ToString::to_string);
                with(what, ", ", within(text(least), text(most)), "")
            }
            Self::Several { least, most } => {
                let what = "some of the options, divided by commas";
                with(what, ", ", within(text(least), text(most)), " of them")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shape: &Shape, words: &str, fit: &[&str], misfit: &[&str]) {
        let options = ["red", "green", "blue"].map(ToOwned::to_owned);
        assert_eq!(shape.to_string(), words);
        for answer in fit {
            assert!(shape.read(answer, &options).is_some(), "`{answer}` is {words}");
        }
        for answer in misfit {
            assert_eq!(shape.read(answer, &options), None, "`{answer}` is not {words}");
        }
    }

    #[test]
    fn an_answer_fits_or_it_does_not() {
        let whole = Shape::Number { whole: true, least: Some(1.into()), most: Some(10.into()) };
        let misfits = ["0", "11", "1.5", "many", "", "1e400", "0x1"];
        check(&whole, "a whole number, 1 to 10", &["1", " 10 "], &misfits);
        let any = Shape::Number { whole: false, least: Some(Number::from(-2)), most: None };
        check(&any, "a number, at least -2", &["-2", "1.5", "1e3"], &["-2.1", "NaN", "two"]);
        let text = Shape::Text { least: Some(2), most: Some(3), format: None };
        check(&text, "text of 2 to 3 characters", &["ab", "äöü"], &["a", "abcd"]);
        let text = Shape::Text { least: None, most: None, format: None };
        check(&text, "text", &["anything"], &[]);
        let email = Shape::Text { least: None, most: Some(9), format: Some(Format::Email) };
        let words = "an e-mail address, of at most 9 characters";
        check(&email, words, &["me@my.org", " a@b\n"], &["me", "you@my.org"]);
        assert_eq!(
            email.read(" a@b\n", &[]),
            Some(vec!["a@b".to_owned()]),
            "without what is around"
        );
        check(&Shape::Other, "one of the options, or anything else", &["red", "pink"], &[]);
        let some = Shape::Several { least: Some(1), most: Some(2) };
        let words = "some of the options, divided by commas, 1 to 2 of them";
        check(&some, words, &["red", "red, blue"], &["red,red", "red,green,blue", "pink", ""]);
        let options = ["a", "b"].map(ToOwned::to_owned);
        assert_eq!(some.read("a ,b", &options), Some(options.to_vec()), "each by itself");
    }

    #[test]
    fn a_shape_is_read_as_it_was_written_before_there_were_formats() {
        let shape = Shape::Text { least: None, most: Some(9), format: None };
        let written = r#"{"type":"text","most":9}"#;
        assert_eq!(serde_json::to_string(&shape).unwrap(), written);
        assert_eq!(serde_json::from_str::<Shape>(written).unwrap(), shape);
        let shape = Shape::Text { least: None, most: None, format: Some(Format::DateTime) };
        let written = r#"{"type":"text","format":"date-time"}"#;
        assert_eq!(serde_json::to_string(&shape).unwrap(), written);
        assert_eq!(serde_json::from_str::<Shape>(written).unwrap(), shape);
    }
}
