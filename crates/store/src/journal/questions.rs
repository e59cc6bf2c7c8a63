//! What runs ask, and what became of it. The events of a run are the truth; these rows are written
//! in their commit, so that a question is found by its name and a list reads no events.

use model::{Event, Question, QuestionId, Recorded, Resolution, RunId, TaskId, Timestamp};
use rusqlite::{Row, Transaction, params, types::Value};

use super::{Journal, kin};
use crate::StoreError;

/// A question, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionRow {
    /// The run that asks.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// The run that started that run.
    pub parent_run_id: Option<RunId>,
    /// What it asks.
    pub question: Question,
    /// When.
    pub asked_at: Timestamp,
    /// What became of it, and when; nothing while it is open.
    pub resolved: Option<(Resolution, Timestamp)>,
}

/// Which questions are wanted.
#[derive(Clone, Debug, Default)]
pub struct QuestionFilter {
    /// Only those that nobody has resolved.
    pub open: bool,
    /// Asked by that run.
    pub run: Option<RunId>,
    /// Asked by runs that this run started.
    pub parent: Option<RunId>,
    /// Of runs of that task.
    pub task: Option<TaskId>,
    /// Open ones whose time is up.
    pub expired: Option<Timestamp>,
    /// At most so many, the newest; all where this is not said.
    pub limit: Option<usize>,
}

/// What a word that names a question may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundQuestion {
    /// That one.
    One(Box<QuestionRow>),
    /// None.
    None,
    /// All of these, and perhaps more.
    Many(Vec<QuestionId>),
}

const COLUMNS: &str = "run_id, task_id, parent_run_id, body, asked_at, resolution, resolved_at";

impl Journal {
    /// The question of that name.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn question(&self, id: &QuestionId) -> Result<Option<QuestionRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM questions JOIN runs ON runs.id = run WHERE question_id = ?"
        );
        Ok(self.question_rows(&sql, vec![id.to_string().into()])?.pop())
    }

    /// The question that a word names: its id, or the beginning of it.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn find_question(&self, word: &str) -> Result<FoundQuestion, StoreError> {
        if word.is_empty() {
            return Ok(FoundQuestion::None);
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM questions JOIN runs ON runs.id = run
             WHERE question_id >= ? AND question_id < ? ORDER BY questions.id DESC LIMIT 6"
        );
        let end = format!("{word}\u{10ffff}");
        let mut rows = self.question_rows(&sql, vec![word.to_owned().into(), end.into()])?;
        Ok(match (rows.pop(), rows.as_slice()) {
            (None, _) => FoundQuestion::None,
            (Some(one), []) => FoundQuestion::One(Box::new(one)),
            (Some(one), more) => {
                let more = more.iter().map(|row| row.question.question_id.clone());
                FoundQuestion::Many(more.chain([one.question.question_id]).collect())
            }
        })
    }

    /// The questions that fit, the oldest first.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn questions(&self, filter: &QuestionFilter) -> Result<Vec<QuestionRow>, StoreError> {
        let mut wanted = vec!["1"];
        let mut values: Vec<Value> = Vec::new();
        if filter.open || filter.expired.is_some() {
            wanted.push("state = 'open'");
        }
        // Those that are open are few. The `+` keeps SQLite from looking for them among all that the
        // run ever asked.
        let open = filter.open || filter.expired.is_some();
        if let Some(run) = &filter.run {
            wanted.push(match open {
                true => "+run = (SELECT id FROM runs WHERE run_id = ?)",
                false => "run = (SELECT id FROM runs WHERE run_id = ?)",
            });
            values.push(run.to_string().into());
        }
        if let Some(parent) = &filter.parent {
            wanted.push(match open {
                true => "+run IN (SELECT id FROM runs WHERE parent_run_id = ?)",
                false => "run IN (SELECT id FROM runs WHERE parent_run_id = ?)",
            });
            values.push(parent.to_string().into());
        }
        if let Some(task) = &filter.task {
            wanted.push("task_id = ?");
            values.push(task.to_string().into());
        }
        if let Some(now) = filter.expired {
            wanted.push("expires_at <= ?");
            values.push(now.as_millis().into());
        }
        let limit = filter.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
        values.push(limit.into());
        let sql = format!(
            "SELECT {COLUMNS} FROM questions JOIN runs ON runs.id = run
             WHERE {} ORDER BY questions.id DESC LIMIT ?",
            wanted.join(" AND ")
        );
        let mut rows = self.question_rows(&sql, values)?;
        rows.reverse();
        Ok(rows)
    }

    /// When the first open question of any run closes by itself, of those that do so after `now`.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn next_expiry(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(expires_at) FROM questions
                   WHERE state = 'open' AND expires_at IS NOT NULL AND expires_at > ?1";
        let first: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row([now.as_millis()], |row| row.get(0))?;
        Ok(first.map(Timestamp::from_millis))
    }

    fn question_rows(&self, sql: &str, values: Vec<Value>) -> Result<Vec<QuestionRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(question_row(row)?);
        }
        Ok(found)
    }
}

fn question_row(row: &Row<'_>) -> Result<QuestionRow, StoreError> {
    let broken = |what: String| StoreError::Storage(format!("a row of the journal: {what}").into());
    let run: Option<String> = row.get(0)?;
    let task: String = row.get(1)?;
    let body: String = row.get(3)?;
    let resolution: Option<String> = row.get(5)?;
    let resolved_at: Option<i64> = row.get(6)?;
    let resolution = resolution.map(|text| serde_json::from_str(&text)).transpose()?;
    Ok(QuestionRow {
        run_id: kin::parsed(run)?.ok_or_else(|| broken("a question without a run".to_owned()))?,
        task_id: task.parse().map_err(|bad: model::BadTaskId| broken(bad.to_string()))?,
        parent_run_id: kin::parsed(row.get(2)?)?,
        question: serde_json::from_str(&body)?,
        asked_at: Timestamp::from_millis(row.get(4)?),
        resolved: resolution.zip(resolved_at.map(Timestamp::from_millis)),
    })
}

/// Keeps what the event says of a question.
pub(super) fn write(
    step: &Transaction<'_>,
    run: i64,
    recorded: &Recorded,
) -> Result<(), StoreError> {
    match &recorded.event {
        Event::QuestionQueued { question }
        | Event::ConfirmationRequired { question }
        | Event::ApprovalRequired { question } => {
            let kind = match question.matter {
                model::Matter::Question { .. } => "question",
                model::Matter::Confirmation { .. } => "confirmation",
                model::Matter::Approval { .. } => "approval",
            };
            step.prepare_cached(
                "INSERT INTO questions (question_id, run, kind, asked_at, expires_at, body, state)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'open')",
            )?
            .execute(params![
                question.question_id.as_str(),
                run,
                kind,
                recorded.at.as_millis(),
                question.expires_at.map(Timestamp::as_millis),
                serde_json::to_string(question)?,
            ])?;
        }
        Event::QuestionAnswered { question_id, resolution }
        | Event::QuestionClosed { question_id, resolution }
        | Event::ConfirmationResolved { question_id, resolution }
        | Event::ApprovalResolved { question_id, resolution } => {
            step.prepare_cached(
                "UPDATE questions SET state = ?2, resolution = ?3, resolved_at = ?4
                 WHERE question_id = ?1",
            )?
            .execute(params![
                question_id.as_str(),
                resolution.as_str(),
                serde_json::to_string(resolution)?,
                recorded.at.as_millis(),
            ])?;
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use super::*;
    use crate::journal::{Mode, Tidings};

    const RUN: &str = "2026-11-22T10-15-00-123Z-4f9a2c1b";
    const PARENT: &str = "2026-11-22T10-15-00-123Z-4f9a2c1c";

    fn id(number: u64) -> QuestionId {
        format!("q{number:010x}").parse().expect("an id")
    }

    /// A journal in which one run has asked so many questions, of which the last five are open.
    fn asked(folder: &std::path::Path, count: u64) -> Journal {
        let journal = Journal::open(&folder.join(format!("{count}.db")), Mode::Write).unwrap();
        let sql = "INSERT INTO runs (run_id, tail, task_id, parent_run_id, origin, pipeline_id,
                       pipeline_title, status, created_at, updated_at, head)
                   VALUES (?1, '4f9a2c1b', 'demo', ?2, 'delegate', 'p', 'P', 'in_progress', 0, 0, 1)";
        journal.connection.execute(sql, [RUN, PARENT]).unwrap();
        let all = journal.connection.unchecked_transaction().unwrap();
        for number in 0..count {
            let question = serde_json::json!({
                "question_id": id(number), "prompt": "which?", "kind": "question", "auto_pause": false,
                "fallback": "pause",
            });
            let state = if number + 5 < count { "dismissed" } else { "open" };
            all.execute(
                "INSERT INTO questions (question_id, run, kind, asked_at, body, state)
                 VALUES (?1, 1, 'question', 0, ?2, ?3)",
                params![id(number).as_str(), question.to_string(), state],
            )
            .unwrap();
            all.execute(
                "INSERT INTO news (run, seq, at, kind, question_id)
                 VALUES (1, ?1, 0, 'question', ?2)",
                params![i64::try_from(number).unwrap(), id(number).as_str()],
            )
            .unwrap();
        }
        all.commit().unwrap();
        journal
    }

    /// How many steps the database takes for that.
    fn steps(journal: &mut Journal, work: impl FnOnce(&mut Journal)) -> u64 {
        let count = Arc::new(AtomicU64::new(0));
        let counted = count.clone();
        let tick = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        journal.connection.progress_handler(1, Some(tick)).unwrap();
        work(journal);
        journal.connection.progress_handler(1, None::<fn() -> bool>).unwrap();
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn looking_and_answering_cost_the_same_however_many_were_asked_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut few = asked(folder.path(), 100);
        let mut many = asked(folder.path(), 10_000);
        let open =
            |filter: QuestionFilter| QuestionFilter { open: true, limit: Some(40), ..filter };
        let run = || Some(RUN.parse().unwrap());
        let parent = || Some(PARENT.parse().unwrap());
        type Work = Box<dyn Fn(&mut Journal, u64)>;
        let works: Vec<(&str, Work)> = vec![
            ("a poll", Box::new(|it, last| drop(it.question(&id(last)).unwrap().unwrap()))),
            ("a name", Box::new(|it, last| drop(it.find_question(id(last).as_str()).unwrap()))),
            (
                "the inbox",
                Box::new(move |it, _| {
                    assert_eq!(it.questions(&open(QuestionFilter::default())).unwrap().len(), 5);
                }),
            ),
            (
                "what a run asks",
                Box::new(move |it, _| {
                    let of = QuestionFilter { run: run(), ..QuestionFilter::default() };
                    assert_eq!(it.questions(&open(of)).unwrap().len(), 5);
                }),
            ),
            (
                "what children ask",
                Box::new(move |it, _| {
                    let of = QuestionFilter { parent: parent(), ..QuestionFilter::default() };
                    assert_eq!(it.questions(&open(of)).unwrap().len(), 5);
                }),
            ),
            (
                "an expiry",
                Box::new(|it, _| {
                    assert_eq!(it.next_expiry(Timestamp::from_millis(0)).unwrap(), None)
                }),
            ),
            (
                "a wait",
                Box::new(move |it, last| {
                    let of = Tidings { around: parent(), ..Tidings::default() };
                    let after = i64::try_from(last).unwrap() - 2;
                    assert_eq!(it.news(&of, after, 50).unwrap().len(), 3);
                }),
            ),
            (
                "an answer",
                Box::new(|it, last| {
                    let by = model::By::Person { door: model::Door::Cli };
                    let resolution = Resolution::Dismissed { by, reason: None };
                    let event = Event::QuestionClosed { question_id: id(last), resolution };
                    let (seq, at) = (model::Seq(1), Timestamp::from_millis(1));
                    let recorded = Recorded { seq, at, actor: model::Actor::User, event };
                    let step = it.connection.transaction().unwrap();
                    write(&step, 1, &recorded).unwrap();
                    super::super::news::write(&step, 1, &recorded).unwrap();
                    step.rollback().unwrap();
                }),
            ),
        ];
        for (what, work) in works {
            // The first time, statements are prepared.
            work(&mut few, 99);
            work(&mut many, 9_999);
            let (few, many) =
                (steps(&mut few, |it| work(it, 99)), steps(&mut many, |it| work(it, 9_999)));
            assert!(many <= few + few / 2 + 50, "{what}: {few} steps with 100, {many} with 10,000");
        }
    }
}
