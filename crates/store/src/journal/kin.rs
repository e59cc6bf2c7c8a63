//! Which runs belong together: by key, by session, and across repositories.

use std::path::{Path, PathBuf};

use model::{RunId, Spent};
use rusqlite::params;

use super::{Admission, Durability, Journal, admission};
use crate::StoreError;

/// A run of another repository that a run of this one started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarChild {
    /// Which.
    pub run_id: RunId,
    /// Its repository.
    pub root: PathBuf,
}

impl Journal {
    /// The run that was started for that key.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn by_key(&self, key: &str) -> Result<Option<RunId>, StoreError> {
        admission::by_key(&self.connection, key)
    }

    /// The run that stands for that session.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn by_session(&self, session: &str) -> Result<Option<RunId>, StoreError> {
        admission::by_session(&self.connection, session)
    }

    /// How many runs wait for a place in front of this one, itself included; 0 for one that does not.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn place_in_queue(&self, run: &RunId) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM runs one JOIN runs other
                   ON other.parent_run_id = one.parent_run_id AND other.status = 'queued'
                   AND other.id <= one.id WHERE one.run_id = ?1 AND one.status = 'queued'";
        Ok(self.connection.prepare_cached(sql)?.query_row([run.as_str()], |row| row.get(0))?)
    }

    /// What a run and all of those of this repository that stand below it have used up.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn spent_by_tree(&self, run: &RunId) -> Result<Spent, StoreError> {
        let sql = "WITH RECURSIVE tree (run_id) AS (
                       VALUES (?1)
                       UNION SELECT runs.run_id FROM runs JOIN tree
                       ON runs.parent_run_id = tree.run_id)
                   SELECT total(tokens), total(turns), total(work_ms)
                   FROM runs JOIN tree USING (run_id)";
        // `total` is a float, which holds any number of tokens that there will be.
        let whole = |at: f64| if at.is_finite() && at > 0.0 { at as u64 } else { 0 };
        let found = self.connection.prepare_cached(sql)?.query_row([run.as_str()], |row| {
            let (tokens, turns, work_ms) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Spent { tokens: whole(tokens), turns: whole(turns), work_ms: whole(work_ms) })
        });
        Ok(found?)
    }

    /// Those of a run, and of all of this repository that stand below it, that are at work.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn at_work_in_tree(&self, run: &RunId) -> Result<Vec<RunId>, StoreError> {
        let sql = "WITH RECURSIVE tree (run_id) AS (
                       VALUES (?1)
                       UNION SELECT runs.run_id FROM runs JOIN tree
                       ON runs.parent_run_id = tree.run_id)
                   SELECT run_id FROM runs JOIN tree USING (run_id)
                   WHERE status = 'in_progress' ORDER BY run_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([run.as_str()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.extend(parsed(Some(row.get(0)?))?);
        }
        Ok(found)
    }

    /// Notes that a run of this repository, the parent, is about to start one of another.
    ///
    /// # Errors
    ///
    /// `TooMany` when it may not, and when the journal cannot be written.
    pub fn add_far_child(
        &mut self,
        admission: &Admission,
        run: &RunId,
        root: &Path,
    ) -> Result<(), StoreError> {
        let parent = &admission.parent;
        let step = self.begin(Durability::Fact)?;
        admission.check_total(&step)?;
        step.prepare_cached("INSERT OR REPLACE INTO far_children VALUES (?1, ?2, ?3)")?
            .execute(params![parent.as_str(), run.as_str(), root.to_string_lossy()])?;
        step.commit()?;
        Ok(())
    }

    /// Takes that back: the run never began.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn forget_far_child(&mut self, parent: &RunId, run: &RunId) -> Result<(), StoreError> {
        let step = self.begin(Durability::Fact)?;
        step.prepare_cached("DELETE FROM far_children WHERE parent_run_id = ?1 AND run_id = ?2")?
            .execute([parent.as_str(), run.as_str()])?;
        step.commit()?;
        Ok(())
    }

    /// The runs of other repositories that this run started.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn far_children(&self, parent: &RunId) -> Result<Vec<FarChild>, StoreError> {
        let sql = "SELECT run_id, root FROM far_children WHERE parent_run_id = ?1 ORDER BY run_id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([parent.as_str()])?;
        let mut children = Vec::new();
        while let Some(row) = rows.next()? {
            let root: String = row.get(1)?;
            if let Some(run_id) = parsed(Some(row.get(0)?))? {
                children.push(FarChild { run_id, root: PathBuf::from(root) });
            }
        }
        Ok(children)
    }
}

pub(super) fn parsed(text: Option<String>) -> Result<Option<RunId>, StoreError> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|bad: model::BadRunId| {
        StoreError::Storage(format!("a row of the journal: {bad}").into())
    })
}
