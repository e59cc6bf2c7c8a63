//! The journal of a repository: its runs, what happened to them, and what they are asked.

mod admission;
mod find;
mod kin;
mod news;
mod notices;
mod questions;
mod requests;
mod standing;

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

use model::{
    Origin, Recorded, Run, RunId, RunSpec, RunStatus, Seq, Spent, TaskId, Timestamp, Waiting,
};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior,
    config::DbConfig, params,
};

use crate::{
    StoreError, patience, schema,
    turn::{self, Turn},
};

pub use admission::{Admission, Household};
pub use find::{Filter, Found, Sort};
pub use kin::FarChild;
pub use news::{News, NewsKind, Tidings};
pub use notices::{NoticeRow, Telling, Untold, WayRow};
pub use questions::{FoundQuestion, QuestionFilter, QuestionRow};
pub use requests::{RequestId, RequestRow};

/// A connection to the journal.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    durability: Durability,
}

/// How the journal is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To look and to write; it is made when it is not there.
    Write,
    /// To look.
    Read,
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power: for what somebody is told has happened.
    Fact,
    /// The death of every process, but not loss of power: for what says nothing once the machine
    /// has gone down, such as which processes there are.
    Trace,
}

/// What a list shows of a run, without reading its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its name.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// The run that started it.
    pub parent_run_id: Option<RunId>,
    /// How it was asked for.
    pub origin: Origin,
    /// Its pipeline's id.
    pub pipeline_id: String,
    /// Its pipeline's title.
    pub pipeline_title: String,
    /// As of its last event; a run whose runner has died since may still say `in_progress`.
    pub status: RunStatus,
    /// What the status does not say.
    pub detail: Option<String>,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it was first taken up.
    pub started_at: Option<Timestamp>,
    /// When something last happened to it.
    pub updated_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The process that ran it last.
    pub runner_pid: Option<u32>,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// What its threads have used up.
    pub spent: Spent,
}

impl Journal {
    /// Opens the journal at that path.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or a newer version of this program wrote it.
    pub fn open(path: &Path, mode: Mode) -> Result<Self, StoreError> {
        let flags = match mode {
            Mode::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            Mode::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        patience::waiting_for(path);
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        patience::give(&mut connection)?;
        match mode {
            Mode::Write => schema::upgrade(&mut connection, path)?,
            Mode::Read => {
                schema::check(&connection, path)?;
            }
        }
        connection.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -512;",
        )?;
        // The write-ahead log stays when the last connection closes: writing it back and making it
        // anew would cost every short command two waits for the disk.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Instead whoever comes first after that reads the log: it is kept to less than a megabyte.
        connection.pragma_update(None, "wal_autocheckpoint", 200)?;
        // Else a statement with `LIMIT ?` is prepared anew whenever it is used: SQLite looks at what is
        // bound for a better plan, and there is none.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(Self { connection, path: path.to_owned(), durability: Durability::Fact })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the database keeps what is not yet in its main file: `wal`, or an older way where the
    /// file system cannot do that.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub fn mode(&self) -> Result<String, StoreError> {
        Ok(self.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?)
    }

    /// Writes a new run down, with its first events and as it is after them. A run that stands for
    /// a session is known by `session`.
    ///
    /// # Errors
    ///
    /// `KeyTaken` or `SessionTaken` when there is one already, `TooMany` or `TooManyAtOnce` when its parent
    /// may not have it (a run that has not begun takes nobody's place), and when it cannot be
    /// written; then there is no such run.
    pub fn create(
        &mut self,
        spec: &RunSpec,
        events: &[Recorded],
        after: &Run,
        admission: Option<&Admission>,
        session: Option<&str>,
    ) -> Result<(), StoreError> {
        let origin = word(&spec.origin)?;
        let text = serde_json::to_string(spec)?;
        let created = events.first().map_or(0, |first| first.at.as_millis());
        let path = self.path.clone();
        let step = self.begin(Durability::Fact)?;
        admission::refuse_double(&step, spec, session)?;
        let mut _room = None;
        if let Some(admission) = admission {
            admission.check_total(&step)?;
            if after.started_at().is_some() {
                _room = admission.check_room(&path, &step, None)?;
            }
        }
        step.prepare_cached(
            "INSERT INTO runs (run_id, tail, task_id, parent_run_id, origin, pipeline_id,
                 pipeline_title, status, created_at, updated_at, head, spawn_key, session)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 0, ?10, ?11)",
        )?
        .execute(params![
            spec.run_id.as_str(),
            spec.run_id.tail(),
            spec.task_id.as_str(),
            spec.parent_run_id.as_ref().map(RunId::as_str),
            origin,
            spec.plan.pipeline,
            spec.plan.title,
            RunStatus::Queued.as_str(),
            created,
            spec.key,
            session,
        ])?;
        let run = step.last_insert_rowid();
        step.prepare_cached("INSERT INTO specs (run, spec) VALUES (?1, ?2)")?
            .execute(params![run, text])?;
        write(&step, run, events, after)?;
        if session.is_some() {
            // That a session is over from the start is no news to anybody.
            step.execute("DELETE FROM news WHERE run = ?1", [run])?;
        }
        step.commit()?;
        Ok(())
    }

    /// Adds events to a run that stands at `head`, and the run as it is after them; what was
    /// asked is answered in the same step.
    ///
    /// # Errors
    ///
    /// `Stale` when the run has moved on; nothing is written then.
    pub fn append(
        &mut self,
        run_id: &RunId,
        head: Seq,
        events: &[Recorded],
        after: &Run,
        answers: &[(RequestId, Result<(), model::Refusal>)],
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.append_admitted(run_id, head, events, after, answers, durability, None)
    }

    /// The same, when the run begins by these events and its parent has room for it.
    ///
    /// # Errors
    ///
    /// As `append`, and `TooManyAtOnce` while there is no room.
    #[expect(clippy::too_many_arguments, reason = "one commit, and what goes into it")]
    pub fn append_admitted(
        &mut self,
        run_id: &RunId,
        head: Seq,
        events: &[Recorded],
        after: &Run,
        answers: &[(RequestId, Result<(), model::Refusal>)],
        durability: Durability,
        admission: Option<&Admission>,
    ) -> Result<(), StoreError> {
        let path = self.path.clone();
        let step = self.begin(durability)?;
        let (run, found) = row_of(&step, run_id)?;
        if found != head {
            return Err(StoreError::Stale { run: run_id.clone(), head: found });
        }
        let _room = match admission {
            Some(admission) => admission.check_room(&path, &step, Some(run))?,
            None => None,
        };
        write(&step, run, events, after)?;
        for (request, outcome) in answers {
            requests::settle(&step, *request, outcome)?;
        }
        step.commit()?;
        Ok(())
    }

    /// What the run was started with.
    ///
    /// # Errors
    ///
    /// `NoSuchRun`, or when the journal cannot be read.
    pub fn spec(&self, run_id: &RunId) -> Result<RunSpec, StoreError> {
        let found: Option<String> = self
            .connection
            .prepare_cached("SELECT spec FROM runs JOIN specs ON run = id WHERE run_id = ?1")?
            .query_row([run_id.as_str()], |row| row.get(0))
            .optional()?;
        let spec = found.ok_or_else(|| StoreError::NoSuchRun(run_id.clone()))?;
        Ok(serde_json::from_str(&spec)?)
    }

    /// What the run was started with, and all that happened to it.
    ///
    /// # Errors
    ///
    /// `NoSuchRun`, or when the journal cannot be read.
    pub fn load(&self, run_id: &RunId) -> Result<(RunSpec, Vec<Recorded>), StoreError> {
        let found: Option<(i64, String)> = self
            .connection
            .prepare_cached("SELECT id, spec FROM runs JOIN specs ON run = id WHERE run_id = ?1")?
            .query_row([run_id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (run, spec) = found.ok_or_else(|| StoreError::NoSuchRun(run_id.clone()))?;
        Ok((serde_json::from_str(&spec)?, self.events(run, Seq(0))?))
    }

    /// What happened to the run after `seq`.
    ///
    /// # Errors
    ///
    /// `NoSuchRun`, or when the journal cannot be read.
    pub fn events_after(&self, run_id: &RunId, seq: Seq) -> Result<Vec<Recorded>, StoreError> {
        let (run, _) = row_of(&self.connection, run_id)?;
        self.events(run, seq)
    }

    /// The number of the run's last event.
    ///
    /// # Errors
    ///
    /// `NoSuchRun`, or when the journal cannot be read.
    pub fn head(&self, run_id: &RunId) -> Result<Seq, StoreError> {
        Ok(row_of(&self.connection, run_id)?.1)
    }

    /// Forgets runs. Their folders are the caller's.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written; then all of them are still there.
    pub fn forget(&mut self, runs: &[RunId]) -> Result<(), StoreError> {
        let step = self.begin(Durability::Fact)?;
        for run in runs {
            step.prepare_cached("DELETE FROM runs WHERE run_id = ?1")?.execute([run.as_str()])?;
        }
        step.commit()?;
        Ok(())
    }

    /// Gives the room of forgotten runs back to the disk, as far as that is possible.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn compact(&mut self) -> Result<(), StoreError> {
        patience::waiting_for(&self.path);
        self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
        Ok(())
    }

    fn events(&self, run: i64, after: Seq) -> Result<Vec<Recorded>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, at, actor, body FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq",
        )?;
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![run, after])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            events.push(recorded(row)?);
        }
        Ok(events)
    }

    fn begin(&mut self, durability: Durability) -> Result<Step<'_>, StoreError> {
        patience::waiting_for(&self.path);
        let turn = turn::take(&self.path);
        if self.durability != durability {
            let level = match durability {
                Durability::Fact => "PRAGMA synchronous = FULL",
                Durability::Trace => "PRAGMA synchronous = NORMAL",
            };
            self.connection.execute_batch(level)?;
            self.durability = durability;
        }
        // Immediate: a transaction that reads first and then finds somebody else has written
        // would fail instead of waiting.
        let begin = || Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate);
        Ok(Step { transaction: patience::insist(begin)?, _turn: turn })
    }
}

/// A transaction that writes, and the turn that is over after it.
struct Step<'a> {
    transaction: Transaction<'a>,
    _turn: Turn,
}

impl Step<'_> {
    fn commit(self) -> rusqlite::Result<()> {
        self.transaction.commit()
    }
}

impl<'a> Deref for Step<'a> {
    type Target = Transaction<'a>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

fn row_of(connection: &Connection, run_id: &RunId) -> Result<(i64, Seq), StoreError> {
    let found: Option<(i64, i64)> = connection
        .prepare_cached("SELECT id, head FROM runs WHERE run_id = ?1")?
        .query_row([run_id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (run, head) = found.ok_or_else(|| StoreError::NoSuchRun(run_id.clone()))?;
    Ok((run, Seq(u64::try_from(head).unwrap_or(0))))
}

/// The events, and the row of the run as it is after them.
fn write(
    step: &Transaction<'_>,
    run: i64,
    events: &[Recorded],
    after: &Run,
) -> Result<(), StoreError> {
    for recorded in events {
        insert_event(step, run, recorded)?;
        questions::write(step, run, recorded)?;
        standing::write(step, run, recorded)?;
        news::write(step, run, recorded)?;
    }
    let used = after.used();
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let waiting = after.waiting().map(|waiting| serde_json::to_string(&waiting)).transpose()?;
    step.prepare_cached(
        "UPDATE runs SET status = ?2, detail = ?3, started_at = ?4, updated_at = ?5,
             ended_at = ?6, head = ?7, runner_pid = ?8, waiting = ?9, tokens = ?10, turns = ?11,
             work_ms = ?12 WHERE id = ?1",
    )?
    .execute(params![
        run,
        after.status().as_str(),
        after.detail(),
        after.started_at().map(Timestamp::as_millis),
        after.updated_at().map_or(0, Timestamp::as_millis),
        after.ended_at().map(Timestamp::as_millis),
        i64::try_from(after.head().0).unwrap_or(i64::MAX),
        after.runner().map(|runner| runner.pid),
        waiting,
        count(used.tokens.spent()),
        count(used.turns),
        count(used.work_ms),
    ])?;
    Ok(())
}

fn insert_event(step: &Transaction<'_>, run: i64, recorded: &Recorded) -> Result<(), StoreError> {
    let seq = i64::try_from(recorded.seq.0).unwrap_or(i64::MAX);
    step.prepare_cached(
        "INSERT INTO events (run, seq, at, actor, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        run,
        seq,
        recorded.at.as_millis(),
        recorded.actor.as_str(),
        serde_json::to_string(&recorded.event)?,
    ])?;
    Ok(())
}

fn recorded(row: &Row<'_>) -> Result<Recorded, StoreError> {
    let seq: i64 = row.get(0)?;
    let actor: String = row.get(2)?;
    let body: String = row.get(3)?;
    Ok(Recorded {
        seq: Seq(u64::try_from(seq).unwrap_or(0)),
        at: Timestamp::from_millis(row.get(1)?),
        actor: unword(&actor)?,
        event: serde_json::from_str(&body)?,
    })
}

/// The word that serde has for a variant without fields.
fn word(value: &impl serde::Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(word) => Ok(word),
        other => Err(StoreError::Storage(format!("`{other}` is no word").into())),
    }
}

fn unword<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, StoreError> {
    Ok(serde_json::from_value(serde_json::Value::String(word.to_owned()))?)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn no_statement_is_prepared_anew_for_what_is_bound() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.db"), Mode::Write).unwrap();
        let sql = "SELECT id FROM runs WHERE parent_run_id = ? ORDER BY id LIMIT ?";
        for limit in [1, 2, -1] {
            let mut statement = journal.connection.prepare_cached(sql).unwrap();
            assert!(!statement.exists(params!["x", limit]).unwrap());
            assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "limit {limit}");
        }
    }
}
