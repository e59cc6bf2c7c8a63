//! `delegate.wait`: the first things that happen to any of some runs and questions.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use engine::{Access, Ear, Engine, Nudge, wait_with};
use model::{Act, Mode, QuestionId, RunId, RunStatus, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{NewsKind, Tidings};

use sitter::Sitter;

use super::{Offer, shown::cut};
use crate::{
    desk::Call,
    engines::Lent,
    fault::{Code, Fault},
};

mod sitter;

pub(super) struct Wait;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// Runs: paths of their manifests, or their ids. Without these and question_ids: everything
    /// that you spawned or asked.
    #[serde(default)]
    manifest_paths: Vec<String>,
    /// Questions that you asked.
    #[serde(default)]
    question_ids: Vec<String>,
    /// What the last wait gave as cursor: only what happened since then is told. Without it,
    /// everything that has happened so far is told first.
    cursor: Option<String>,
    /// How long to wait at most, in milliseconds: 0 to 240000; 60000 when not said.
    wait_ms: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    /// What has happened, the oldest first; none when the time was up.
    events: Vec<Told>,
    /// For the next wait.
    cursor: String,
    /// Nothing happened in that time.
    timed_out: bool,
    /// How many of the runs are not over.
    unfinished: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Told {
    /// `ended`, `interrupted`, `question` (a run asks; answer it), `approval` (a person has to
    /// allow something, or you where it has options), `answered` (what you asked is resolved), `stalled` (it goes on, and has
    /// done and printed nothing for a while; look at its log).
    kind: NewsKind,
    run_id: RunId,
    manifest_path: String,
    at: Timestamp,
    /// The run's status now.
    status: RunStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    question_id: Option<QuestionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<String>,
    /// What became of the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    question_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

/// Below the time that the stock client gives a tool, with room to answer.
pub(super) const LONGEST_MS: u64 = 240_000;
const USUAL_MS: u64 = 60_000;
/// As much as is told at once, and as much as may be waited for.
const MOST: usize = 50;

/// What is waited for in one repository.
#[derive(Debug, Default)]
struct Part {
    root: PathBuf,
    of: Tidings,
    after: i64,
    /// How long a run may be quiet, and when to look whether one was.
    patience: Option<Duration>,
    look: Option<Instant>,
    /// Whether a person is shown first what is asked.
    forms: bool,
}

impl Offer for Wait {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.wait";
    const TITLE: &'static str = "Wait for runs and answers";
    const ABOUT: &'static str = "Waits until something happens to your runs and questions: a run \
        ended, was interrupted or has stalled, a run asks, your own question was answered. Comes back at the first \
        of these, with all that has happened since `cursor`; call it again with the cursor it gives, \
        and nothing is lost or told twice, also after an interrupted call. wait_ms: 0 to 240000.";
    const READ_ONLY: bool = true;
    const IDEMPOTENT: bool = true;
    const LEAST: Mode = Mode::QuestionOnly;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        let wait = input.wait_ms.unwrap_or(USUAL_MS).min(LONGEST_MS);
        let deadline = Instant::now() + Duration::from_millis(wait);
        let cursor = Cursor::parse(input.cursor.as_deref())?;
        let mut parts = parts(call, &input)?;
        let nudge = Nudge::new().ok();
        if let Some(nudge) = nudge.clone() {
            call.stop.on_stop(move || nudge.now());
        }
        let mut journals = Vec::with_capacity(parts.len());
        let mut ears = Vec::with_capacity(parts.len());
        for part in &mut parts {
            let mut engine = call.desk.engines.lend(&part.root, Access::Look)?;
            part.after = cursor.after(engine.journal_id());
            // Settings that cannot be read keep nobody from waiting.
            let loaded = call.desk.config(&part.root).ok();
            let settings = loaded.as_ref().map(|loaded| &loaded.settings);
            part.patience = settings.and_then(|settings| settings.limits.stalled_after);
            part.forms = settings.is_some_and(|settings| settings.questions.forms);
            ears.push(engine.take_ear());
            journals.push(engine);
        }
        let mut sitter = Sitter::new(call, nudge.clone());
        let mut heard = Vec::new();
        let output = loop {
            for (at, (part, engine)) in parts.iter_mut().zip(&mut journals).enumerate() {
                // Whoever died without a word, and whatever is out of time, is news as well.
                engine.settle()?;
                if let Some(patience) = part.patience
                    && part.look.is_none_or(|look| look <= Instant::now())
                {
                    part.look = Some(engine.note_stalled(&part.of, patience)?);
                }
                for news in engine.journal().news(&part.of, part.after, MOST)? {
                    part.after = news.id;
                    if part.forms {
                        sitter.show(engine, &news)?;
                    }
                    heard.push((at, news));
                }
                sitter.hear(engine)?;
            }
            // What a person may still answer is not told before anything else is.
            let told = heard.iter().any(|(_, news)| !sitter.may_answer(news));
            let timed_out = Instant::now() >= deadline || call.stop.stopped();
            if told || timed_out {
                let mut unfinished = 0;
                for (part, engine) in parts.iter().zip(&journals) {
                    unfinished += engine.unfinished(&part.of)?;
                }
                let cursor = Cursor::of(&parts, &journals, &cursor);
                let timed_out = heard.is_empty();
                let heard = heard.into_iter();
                let events = heard.map(|(at, news)| tell(call, &journals[at], news));
                let events = events.collect::<Result<Vec<_>, _>>()?;
                break Output { events, cursor, timed_out, unfinished };
            }
            let expiry = journals.iter().filter_map(|engine| engine.next_expiry()).min();
            let looks = parts.iter().filter_map(|part| part.look);
            let until = looks.chain(expiry).fold(deadline, Instant::min);
            let all: Vec<&Ear> = ears.iter().collect();
            wait_with(&all, nudge.as_ref(), Some(until));
        };
        for (engine, ear) in journals.iter_mut().zip(ears) {
            engine.give_ear(ear);
        }
        Ok(output)
    }
}

/// What is waited for, by repository.
fn parts(call: &Call<'_>, input: &Input) -> Result<Vec<Part>, Fault> {
    if input.manifest_paths.len() + input.question_ids.len() > MOST {
        let text = format!("{MOST} runs and questions are the most to wait for at once");
        return Err(Fault::invalid(text, "leave them out to wait for all that you started"));
    }
    let mut parts: Vec<Part> = Vec::new();
    for path in &input.manifest_paths {
        let target = call.find(path)?;
        call.allowed(Act::Look, &target)?;
        of(&mut parts, target.root).runs.push(target.run);
    }
    for word in &input.question_ids {
        let asked = super::question::find(call, word)?;
        call.allowed(Act::Look, &asked.by())?;
        of(&mut parts, asked.root).questions.push(asked.row.question.question_id);
    }
    if parts.is_empty() {
        let own = call.own()?.ok_or_else(|| {
            Fault::new(
                Code::Conflict,
                "you have started and asked nothing, so there is nothing to wait for",
                "call delegate.spawn first, or say manifest_paths",
            )
        })?;
        for far in call.here(|engine| Ok(engine.journal().far_children(&own)?))? {
            // One that has not begun, or whose repository is gone, has no news. If it begins later,
            // the next wait tells all of it.
            let there = |engine: &mut Engine| Ok(engine.journal().row(&far.run_id).is_ok());
            if call.at(&far.root, there) == Ok(true) {
                of(&mut parts, far.root).runs.push(far.run_id);
            }
        }
        of(&mut parts, call.root()?.to_owned()).around = Some(own);
    }
    Ok(parts)
}

/// What is waited for in that repository.
fn of(parts: &mut Vec<Part>, root: PathBuf) -> &mut Tidings {
    let at = parts.iter().position(|part| part.root == root).unwrap_or(parts.len());
    if at == parts.len() {
        parts.push(Part { root, ..Part::default() });
    }
    &mut parts[at].of
}

fn tell(call: &Call<'_>, engine: &Engine, news: store::News) -> Result<Told, Fault> {
    let row = engine.journal().row(&news.run_id)?;
    let relative = engine.paths(&row.task_id, &row.run_id).relative("manifest.json");
    let asked = match &news.question_id {
        Some(id) => engine.journal().question(id)?,
        None => None,
    };
    let mut told = Told {
        kind: news.kind,
        run_id: news.run_id,
        manifest_path: call.shown(engine.root(), &relative),
        at: news.at,
        status: row.status,
        summary: row.detail.map(|detail| cut(&detail, 300)),
        question_id: news.question_id,
        prompt: None,
        options: Vec::new(),
        question_status: None,
        answer: None,
    };
    if let Some(asked) = asked {
        let shown = super::shown::QuestionShown::of(asked, call, engine);
        told.question_status = Some(shown.status);
        told.answer = shown.answer;
        told.prompt = Some(cut(&shown.prompt, 4000));
        told.options = shown.options;
    }
    Ok(told)
}

/// What a waiter has seen: of each journal, the number of the last news.
#[derive(Debug, Default)]
struct Cursor(Vec<(String, i64)>);

impl Cursor {
    fn parse(text: Option<&str>) -> Result<Self, Fault> {
        let Some(text) = text else { return Ok(Self::default()) };
        let part = |part: &str| {
            let (journal, seen) = part.split_once('.')?;
            Some((journal.to_owned(), seen.parse().ok()?))
        };
        let parts = text.split('+').filter(|part| !part.is_empty()).map(part);
        let parts: Option<Vec<_>> = parts.take(MOST).collect();
        parts.map(Self).ok_or_else(|| {
            let text = format!("`{}` is no cursor", cut(text, 60).escape_debug());
            Fault::invalid(text, "give the cursor of the last wait as it was, or none")
        })
    }

    fn after(&self, journal: &str) -> i64 {
        let found = self.0.iter().find(|(short, _)| journal.starts_with(short));
        found.map_or(0, |(_, seen)| *seen)
    }

    /// What is seen now; of journals that this wait did not look into, what was seen before.
    fn of(parts: &[Part], journals: &[Lent<'_>], before: &Self) -> String {
        const SHORT: usize = 8;
        let now = parts.iter().zip(journals).map(|(part, engine)| {
            let journal = engine.journal_id();
            (journal.get(..SHORT).unwrap_or(journal).to_owned(), part.after)
        });
        let now: Vec<(String, i64)> = now.collect();
        let kept = before.0.iter().filter(|(short, _)| now.iter().all(|(own, _)| own != short));
        let all: Vec<String> =
            now.iter().chain(kept).map(|(journal, seen)| format!("{journal}.{seen}")).collect();
        all.join("+")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_says_what_was_seen_of_each_journal() {
        let cursor = Cursor::parse(Some("0a1b2c3d.17+ffffffff.0")).unwrap();
        assert_eq!(cursor.after("0a1b2c3d99"), 17);
        assert_eq!(cursor.after("ffffffff99"), 0);
        assert_eq!(cursor.after("1111111111"), 0);
        assert_eq!(Cursor::parse(None).unwrap().after("0a1b2c3d99"), 0);
        for bad in ["x", "0a1b2c3d", "0a1b2c3d.x", "0a1b2c3d.1 2"] {
            assert!(Cursor::parse(Some(bad)).is_err(), "{bad}");
        }
    }
}
