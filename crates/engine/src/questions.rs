//! Questions: asked by runs and sessions, answered by whoever may, closed when their time is up.
//!
//! What a run asks is an event of that run, so that it is its runner who writes it down, or, for a
//! run that has none, whoever asks or answers, while holding the run's lock.

use std::time::Instant;

use model::{Actor, Question, QuestionId, Refusal, Report, Request, Resolution, RunId};
use store::{FoundQuestion, QuestionFilter, QuestionRow};
use supervise::Hold;

use crate::{Engine, EngineError, Nudge, Patience, ear, edge};

impl Engine {
    /// Asks in the name of a run, and gives the question as it is on record. One that was asked
    /// under that name before is not asked again.
    ///
    /// # Errors
    ///
    /// `Refused` when the run is over or has asked too much, and when the journal cannot be used.
    pub fn enqueue(
        &mut self,
        run: &RunId,
        mut question: Question,
        actor: Actor,
    ) -> Result<QuestionRow, EngineError> {
        if self.journal().spec(run)?.no_input {
            question.expires_at = Some(edge::now());
        }
        let id = question.question_id.clone();
        let request = Request::Ask { question: Box::new(question) };
        if !self.asked_before(&request)? {
            self.ask(run, &request, actor, Patience::default())?;
        }
        self.question(&id)
    }

    /// The question as it stands; one whose time is up is closed first.
    ///
    /// # Errors
    ///
    /// `NoSuchQuestion`, and when the journal cannot be used.
    pub fn question(&mut self, id: &QuestionId) -> Result<QuestionRow, EngineError> {
        let unknown = || EngineError::NoSuchQuestion(id.clone());
        let row = self.journal().question(id)?.ok_or_else(unknown)?;
        if row.resolved.is_some() || !row.question.expired(edge::now()) {
            return Ok(row);
        }
        self.tell_time(&row.run_id)?;
        self.journal().question(id)?.ok_or_else(unknown)
    }

    /// The question that a word names: its id, or the beginning of it.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn find_question(&self, word: &str) -> Result<FoundQuestion, EngineError> {
        Ok(self.journal().find_question(word)?)
    }

    /// The questions that fit, the oldest first, after those whose time is up have been closed.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn questions(&mut self, filter: &QuestionFilter) -> Result<Vec<QuestionRow>, EngineError> {
        self.see_to_old_notices();
        self.settle_overdue();
        Ok(self.journal().questions(filter)?)
    }

    /// Answers or closes a question, and gives it as it is then. Whoever answers a question of an
    /// interrupted run has that run taken up again.
    ///
    /// # Errors
    ///
    /// `NoSuchQuestion`; `Resolved` when somebody else was first; `Refused` when it cannot be
    /// resolved like that; and when the journal cannot be used.
    pub fn resolve(
        &mut self,
        id: &QuestionId,
        resolution: Resolution,
    ) -> Result<QuestionRow, EngineError> {
        let row = self.question(id)?;
        resolved(&row)?;
        let actor = resolution.by().map_or(Actor::Observer, Actor::from);
        let request = Request::Resolve { question_id: id.clone(), resolution };
        match self.ask(&row.run_id, &request, actor, Patience::default()) {
            Ok(_) => self.question(id),
            Err(EngineError::Refused { refusal: Refusal::NotOpen(_), .. }) => {
                let row = self.question(id)?;
                resolved(&row)?;
                Ok(row)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until the question is resolved, and gives it as it is then: resolved, or still open
    /// because the time is up or somebody ended the wait.
    ///
    /// # Errors
    ///
    /// `NoSuchQuestion`, and when the journal cannot be used.
    pub fn await_question(
        &mut self,
        id: &QuestionId,
        deadline: Instant,
        nudge: Option<Nudge>,
        stopped: &dyn Fn() -> bool,
    ) -> Result<QuestionRow, EngineError> {
        let ear = self.take_ear();
        loop {
            let row = self.question(id)?;
            let now = Instant::now();
            if row.resolved.is_some() || now >= deadline || stopped() {
                self.give_ear(ear);
                return Ok(row);
            }
            // One that is overdue and still open is for its runner, who rings when it is closed.
            let expiry = row.question.expires_at.filter(|at| *at > edge::now());
            let expiry = expiry.map(|at| now + at.since(edge::now()));
            let until = expiry.map_or(deadline, |expiry| deadline.min(expiry));
            ear::wait_with(&[&ear], nudge.as_ref(), Some(until));
        }
    }

    /// Closes every question of a run without a runner whose time is up. The others are closed by
    /// their runners. What cannot be written down now is written down at the next look.
    pub(crate) fn settle_overdue(&mut self) {
        let filter = QuestionFilter { expired: Some(edge::now()), ..QuestionFilter::default() };
        let mut runs: Vec<RunId> = match self.journal().questions(&filter) {
            Ok(rows) => rows.into_iter().map(|row| row.run_id).collect(),
            Err(_) => return,
        };
        runs.dedup();
        for run in runs {
            let _ = self.tell_time(&run);
        }
    }

    /// Tells a run without a runner what time it is.
    pub(crate) fn tell_time(&mut self, run: &RunId) -> Result<(), EngineError> {
        if !self.writable() {
            return Ok(());
        }
        // Where its runner has died, that comes first.
        self.refresh_if_possible(run)?;
        self.make_run_dir(run)?;
        let hold = Hold::take(&self.locks(run).runner).map_err(EngineError::Supervision)?;
        // Whoever holds it tells the time itself, or lets go at once.
        let Some(_hold) = hold else { return Ok(()) };
        let (spec, mut now) = self.replayed(run)?;
        if now.status().wants_runner() {
            // Its runner died, and it could not be recovered: the time is told at the next look.
            return Ok(());
        }
        let time = Report::Time { now: edge::now() };
        loop {
            let events = now.note(&time);
            if events.is_empty() {
                return Ok(());
            }
            now = self.write_down(&spec, &now, events, Actor::Observer)?;
            self.tell(&spec, &now);
        }
    }

    /// Whether a wish to ask is one that was granted before.
    pub(crate) fn asked_before(&self, request: &Request) -> Result<bool, EngineError> {
        let Request::Ask { question } = request else { return Ok(false) };
        Ok(self.journal().question(&question.question_id)?.is_some())
    }
}

fn resolved(row: &QuestionRow) -> Result<(), EngineError> {
    match &row.resolved {
        None => Ok(()),
        Some((resolution, _)) => Err(EngineError::Resolved {
            id: row.question.question_id.clone(),
            outcome: resolution.as_str(),
        }),
    }
}

/// The name of the question that a run asks under that key: the same key is the same question.
#[must_use]
pub fn question_id_of(run: &RunId, key: &str) -> QuestionId {
    // FNV-1a keeps its value over every version of this program.
    let text = [run.as_str(), key].join("\n");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    QuestionId::new(hash ^ (hash >> 40))
}
