//! What the tour calls things, and what they are called this time. Ids are learned where they are
//! shown first, and have to stay the same from there on; times only have to be times.

use std::collections::BTreeMap;

use regex_lite::Regex;

/// Runs, their tails, questions, threads, and the folders of work trees.
const ID: &str = r"\b([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{3}Z-[0-9a-f]{8}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|q[0-9a-f]{10}|[0-9a-f]{12}|[0-9a-f]{8})\b";

/// Moments, and how long something took or is ago.
const TIME: &str = r"\b([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z|now|[0-9]+(\.[0-9]+)? ?(ms|s|m|h)( [0-9]+ ?(s|m))*( ago)?)\b";

/// See the module.
pub(super) struct Names {
    id: Regex,
    time: Regex,
    /// By what the tour calls it.
    known: BTreeMap<String, String>,
}

impl Names {
    /// Knows these names.
    pub(super) fn beginning_with<const SOME: usize>(known: [(&str, String); SOME]) -> Self {
        let pattern = |text| Regex::new(text).expect("a pattern");
        let known = known.map(|(then, now)| (then.to_owned(), now)).into();
        Self { id: pattern(ID), time: pattern(TIME), known }
    }

    /// The text with what things are called this time.
    pub(super) fn now(&self, text: &str) -> String {
        let known = self.known.iter().map(|(then, now)| (then.as_str(), now.as_str()));
        replace(text, known.collect())
    }

    /// The text with what the tour calls things.
    pub(super) fn then(&self, text: &str) -> String {
        let known = self.known.iter().map(|(then, now)| (now.as_str(), then.as_str()));
        replace(text, known.collect())
    }

    /// Holds what was printed against what is shown, and learns from it. A line `...` stands for
    /// any lines, up to the first that is like the line after it, and the end ` ...` of a line for
    /// any end.
    pub(super) fn hold(&mut self, shown: &[String], printed: &[&str]) -> Result<(), String> {
        let mut printed = printed.iter();
        let mut skips = false;
        for line in shown {
            if line == "..." {
                skips = true;
                continue;
            }
            let wanted = self.lasting(&self.now(line));
            let like = |other: &&&str| match wanted.strip_suffix(" ...") {
                Some(begin) => self.lasting(other).starts_with(begin),
                None => self.lasting(other) == wanted,
            };
            let found = match std::mem::take(&mut skips) {
                true => printed.find(like),
                false => printed.next().filter(like),
            };
            let found = found.ok_or_else(|| format!("it did not print `{line}`"))?;
            self.learn(line, found)?;
        }
        match printed.next() {
            Some(more) if !skips => Err(format!("it also printed `{more}`")),
            _ => Ok(()),
        }
    }

    /// A line without what differs each time.
    fn lasting(&self, line: &str) -> String {
        let line = self.id.replace_all(line, "ID");
        let line = self.time.replace_all(&line, "TIME");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn learn(&mut self, shown: &str, printed: &str) -> Result<(), String> {
        let ids = |text: &str| -> Vec<String> {
            self.id.find_iter(text).map(|found| found.as_str().to_owned()).collect()
        };
        for (then, now) in ids(shown).into_iter().zip(ids(printed)) {
            let tail = |id: &str| id.rsplit('-').next().unwrap_or(id).to_owned();
            for (then, now) in [(tail(&then), tail(&now)), (then, now)] {
                let known = self.known.entry(then.clone()).or_insert_with(|| now.clone());
                if *known != now {
                    return Err(format!("`{then}` was {known} before, and is {now} now"));
                }
            }
        }
        Ok(())
    }
}

/// Longer names first, so that none is replaced within another.
fn replace(text: &str, mut names: Vec<(&str, &str)>) -> String {
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    names.iter().fold(text.to_owned(), |text, (name, other)| text.replace(name, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "2026-11-23T08-24-00-935Z-4434ba01";

    /// Whether that may be printed where this is shown.
    fn check(shown: &str, printed: &str, expected: bool) {
        let mut names = Names::beginning_with([("/home/you", "/tmp/x".to_owned())]);
        let shown: Vec<String> = shown.lines().map(str::to_owned).collect();
        let printed: Vec<&str> = printed.lines().collect();
        let held = names.hold(&shown, &printed);
        assert_eq!(held.is_ok(), expected, "{held:?}");
    }

    #[test]
    fn times_and_ids_pass_and_words_stay() {
        check("run 9dc81c45  in 0.1s", "run 4434ba01 in 2m 3s", true);
        check("run 9dc81c45 failed", "run 4434ba01 succeeded", false);
        check("/home/you/a", "/tmp/x/a", true);
        check("/home/you/a", "/home/you/a", false);
        check("a\n...\nd", "a\nb\nc\nd", true);
        check("a\n...\nd", "a\nb\nc", false);
        check("a", "a\nb", false);
        check("a\n...", "a\nb", true);
        check("a b ...", "a b c", true);
        check("a b ...", "a c", false);
    }

    #[test]
    fn what_was_called_something_once_is_called_that_again() {
        check("q0123456789 open\nq0123456789 done", "q9999999999 open\nq9999999999 done", true);
        check("q0123456789 open\nq0123456789 done", "q9999999999 open\nq8888888888 done", false);
        check(
            &format!("{RUN}\n4434ba01"),
            &format!("{}\n11111111", RUN.replace("4434ba01", "11111111")),
            true,
        );
        check(&format!("{RUN}\n4434ba01"), &format!("{RUN}\n11111111"), false);
    }
}
