//! What was measured, and what it should have been.

use std::fmt;

/// What a contender took: a number, or the reason why there is none.
#[derive(Clone)]
pub(super) struct Figure(pub(super) Result<Sample, String>);

#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) value: f64,
    pub(super) unit: Unit,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unit {
    Milliseconds,
    Seconds,
    Mebibytes,
    /// Runs, or copies.
    Count,
    /// One figure as a multiple of another.
    Times,
}

impl Figure {
    pub(super) fn of(value: f64, unit: Unit) -> Self {
        Self(Ok(Sample { value, unit }))
    }

    pub(super) fn missing(reason: impl Into<String>) -> Self {
        Self(Err(reason.into()))
    }

    /// The median of many, or why there are not many.
    pub(super) fn median(samples: Result<Vec<f64>, String>, unit: Unit) -> Self {
        Self(samples.map(|samples| Sample { value: quantile(&samples, 0.5), unit }))
    }

    pub(super) fn p99(samples: Result<Vec<f64>, String>, unit: Unit) -> Self {
        Self(samples.map(|samples| Sample { value: quantile(&samples, 0.99), unit }))
    }

    /// How many times what it took before it takes after.
    pub(super) fn growth(
        before: &Result<Vec<f64>, String>,
        after: &Result<Vec<f64>, String>,
    ) -> Self {
        match (before, after) {
            (Ok(before), Ok(after)) => {
                Self::of(quantile(after, 0.5) / quantile(before, 0.5), Unit::Times)
            }
            (Err(reason), _) | (_, Err(reason)) => Self::missing(reason.clone()),
        }
    }

    fn value(&self) -> Option<f64> {
        self.0.as_ref().ok().map(|sample| sample.value)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(Sample { value, unit }) = &self.0 else { return f.write_str("–") };
        // Three digits say what there is to say.
        let decimals = match value.abs() {
            ..10.0 if *unit == Unit::Count && value.fract() == 0.0 => 0,
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        write!(f, "{value:.decimals$}")?;
        f.write_str(match unit {
            Unit::Milliseconds => " ms",
            Unit::Seconds => " s",
            Unit::Mebibytes => " MiB",
            Unit::Count => "",
            Unit::Times => "×",
        })
    }
}

/// The value below which this share of the samples lies; the nearest one, not a mean of two.
pub(super) fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a small count is a small count"
    )]
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(at - 1).copied().unwrap_or(f64::NAN)
}

/// What our figure should be.
#[derive(Clone, Copy)]
pub(super) enum Goal {
    /// One in so many of the other tool's.
    OneIn(f64),
    /// So many times the plain shell's.
    OfShell(f64),
    /// No more than this.
    AtMost(f64, Unit),
}

/// One line of the table.
pub(super) struct Line {
    pub(super) what: String,
    pub(super) shell: Option<Figure>,
    pub(super) other: Figure,
    pub(super) ours: Figure,
    pub(super) goal: Goal,
}

impl Line {
    /// The other tool's figure as a multiple of ours, where the goal is a comparison.
    pub(super) fn ratio(&self) -> Option<f64> {
        if matches!(self.goal, Goal::AtMost(..)) {
            return None;
        }
        Some(self.other.value()? / self.ours.value()?).filter(|ratio| ratio.is_finite())
    }

    /// The most that reaches the goal, where that is known.
    fn bound(&self) -> Option<f64> {
        match self.goal {
            Goal::OneIn(part) => Some(self.other.value()? / part),
            Goal::OfShell(times) => Some(self.shell.as_ref()?.value()? * times),
            Goal::AtMost(value, _) => Some(value),
        }
    }

    pub(super) fn reached(&self) -> Option<bool> {
        Some(self.ours.value()? <= self.bound()?)
    }

    /// The goal in words.
    pub(super) fn to_reach(&self) -> String {
        match self.goal {
            Goal::OneIn(part) => format!("1/{part}"),
            Goal::OfShell(times) => format!("{times}× the shell"),
            Goal::AtMost(value, unit) => format!("at most {}", Figure::of(value, unit)),
        }
    }

    /// Why a figure is missing, with whose it is.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = [
            ("the other tool", Some(&self.other)),
            ("ours", Some(&self.ours)),
            ("the shell", self.shell.as_ref()),
        ];
        named.into_iter().filter_map(|(whose, figure)| {
            let Err(reason) = &figure?.0 else { return None };
            Some((whose, reason.as_str()))
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.what)?;
        if let Some(shell) = &self.shell {
            write!(f, "shell {shell}, ")?;
        }
        write!(f, "other {}, ours {}", self.other, self.ours)?;
        self.reasons().try_for_each(|(whose, reason)| write!(f, "; {whose}: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Goal, Line, Unit, quantile};

    fn line(shell: Option<f64>, other: f64, ours: f64, goal: Goal) -> Line {
        let figure = |value| Figure::of(value, Unit::Milliseconds);
        Line {
            what: "start".to_owned(),
            shell: shell.map(figure),
            other: figure(other),
            ours: figure(ours),
            goal,
        }
    }

    #[test]
    fn the_median_is_one_of_the_samples() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5), 2.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn one_in_a_hundred_is_slower_than_p99() {
        let samples: Vec<_> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&samples, 0.99), 99.0);
    }

    #[test]
    fn a_goal_relative_to_the_other_tool_is_reached_at_its_edge() {
        assert_eq!(line(None, 600.0, 20.0, Goal::OneIn(30.0)).reached(), Some(true));
        assert_eq!(line(None, 600.0, 20.1, Goal::OneIn(30.0)).reached(), Some(false));
    }

    #[test]
    fn a_goal_relative_to_the_shell_does_not_look_at_the_other_tool() {
        assert_eq!(line(Some(10.0), 1.0, 15.0, Goal::OfShell(1.5)).reached(), Some(true));
        assert_eq!(line(None, 1.0, 15.0, Goal::OfShell(1.5)).reached(), None);
    }

    #[test]
    fn what_was_not_measured_has_not_failed() {
        let mut line = line(None, 600.0, 20.0, Goal::OneIn(30.0));
        line.ours = Figure::missing("no such command");
        assert_eq!(line.reached(), None);
        assert_eq!(line.reasons().collect::<Vec<_>>(), [("ours", "no such command")]);
    }

    #[test]
    fn figures_have_three_digits() {
        let shown = |value| Figure::of(value, Unit::Milliseconds).to_string();
        assert_eq!([shown(4.256), shown(42.56), shown(425.6)], ["4.26 ms", "42.6 ms", "426 ms"]);
        assert_eq!(Figure::of(0.0, Unit::Count).to_string(), "0");
    }
}
