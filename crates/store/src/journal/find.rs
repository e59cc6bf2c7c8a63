//! Which runs there are. Every question here is answered from an index, so that it takes as long
//! with a hundred thousand runs as with ten.

use model::{RunId, RunStatus, Spent, TaskId, Timestamp};
use rusqlite::{Row, ToSql, types::Value};

use super::{Journal, RunRow};
use crate::StoreError;

/// Which runs are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of that task.
    pub task: Option<TaskId>,
    /// In one of these states; empty means any.
    pub statuses: Vec<RunStatus>,
    /// Started by that run.
    pub parent: Option<RunId>,
    /// Also those that stand for a session.
    pub sessions: bool,
    /// Nothing happened to them since then.
    pub idle_since: Option<Timestamp>,
    /// At most so many.
    pub limit: Option<usize>,
    /// In which order.
    pub sort: Sort,
}

/// The order of a list of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The one that was started last comes first.
    #[default]
    NewestFirst,
    /// The one that was started first comes first.
    OldestFirst,
}

/// What a word that names a run may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// That run.
    One(RunId),
    /// No run.
    None,
    /// All of these, and perhaps more.
    Many(Vec<RunId>),
}

const COLUMNS: &str = "run_id, task_id, parent_run_id, pipeline_id, pipeline_title, status, \
                       detail, created_at, started_at, updated_at, ended_at, origin, runner_pid, \
                       waiting, tokens, turns, work_ms";

impl Journal {
    /// The runs that fit.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn list(&self, filter: &Filter) -> Result<Vec<RunRow>, StoreError> {
        let mut wanted = vec!["1"];
        let mut values: Vec<Value> = Vec::new();
        if let Some(task) = &filter.task {
            wanted.push("task_id = ?");
            values.push(task.to_string().into());
        }
        if let Some(parent) = &filter.parent {
            wanted.push("parent_run_id = ?");
            values.push(parent.to_string().into());
        }
        if !filter.sessions {
            wanted.push("origin <> 'session'");
        }
        if let Some(since) = filter.idle_since {
            wanted.push("updated_at <= ?");
            values.push(since.as_millis().into());
        }
        let marks = vec!["?"; filter.statuses.len()].join(", ");
        let statuses = format!("status IN ({marks})");
        if !filter.statuses.is_empty() {
            wanted.push(&statuses);
            values.extend(filter.statuses.iter().map(|status| status.as_str().to_owned().into()));
        }
        let order = match filter.sort {
            Sort::NewestFirst => "DESC",
            Sort::OldestFirst => "ASC",
        };
        let limit = filter.limit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
        values.push(limit.into());
        let wanted = wanted.join(" AND ");
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE {wanted} ORDER BY id {order} LIMIT ?");
        self.rows(&sql, &values.iter().map(|value| value as &dyn ToSql).collect::<Vec<_>>())
    }

    /// The run's row.
    ///
    /// # Errors
    ///
    /// `NoSuchRun`, or when the journal cannot be read.
    pub fn row(&self, run: &RunId) -> Result<RunRow, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE run_id = ?");
        let mut rows = self.rows(&sql, &[&run.as_str()])?;
        rows.pop().ok_or_else(|| StoreError::NoSuchRun(run.clone()))
    }

    /// How many runs are in that state, without those that stand for sessions.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn count(&self, status: RunStatus) -> Result<u64, StoreError> {
        // Each from its index: to look at every row takes long where there are many.
        let sql = "SELECT (SELECT count(*) FROM runs WHERE status = ?1)
                   - (SELECT count(*) FROM runs INDEXED BY runs_session
                      WHERE session IS NOT NULL AND status = ?1)";
        let count: i64 =
            self.connection.prepare_cached(sql)?.query_row([status.as_str()], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The run that a word names: its id, the beginning of its id or of its tail.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn find(&self, word: &str) -> Result<Found, StoreError> {
        if word.is_empty() {
            return Ok(Found::None);
        }
        // Every text that begins with the word sorts between it and it with the last letter after.
        let end = format!("{word}\u{10ffff}");
        let sql = "SELECT run_id FROM runs WHERE run_id >= ?1 AND run_id < ?2
                   UNION SELECT run_id FROM runs WHERE tail >= ?1 AND tail < ?2
                   ORDER BY run_id DESC LIMIT 6";
        let mut statement = self.connection.prepare_cached(sql)?;
        let texts = statement.query_map([word, &end], |row| row.get::<_, String>(0))?;
        let mut runs = Vec::new();
        for text in texts {
            runs.extend(text?.parse::<RunId>().ok());
        }
        Ok(match runs.as_slice() {
            [] => Found::None,
            [one] => Found::One(one.clone()),
            _ => match runs.iter().find(|run| run.as_str() == word || run.tail() == word) {
                Some(exact)
                    if runs.iter().filter(|run| run.tail() == exact.tail()).count() == 1 =>
                {
                    Found::One(exact.clone())
                }
                _ => Found::Many(runs),
            },
        })
    }

    fn rows(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<RunRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(run_row(row)?);
        }
        Ok(found)
    }
}

fn run_row(row: &Row<'_>) -> Result<RunRow, StoreError> {
    let text = |at: usize| row.get::<_, String>(at);
    let time = |at: usize| row.get::<_, Option<i64>>(at).map(|at| at.map(Timestamp::from_millis));
    let count = |at: usize| row.get(at).map(|count: i64| u64::try_from(count).unwrap_or(0));
    let broken = |what: String| StoreError::Storage(format!("a row of the journal: {what}").into());
    let parent: Option<String> = row.get(2)?;
    Ok(RunRow {
        run_id: text(0)?.parse().map_err(|bad: model::BadRunId| broken(bad.to_string()))?,
        task_id: text(1)?.parse().map_err(|bad: model::BadTaskId| broken(bad.to_string()))?,
        parent_run_id: parent.and_then(|parent| parent.parse().ok()),
        pipeline_id: text(3)?,
        pipeline_title: text(4)?,
        status: text(5)?.parse().map_err(|bad: model::BadStatus| broken(bad.to_string()))?,
        detail: row.get(6)?,
        created_at: Timestamp::from_millis(row.get(7)?),
        started_at: time(8)?,
        updated_at: Timestamp::from_millis(row.get(9)?),
        ended_at: time(10)?,
        origin: super::unword(&text(11)?)?,
        runner_pid: row.get(12)?,
        waiting: row
            .get::<_, Option<String>>(13)?
            .map(|waiting| serde_json::from_str(&waiting))
            .transpose()?,
        spent: Spent { tokens: count(14)?, turns: count(15)?, work_ms: count(16)? },
    })
}
