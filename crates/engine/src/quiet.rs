//! Runs that are at work and say nothing: whoever waits for one finds that out, and notes it once.

use std::{
    fs,
    time::{Duration, Instant, SystemTime},
};

use model::{RunStatus, Timestamp};
use store::{Filter, RunRow, Tidings};

use crate::{Engine, EngineError, edge};

impl Engine {
    /// Notes as news which of the runs that somebody waits for have done and printed nothing for so
    /// long; each time that a run falls silent once. Says when the next of them may be due.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn note_stalled(&mut self, of: &Tidings, after: Duration) -> Result<Instant, EngineError> {
        let (now, here) = (edge::now(), Instant::now());
        // What begins later is not due before that.
        let mut next = here + after;
        for row in self.at_work(of)? {
            let since = self.last_sign(&row);
            let due = since.after(after);
            if due > now {
                next = next.min(here + due.since(now));
            } else if self.writable() && self.journal_mut().add_stalled(&row.run_id, since, due)? {
                store::Bell::at(&self.news_bell()).ring();
            }
        }
        Ok(next)
    }

    /// Those that wait for nobody, and are not frozen.
    fn at_work(&self, of: &Tidings) -> Result<Vec<RunRow>, EngineError> {
        let mut rows = Vec::new();
        for run in &of.runs {
            rows.push(self.journal().row(run)?);
        }
        if let Some(around) = &of.around {
            let filter = Filter { parent: Some(around.clone()), ..Filter::default() };
            rows.extend(self.journal().list(&filter)?);
        }
        rows.retain(|row| row.status == RunStatus::InProgress && row.waiting.is_none());
        Ok(rows)
    }

    /// When something last happened to a run, or one of its stages wrote something.
    fn last_sign(&self, row: &RunRow) -> Timestamp {
        let stages = self.paths(&row.task_id, &row.run_id).absolute("stages");
        let written = fs::read_dir(stages).into_iter().flatten().filter_map(|entry| {
            let at = entry.ok()?.metadata().ok()?.modified().ok()?;
            let at = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some(Timestamp::from_millis(i64::try_from(at.as_millis()).ok()?))
        });
        // A time to come is no sign of anything.
        let written = written.filter(|at| *at <= edge::now()).max();
        written.map_or(row.updated_at, |written| written.max(row.updated_at))
    }
}
