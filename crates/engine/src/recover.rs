//! What is left of a run whose runner died: found by whoever looks, swept, and written down.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{Actor, Event, Recorded, Report, Run, RunId, RunSpec, RunStatus};
use store::{Durability, Filter, StoreError};
use supervise::{Hold, TreeRecord};

use crate::{Access, Engine, EngineError, channel, edge};

/// How long what is left of a run's processes may take to die.
const LONGEST_SWEEP: Duration = Duration::from_secs(10);

/// How long whoever only looks waits for somebody else who recovers the run.
const PATIENCE_TO_LOOK: Duration = Duration::from_secs(2);

/// What was found by looking at a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is as its journal says.
    Well,
    /// Its runner was dead; what was left of it is gone, and that is written down now.
    Recovered,
}

/// What is known of a run's processes from its journal.
pub(crate) fn traces(events: &[Recorded]) -> Vec<TreeRecord> {
    let mut traces: Vec<(u32, TreeRecord)> = Vec::new();
    for recorded in events {
        match &recorded.event {
            Event::StepLaunched { step, tree } => {
                let record = serde_json::from_value(tree.clone()).ok();
                traces.extend(record.map(|record| (step.stage_index, record)));
            }
            // A try that ended left nothing.
            Event::StepCompleted { step, .. }
            | Event::StepFailed { step, .. }
            | Event::StepCancelled { step, .. } => {
                traces.retain(|(stage, _)| *stage != step.stage_index);
            }
            _ => {}
        }
    }
    traces.into_iter().map(|(_, record)| record).collect()
}

/// Ends everything that is left of the run's trees. The caller holds the run's lock.
pub(crate) fn sweep(engine: &Engine, run: &RunId, events: &[Recorded]) -> Result<(), EngineError> {
    let deadline = Instant::now() + LONGEST_SWEEP;
    let mark = channel::mark_of(run);
    let swept = supervise::sweep(&traces(events), &mark, deadline);
    if !swept.left.is_empty() {
        return Err(EngineError::Leftovers { run: run.clone(), reason: swept.reason });
    }
    // Shims that outlived their runner keep this lock until their trees are empty.
    let free = supervise::wait_until_free(&engine.locks(run).trees, deadline)
        .map_err(EngineError::Supervision)?;
    if free {
        return Ok(());
    }
    let reason = "their supervisor does not let go of them".to_owned();
    Err(EngineError::Leftovers { run: run.clone(), reason })
}

impl Engine {
    /// Sees to it that the journal tells the truth about the run.
    ///
    /// # Errors
    ///
    /// When there is no such run, or what is left of it cannot be ended.
    pub fn refresh(&mut self, run: &RunId) -> Result<Finding, EngineError> {
        self.refresh_within(run, LONGEST_SWEEP)
    }

    /// The same; `patience` is for somebody else who is at it.
    fn refresh_within(&mut self, run: &RunId, patience: Duration) -> Result<Finding, EngineError> {
        self.see_to_old_notices();
        let deadline = Instant::now() + patience;
        loop {
            let status = self.journal().row(run)?.status;
            let unsettled = status.wants_runner() || self.home().is_open(run);
            if !self.writable() || !unsettled {
                return Ok(Finding::Well);
            }
            if !self.is_alive(run)?
                && let Some(finding) = self.recover(run)?
            {
                return Ok(finding);
            }
            // Whoever recovers it holds the run's lock as well, and is no runner.
            if !self.is_recovering(run)? {
                return Ok(Finding::Well);
            }
            let lock = self.locks(run).recovery;
            if !supervise::wait_until_free(&lock, deadline).map_err(EngineError::Supervision)? {
                let reason = "whoever sees to them does not come to an end".to_owned();
                return Err(EngineError::Leftovers { run: run.clone(), reason });
            }
        }
    }

    /// Whether somebody is clearing up after the run's runner.
    pub(crate) fn is_recovering(&self, run: &RunId) -> Result<bool, EngineError> {
        supervise::held(&self.locks(run).recovery).map_err(EngineError::Supervision)
    }

    /// Clears up after a runner that is gone. `None` when somebody else does, or runs it again.
    fn recover(&mut self, run: &RunId) -> Result<Option<Finding>, EngineError> {
        self.make_run_dir(run)?;
        let locks = self.locks(run);
        // This one first, so that nobody takes us for a runner.
        let recovery = Hold::take(&locks.recovery).map_err(EngineError::Supervision)?;
        let Some(_recovery) = recovery else { return Ok(None) };
        let hold = Hold::take(&locks.runner).map_err(EngineError::Supervision)?;
        let Some(_hold) = hold else { return Ok(None) };
        let (spec, events) = self.journal().load(run)?;
        let before = Run::replay(Arc::new(spec.plan.clone()), &events);
        sweep(self, run, &events)?;
        let after = match before.status().wants_runner() {
            true => self.write_down_loss(&spec, before)?,
            // Its runner died with the last event written and not yet shown.
            false => before,
        };
        if self.tell(&spec, &after) {
            self.home().close_run(run);
        }
        Ok(Some(Finding::Recovered))
    }

    /// The same, as far as it can be done: looking needs no room on the disk, and no permission.
    /// Says whether the runner is gone although the journal does not tell.
    pub(crate) fn refresh_if_possible(&mut self, run: &RunId) -> Result<bool, EngineError> {
        match self.refresh_within(run, PATIENCE_TO_LOOK) {
            Err(error @ EngineError::Store(StoreError::NoSuchRun(_))) => Err(error),
            // Also when whoever sees to it was stopped, with the run's lock in its hands.
            Err(EngineError::Leftovers { .. }) => Ok(true),
            Ok(_) | Err(_) => {
                // In this order: a run that ends just now has its end written before it is gone.
                let alive = self.is_alive(run)?;
                Ok(!alive && self.journal().row(run)?.status.wants_runner())
            }
        }
    }

    /// The same for every run that should have a runner, with those whose runner is gone although
    /// the journal does not tell. One that cannot be recovered does not keep the others from it.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub(crate) fn refresh_all(&mut self) -> Result<Vec<RunId>, EngineError> {
        self.see_to_old_notices();
        let mut gone = Vec::new();
        let statuses = [RunStatus::Queued, RunStatus::InProgress, RunStatus::Paused];
        let filter = Filter { statuses: statuses.to_vec(), ..Filter::default() };
        for row in self.journal().list(&filter)? {
            if self.refresh_if_possible(&row.run_id)? {
                gone.push(row.run_id);
            }
        }
        self.settle_overdue();
        for run in self.home().open_runs() {
            if let Err(EngineError::Store(StoreError::NoSuchRun(_))) = self.refresh(&run) {
                self.home().close_run(&run);
            }
        }
        Ok(gone)
    }

    /// The same for the runs that this run started.
    pub(crate) fn refresh_children(&mut self, parent: &RunId) -> Result<(), EngineError> {
        let statuses = vec![RunStatus::Queued, RunStatus::InProgress, RunStatus::Paused];
        let filter = Filter { statuses, parent: Some(parent.clone()), ..Filter::default() };
        for row in self.journal().list(&filter)? {
            self.refresh_if_possible(&row.run_id)?;
        }
        // In other repositories too: by the list that stands in the one of the parent.
        let any = Filter { parent: Some(parent.clone()), limit: Some(1), ..Filter::default() };
        let spec = self.journal().list(&any)?.pop();
        let spec = spec.and_then(|row| self.journal().spec(&row.run_id).ok());
        let parents = spec.and_then(|spec| spec.grant?.parent_root);
        let mut roots: BTreeSet<PathBuf> = parents.iter().map(PathBuf::from).collect();
        let far = match &parents {
            None => self.journal().far_children(parent)?,
            Some(root) => Self::open(self.state(), root.as_ref(), Access::Look)?
                .journal()
                .far_children(parent)?,
        };
        roots.extend(far.into_iter().map(|far| far.root));
        for root in roots.iter().filter(|root| root.as_path() != self.root()) {
            // A repository that is gone has nobody at work.
            if let Ok(mut other) = Self::open(self.state(), root, Access::Look) {
                other.settle()?;
            }
        }
        Ok(())
    }

    /// Writes down that the runner of the run is gone, and everything of it. The caller holds the
    /// run's lock, and has swept.
    pub(crate) fn write_down_loss(
        &mut self,
        spec: &RunSpec,
        before: Run,
    ) -> Result<Run, EngineError> {
        let reason = match before.runner() {
            Some(runner) if Some(&runner.boot_id) != supervise::boot_id().ok().as_ref() => {
                "the machine was restarted".to_owned()
            }
            Some(runner) => format!("its runner (process {}) died", runner.pid),
            None => "its runner died before it began".to_owned(),
        };
        let events = before.note(&Report::RunnerLost { reason });
        self.write_down(spec, &before, events, Actor::Observer)
    }

    /// Appends events to a run that this process holds, and gives the run after them.
    pub(crate) fn write_down(
        &mut self,
        spec: &RunSpec,
        before: &Run,
        events: Vec<Event>,
        actor: Actor,
    ) -> Result<Run, EngineError> {
        let mut after = before.clone();
        let mut fresh = Vec::with_capacity(events.len());
        for event in events {
            let recorded = Recorded { seq: after.head().next(), at: edge::now(), actor, event };
            after.apply(&recorded);
            fresh.push(recorded);
        }
        let head = before.head();
        let fact = Durability::Fact;
        self.journal_mut().append(&spec.run_id, head, &fresh, &after, &[], fact)?;
        Ok(after)
    }

    /// Brings the views of a run up to its journal and rings its bell. Says whether the views are
    /// written; those that cannot be, in a full or read-only repository, are written by whoever
    /// looks next.
    pub(crate) fn tell(&self, spec: &RunSpec, run: &Run) -> bool {
        let paths = self.paths(&spec.task_id, &spec.run_id);
        let children = self.children(&spec.run_id).unwrap_or_default();
        let manifest = store::manifest_of(spec, run, &paths, children);
        let write = || {
            let mut views = self.views(spec)?;
            Ok::<_, StoreError>(
                views.write_events(spec, self.journal(), &[])?
                    && views.write_manifest(&manifest)?,
            )
        };
        let written = matches!(write(), Ok(true));
        store::Bell::at(&self.locks(&spec.run_id).bell).ring();
        // Whatever is written down without a runner is rare, and mostly news.
        store::Bell::at(&self.news_bell()).ring();
        self.see_to_notices();
        written
    }
}
