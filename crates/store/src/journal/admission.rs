//! Whether a run may be added to those that its parent started. This is decided in the commit that
//! adds it, so that any number of servers may spawn for one parent at once.

use model::{RunId, RunSpec};
use rusqlite::{Connection, OptionalExtension, params};

use crate::StoreError;

/// How many runs a parent may have.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Admission {
    /// The parent.
    pub parent: RunId,
    /// How many it may start in all.
    pub children: u32,
    /// How many of them may be at work at once. One that waits for somebody is not.
    pub at_once: u32,
}

impl Admission {
    pub(super) fn check_total(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "SELECT count(*) FROM runs WHERE parent_run_id = ?1";
        let near = count(connection, sql, &self.parent)?;
        let sql = "SELECT count(*) FROM far_children WHERE parent_run_id = ?1";
        let far = count(connection, sql, &self.parent)?;
        match near + far < self.children {
            true => Ok(()),
            false => Err(StoreError::TooMany { parent: self.parent.clone(), limit: self.children }),
        }
    }

    /// Whether one more of the parent's runs may begin, and whether it is the turn of this one:
    /// those that wait for a place get it in their order.
    pub(super) fn check_room(
        &self,
        connection: &Connection,
        run: Option<i64>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT count(*) FROM runs WHERE parent_run_id = ?1
                   AND status IN ('in_progress', 'paused') AND waiting IS NULL";
        let at_work = count(connection, sql, &self.parent)?;
        let sql = "SELECT count(*) FROM runs WHERE parent_run_id = ?1
                   AND status = 'queued' AND id < ?2";
        let before: u32 = connection
            .prepare_cached(sql)?
            .query_row(params![self.parent.as_str(), run.unwrap_or(i64::MAX)], |row| row.get(0))?;
        match at_work.saturating_add(before) < self.at_once {
            true => Ok(()),
            false => {
                Err(StoreError::TooManyAtOnce { parent: self.parent.clone(), limit: self.at_once })
            }
        }
    }
}

fn count(connection: &Connection, sql: &str, parent: &RunId) -> Result<u32, StoreError> {
    Ok(connection.prepare_cached(sql)?.query_row([parent.as_str()], |row| row.get(0))?)
}

/// Refuses a second run for one key, and for one session.
pub(super) fn refuse_double(
    connection: &Connection,
    spec: &RunSpec,
    session: Option<&str>,
) -> Result<(), StoreError> {
    if let Some(key) = &spec.key
        && let Some(run) = by_key(connection, key)?
    {
        return Err(StoreError::KeyTaken { run });
    }
    if let Some(session) = session
        && let Some(run) = by_session(connection, session)?
    {
        return Err(StoreError::SessionTaken { run });
    }
    Ok(())
}

/// The run that was started for that key.
pub(super) fn by_key(connection: &Connection, key: &str) -> Result<Option<RunId>, StoreError> {
    let sql = "SELECT run_id FROM runs WHERE spawn_key = ?1";
    let found: Option<String> =
        connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?;
    super::kin::parsed(found)
}

/// The run that stands for that session.
pub(super) fn by_session(
    connection: &Connection,
    session: &str,
) -> Result<Option<RunId>, StoreError> {
    let sql = "SELECT run_id FROM runs WHERE session = ?1";
    let found: Option<String> =
        connection.prepare_cached(sql)?.query_row([session], |row| row.get(0)).optional()?;
    super::kin::parsed(found)
}
