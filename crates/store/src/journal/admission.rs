//! Whether a run may be added to those that its parent started. This is decided in the commit that
//! adds it, so that any number of servers may spawn for one parent at once.

use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
};

use model::{RunId, RunSpec};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Journal, Mode};
use crate::{Home, StoreError, home::alone_at};

/// How many runs a parent may have.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Admission {
    /// The parent.
    pub parent: RunId,
    /// How many it may start in all.
    pub children: u32,
    /// How many of them may be at work at once. One that waits for somebody is not.
    pub at_once: u32,
    /// Where its runs in other repositories are found.
    #[serde(default)]
    pub household: Option<Household>,
}

/// Where a parent is, and with it the list of its runs in other repositories.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Household {
    /// The state folder.
    pub state: PathBuf,
    /// The parent's repository.
    pub root: PathBuf,
}

impl Admission {
    /// Whether the parent may have one more, as its own journal knows: that one has all of its runs,
    /// wherever they are.
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
    /// those that wait for a place in one repository get it in their order.
    ///
    /// The lock that comes back is kept until the commit: runs of the parent that begin in another
    /// repository meanwhile would not be counted.
    pub(super) fn check_room(
        &self,
        journal: &Path,
        connection: &Connection,
        run: Option<i64>,
    ) -> Result<Option<File>, StoreError> {
        let (elsewhere, lock) = self.at_work_elsewhere(journal, connection)?;
        let at_work = elsewhere.saturating_add(at_work(connection, &self.parent)?);
        let sql = "SELECT count(*) FROM runs WHERE parent_run_id = ?1
                   AND status = 'queued' AND id < ?2";
        let before: u32 = connection
            .prepare_cached(sql)?
            .query_row(params![self.parent.as_str(), run.unwrap_or(i64::MAX)], |row| row.get(0))?;
        match at_work.saturating_add(before) < self.at_once {
            true => Ok(lock),
            false => {
                Err(StoreError::TooManyAtOnce { parent: self.parent.clone(), limit: self.at_once })
            }
        }
    }

    /// How many runs of the parent are at work in other repositories than the one of that journal.
    /// One that cannot be read has none.
    fn at_work_elsewhere(
        &self,
        journal: &Path,
        connection: &Connection,
    ) -> Result<(u32, Option<File>), StoreError> {
        let Some(Household { state, root }) = &self.household else { return Ok((0, None)) };
        let Ok(home) = Home::find(state, root) else { return Ok((0, None)) };
        let path = |root: &PathBuf| Home::find(state, root).ok().map(|home| home.journal());
        let is_near = home.journal() == journal;
        // Most parents have none elsewhere, and then nobody waits.
        if is_near && far_roots(connection, &self.parent)?.is_empty() {
            return Ok((0, None));
        }
        let lock = alone_at(home.run_dir(&self.parent).join("children.lock"))?;
        let (roots, mut others) = match is_near {
            true => (far_roots(connection, &self.parent)?, BTreeSet::new()),
            false => {
                let parents = Journal::open(&home.journal(), Mode::Read)?;
                let roots = far_roots(&parents.connection, &self.parent)?;
                (roots, BTreeSet::from([home.journal()]))
            }
        };
        others.extend(roots.iter().filter_map(path).filter(|other| other != journal));
        let mut count = 0_u32;
        for other in others {
            let read = Journal::open(&other, Mode::Read);
            let read = read.and_then(|other| at_work(&other.connection, &self.parent));
            count = count.saturating_add(read.unwrap_or(0));
        }
        Ok((count, Some(lock)))
    }
}

/// How many runs of a parent are at work, as one journal knows.
fn at_work(connection: &Connection, parent: &RunId) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM runs WHERE parent_run_id = ?1
               AND status IN ('in_progress', 'paused') AND waiting IS NULL";
    count(connection, sql, parent)
}

/// The other repositories in which a run of this journal has runs.
fn far_roots(connection: &Connection, parent: &RunId) -> Result<BTreeSet<PathBuf>, StoreError> {
    let sql = "SELECT DISTINCT root FROM far_children WHERE parent_run_id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([parent.as_str()], |row| row.get::<_, String>(0))?;
    rows.map(|root| Ok(PathBuf::from(root?))).collect()
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
