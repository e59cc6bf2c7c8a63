//! What the page shows: all of it at once, as soon as anything of it is different.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

use engine::{Ear, Engine, Nudge, wait_with};
use model::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use web::Leave;

use super::{Desk, fault, value};
use crate::{
    failure::Failure,
    look::{self, overview::Extent, own_tree::OfRun},
};

/// The longest that a look waits.
const LONGEST: Duration = Duration::from_secs(20);
/// How much of a list is shown. Nothing that is asked is kept from whoever is to answer it, within
/// what a browser can show.
const EXTENT: Extent = Extent { all_repos: false, questions: 500, runs: 50 };
/// How much of a patch is shown.
const PATCH: usize = 512 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    /// What was shown last: it is waited for something else.
    #[serde(default)]
    seen: Option<String>,
    #[serde(default)]
    wait_ms: u64,
    /// The run that is open.
    #[serde(default)]
    repo: Option<String>,
    #[serde(default)]
    run: Option<RunId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Diff {
    repo: String,
    run: RunId,
}

/// All that is shown.
#[derive(Debug, Serialize)]
struct View {
    title: String,
    all_repos: bool,
    #[serde(flatten)]
    overview: look::overview::Document,
    standing: Vec<look::standing::Entry>,
    run: Option<look::run::Document>,
    /// Why the run that is open is not shown.
    run_error: Option<RunError>,
}

#[derive(Debug, Serialize)]
struct RunError {
    message: String,
    next_step: Option<String>,
}

impl Desk {
    pub(super) fn look(&self, ask: &Look, leave: &Leave) -> Result<Value, Failure> {
        let deadline = Instant::now() + Duration::from_millis(ask.wait_ms).min(LONGEST);
        let mut wait = None;
        loop {
            let mut engines = self.engines()?;
            let view = value(self.view(&mut engines, ask)?)?;
            let seen = print_of(&view);
            if ask.seen.as_ref() != Some(&seen) {
                let mut answer = serde_json::json!({
                    "seen": seen,
                    "unchanged": false,
                    "at": engine::now(),
                });
                if let (Value::Object(answer), Value::Object(view)) = (&mut answer, view) {
                    answer.extend(view);
                }
                return Ok(answer);
            }
            if leave.is_over() || Instant::now() >= deadline {
                return Ok(serde_json::json!({ "seen": seen, "unchanged": true }));
            }
            // What happens between that look and the first wait is seen a second later.
            wait.get_or_insert_with(|| Wait::for_change(&engines, ask, leave)).once(deadline);
        }
    }

    fn view(&self, engines: &mut [Engine], ask: &Look) -> Result<View, Failure> {
        let extent = Extent { all_repos: self.all_repos, ..EXTENT };
        let overview = look::overview::of(engines, extent)?;
        let mut standing = Vec::new();
        for engine in &*engines {
            standing.extend(look::standing::of(engine)?);
        }
        let (run, run_error) = match (&ask.repo, &ask.run) {
            (Some(repo), Some(run)) => match self.snapshot(repo, run) {
                Ok(run) => (Some(run), None),
                Err(failure) => {
                    let fault = fault(&failure);
                    let (message, next_step) = (fault.message, fault.next_step);
                    (None, Some(RunError { message, next_step }))
                }
            },
            _ => (None, None),
        };
        let root = &self.here.place.root;
        let title = match self.all_repos {
            true => "all repositories".to_owned(),
            false => root.file_name().unwrap_or(root.as_os_str()).to_string_lossy().into_owned(),
        };
        Ok(View { title, all_repos: self.all_repos, overview, standing, run, run_error })
    }

    fn snapshot(&self, repo: &str, run: &RunId) -> Result<look::run::Document, Failure> {
        let snapshot = self.run(repo, run)?.snapshot(run)?;
        Ok(look::run::document(&snapshot))
    }

    pub(super) fn diff(&self, ask: &Diff) -> Result<Value, Failure> {
        let of = OfRun::of(self.run(&ask.repo, &ask.run)?, ask.run.clone())?;
        let mut document = look::diff::document(of, true)?;
        let cut = document.patch.as_mut().is_some_and(|patch| cut(patch, PATCH));
        let mut answer = value(document)?;
        if let Value::Object(answer) = &mut answer {
            answer.insert("patch_cut".to_owned(), Value::Bool(cut));
        }
        Ok(answer)
    }
}

/// Cuts it to so many bytes at most, where a character begins; says whether it was longer.
fn cut(text: &mut String, most: usize) -> bool {
    let is_long = text.len() > most;
    if is_long {
        let at = (0..=most).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(at.unwrap_or(0));
    }
    is_long
}

/// What tells it from any other.
fn print_of(view: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    view.to_string().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Waits for something to happen.
struct Wait {
    ear: Ear,
    nudge: Option<Nudge>,
}

impl Wait {
    fn for_change(engines: &[Engine], ask: &Look, leave: &Leave) -> Self {
        let mut ear = Ear::new();
        for engine in engines {
            ear.listen_to(&engine.news_bell());
            if let Some(run) = &ask.run
                && engine.journal().row(run).is_ok()
            {
                ear.listen_to(&engine.bell(run));
            }
        }
        // Without one the wait is as long as any look takes to come back by itself.
        let nudge = Nudge::new().ok();
        if let Some(nudge) = nudge.clone() {
            leave.on_over(move || nudge.now());
        }
        Self { ear, nudge }
    }

    fn once(&self, deadline: Instant) {
        wait_with(&[&self.ear], self.nudge.as_ref(), Some(deadline));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let check = |text: &str, most, left: &str, was_long| {
            let mut text = text.to_owned();
            assert_eq!((cut(&mut text, most), text.as_str()), (was_long, left));
        };
        check("añb", 4, "añb", false);
        check("añb", 3, "añ", true);
        check("añb", 2, "a", true);
    }
}
