//! The events for which somebody may wait, of all runs in one order.

use model::{Event, QuestionId, Recorded, RunId, Seq, Timestamp};
use rusqlite::{Transaction, params, types::Value};
use serde::{Deserialize, Serialize};

use super::{Durability, Journal, word};
use crate::StoreError;

/// An event for which somebody may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Its number among those of the journal; later is larger.
    pub id: i64,
    /// The run it is about.
    pub run_id: RunId,
    /// Its number among the run's events.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What kind of thing.
    pub kind: NewsKind,
    /// The question, where it is about one.
    pub question_id: Option<QuestionId>,
}

/// What somebody may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewsKind {
    /// The run is over.
    Ended,
    /// Its runner died; it can be resumed.
    Interrupted,
    /// It asks something.
    Question,
    /// It wants a person to confirm or allow something.
    Approval,
    /// What it, or the account that it uses, may use up is used up.
    Limited,
    /// What it asked is resolved: answered, dismissed, approved, denied, or out of time.
    Answered,
    /// It is at work, and has done and printed nothing for a while.
    Stalled,
}

/// Which news are wanted: those of any of the three kinds of places.
#[derive(Clone, Debug, Default)]
pub struct Tidings {
    /// Everything about these runs.
    pub runs: Vec<RunId>,
    /// Whatever the runs that this run started come to and ask, and what becomes of its own
    /// questions.
    pub around: Option<RunId>,
    /// What becomes of these questions.
    pub questions: Vec<QuestionId>,
}

impl Journal {
    /// The first news after that number, the oldest first.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn news(&self, of: &Tidings, after: i64, limit: usize) -> Result<Vec<News>, StoreError> {
        let mut wanted = Vec::new();
        let mut values: Vec<Value> = vec![after.into()];
        let marks = |count: usize| vec!["?"; count].join(", ");
        if !of.runs.is_empty() {
            let marks = marks(of.runs.len());
            wanted.push(format!("run IN (SELECT id FROM runs WHERE run_id IN ({marks}))"));
            values.extend(of.runs.iter().map(|run| run.to_string().into()));
        }
        if let Some(around) = &of.around {
            wanted.push(
                "(kind <> 'answered' AND run IN (SELECT id FROM runs WHERE parent_run_id = ?)) \
                 OR (kind = 'answered' AND run = (SELECT id FROM runs WHERE run_id = ?))"
                    .to_owned(),
            );
            values.extend([around.to_string().into(), around.to_string().into()]);
        }
        if !of.questions.is_empty() {
            // From the question to its run, so that the index of the news is of use.
            let marks = marks(of.questions.len());
            wanted.push(format!(
                "kind = 'answered' AND run IN (SELECT run FROM questions WHERE question_id IN ({marks})) \
                 AND question_id IN ({marks})"
            ));
            let ids = || of.questions.iter().map(|id| Value::from(id.to_string()));
            values.extend(ids().chain(ids()));
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let sql = format!(
            "SELECT news.id, run_id, seq, at, kind, news.question_id
             FROM news JOIN runs ON runs.id = news.run
             WHERE news.id > ? AND ({}) ORDER BY news.id LIMIT ?",
            wanted.join(" OR ")
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut news = Vec::new();
        while let Some(row) = rows.next()? {
            let Some(run_id) = super::kin::parsed(row.get(1)?)? else { continue };
            let seq: i64 = row.get(2)?;
            let kind: String = row.get(4)?;
            let question: Option<String> = row.get(5)?;
            news.push(News {
                id: row.get(0)?,
                run_id,
                seq: Seq(u64::try_from(seq).unwrap_or(0)),
                at: Timestamp::from_millis(row.get(3)?),
                kind: super::unword(&kind)?,
                question_id: question.and_then(|id| id.parse().ok()),
            });
        }
        Ok(news)
    }
}

impl Journal {
    /// Notes that a run is at work and has been quiet since then, unless that was noted before. It
    /// is no event: nothing has happened. Says whether it is news.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn add_stalled(
        &mut self,
        run: &RunId,
        since: Timestamp,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let step = self.begin(Durability::Fact)?;
        let sql = "INSERT INTO news (run, seq, at, kind)
                   SELECT id, head, ?3, 'stalled' FROM runs
                   WHERE run_id = ?1 AND status = 'in_progress' AND waiting IS NULL
                   AND updated_at <= ?2 AND NOT EXISTS
                       (SELECT 1 FROM news WHERE run = runs.id AND kind = 'stalled' AND at > ?2)";
        let values = params![run.as_str(), since.as_millis(), at.as_millis()];
        let added = step.prepare_cached(sql)?.execute(values)?;
        step.commit()?;
        Ok(added > 0)
    }
}

/// Keeps the event among the news, if it is one that somebody may wait for.
pub(super) fn write(
    step: &Transaction<'_>,
    run: i64,
    recorded: &Recorded,
) -> Result<(), StoreError> {
    let (kind, question) = match &recorded.event {
        Event::RunCompleted {} | Event::RunFailed { .. } | Event::RunCanceled { .. } => {
            (NewsKind::Ended, None)
        }
        Event::RunInterrupted { .. } => (NewsKind::Interrupted, None),
        Event::QuestionQueued { question } => (NewsKind::Question, Some(&question.question_id)),
        Event::BudgetReached { .. } | Event::UsageLimited { .. } => (NewsKind::Limited, None),
        Event::ConfirmationRequired { question } | Event::ApprovalRequired { question } => {
            (NewsKind::Approval, Some(&question.question_id))
        }
        Event::QuestionAnswered { question_id, .. }
        | Event::QuestionClosed { question_id, .. }
        | Event::ConfirmationResolved { question_id, .. }
        | Event::ApprovalResolved { question_id, .. } => (NewsKind::Answered, Some(question_id)),
        _ => return Ok(()),
    };
    step.prepare_cached(
        "INSERT INTO news (run, seq, at, kind, question_id) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        run,
        i64::try_from(recorded.seq.0).unwrap_or(i64::MAX),
        recorded.at.as_millis(),
        word(&kind)?,
        question.map(QuestionId::as_str),
    ])?;
    super::notices::write(step, run, step.last_insert_rowid(), recorded)
}
