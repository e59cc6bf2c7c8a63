//! A repository's runs, as anybody may look at them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use model::{Actor, Recorded, Report, Run, RunId, RunSpec, RunStatus, TaskId, caps::Standing};
use store::{
    ChildRun, Filter, Home, HomeError, Journal, Manifest, Mode, RunPaths, RunRow, StoreError,
    Tidings, Tie, Views, ensure_runs_folder, manifest_of,
};

use crate::{Ear, EngineError, caches, edge};

/// What somebody wants of a repository's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To run something; the journal is made when it is not there.
    Run,
    /// To look, and to write down what is found out by looking where that can be written.
    Look,
}

/// A repository's journal, and where everything is.
#[derive(Debug)]
pub struct Engine {
    state: PathBuf,
    home: Home,
    journal: Journal,
    tie: Tie,
    writable: bool,
    /// Listens to the news of the repository once somebody has waited. It is kept: to be rid of it
    /// takes the kernel longer than all else that an answer takes.
    ear: Option<Ear>,
    /// The run that was looked at last, as it was then: to read what has happened since is less than
    /// to read all of it again.
    known: Option<(RunSpec, Run)>,
}

/// A run as it stands.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What it was started with.
    pub spec: RunSpec,
    /// What became of it.
    pub run: Run,
    /// Its runner is alive.
    pub live: bool,
    /// At a glance.
    pub manifest: Manifest,
    /// Where its files are.
    pub paths: RunPaths,
}

/// The lock files and the bell of a run.
#[derive(Debug, Clone)]
pub(crate) struct Locks {
    pub(crate) runner: PathBuf,
    pub(crate) recovery: PathBuf,
    pub(crate) trees: PathBuf,
    pub(crate) bell: PathBuf,
    pub(crate) door: PathBuf,
}

/// What is said of a runner's death when nobody could look into it.
const GONE: &str = "its runner is gone";

impl Engine {
    /// Opens the journal of the repository `root`, kept in the state folder `state`.
    ///
    /// # Errors
    ///
    /// `HomeError::Unknown` when somebody wants to look where nothing was ever run; otherwise
    /// when the state folder cannot be used.
    pub fn open(state: &Path, root: &Path, access: Access) -> Result<Self, EngineError> {
        store::on_stuck_writer(store::Wake {
            writer: supervise::wake_stopped_writer,
            first_in_line: supervise::wake_stopped_holder,
        });
        match access {
            Access::Run => {
                // Nothing is made where nothing can be recorded.
                root.to_str().ok_or_else(|| HomeError::NotText(root.to_owned()))?;
                ensure_runs_folder(root)?;
                let (home, tie) = Home::open(state, root, edge::random())?;
                let journal = Journal::open(&home.journal(), Mode::Write)?;
                let (ear, known) = (None, None);
                let state = state.to_owned();
                Ok(Self { state, home, journal, tie, writable: true, ear, known })
            }
            Access::Look => {
                let home = Home::find(state, root)?;
                if !home.journal().exists() {
                    return Err(HomeError::Unknown(root.to_owned()).into());
                }
                let (journal, writable) = match Journal::open(&home.journal(), Mode::Write) {
                    Ok(journal) => (journal, true),
                    Err(error @ StoreError::Newer { .. }) => return Err(error.into()),
                    Err(_) => (Journal::open(&home.journal(), Mode::Read)?, false),
                };
                let (tie, ear) = (Tie::Known, None);
                let state = state.to_owned();
                Ok(Self { state, home, journal, tie, writable, ear, known: None })
            }
        }
    }

    /// The engines of all repositories that have a journal.
    ///
    /// # Errors
    ///
    /// When the state folder cannot be read.
    pub fn all(state: &Path) -> Result<Vec<Self>, EngineError> {
        let homes = Home::all(state)?;
        Ok(homes
            .iter()
            .filter_map(|home| Self::open(state, home.root(), Access::Look).ok())
            .collect())
    }

    /// The state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Where confined stages of this repository keep what package managers download, in runs of that
    /// standing.
    #[must_use]
    pub fn caches(&self, standing: Standing) -> PathBuf {
        self.state.join("caches").join(short(self.journal_id())).join(caches::whose(standing))
    }

    /// The repository.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.home.root()
    }

    /// What became of the tie between the repository and its journal when it was opened to run.
    #[must_use]
    pub fn tie(&self) -> &Tie {
        &self.tie
    }

    /// The journal, to look.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// Whether what is found out can be written down.
    #[must_use]
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// Where the files of a run are.
    #[must_use]
    pub fn paths(&self, task: &TaskId, run: &RunId) -> RunPaths {
        RunPaths::new(self.root(), task, run)
    }

    /// The bell of a run.
    #[must_use]
    pub fn bell(&self, run: &RunId) -> PathBuf {
        self.locks(run).bell
    }

    /// The id of the journal: it stays when the repository is moved.
    #[must_use]
    pub fn journal_id(&self) -> &str {
        self.home.id()
    }

    /// The bell that is rung with the news of any run of the repository.
    #[must_use]
    pub fn news_bell(&self) -> PathBuf {
        self.home.news_bell()
    }

    /// Lends the ear that listens to the news of the repository. Whoever is done with it gives it
    /// back.
    #[must_use]
    pub fn take_ear(&mut self) -> Ear {
        self.ear.take().unwrap_or_else(|| {
            let mut ear = Ear::new();
            ear.listen_to(&self.news_bell());
            ear
        })
    }

    /// Takes it back.
    pub fn give_ear(&mut self, ear: Ear) {
        self.ear = Some(ear);
    }

    /// The folder of a run in the state folder.
    #[must_use]
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        self.home.run_dir(run)
    }

    /// Where a work tree of its own is made for a run: outside of the repository, so that nothing
    /// that looks through that ever comes across it.
    #[must_use]
    pub fn own_tree(&self, run: &RunId) -> PathBuf {
        self.own_trees().join(run.as_str())
    }

    /// The CODEX_HOME of the threads of that run; none where it has none.
    #[must_use]
    pub fn codex_home(&self, spec: &RunSpec) -> Option<PathBuf> {
        spec.codex.as_ref()?;
        let of = spec.follows.as_ref().map_or(&spec.run_id, |follows| &follows.run_id);
        Some(self.state().join("homes").join(of.as_str()))
    }

    /// Where the work trees are that are made for runs of this repository.
    #[must_use]
    pub fn own_trees(&self) -> PathBuf {
        self.state().join("trees").join(short(self.journal_id()))
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn make_run_dir(&self, run: &RunId) -> Result<PathBuf, StoreError> {
        self.home.make_run_dir(run)
    }

    pub(crate) fn locks(&self, run: &RunId) -> Locks {
        let dir = self.home.run_dir(run);
        Locks {
            runner: dir.join("runner.lock"),
            recovery: dir.join("recovery.lock"),
            trees: dir.join("trees.lock"),
            bell: dir.join("bell"),
            door: dir.join("door"),
        }
    }

    /// Whether the run has a runner, as the kernel knows it.
    ///
    /// # Errors
    ///
    /// When the lock file cannot be asked about.
    pub fn is_alive(&self, run: &RunId) -> Result<bool, EngineError> {
        supervise::held(&self.locks(run).runner).map_err(EngineError::Supervision)
    }

    /// The run as it stands. A run whose runner died is found out, recovered, and written down
    /// as interrupted first; and what nobody has answered in time is closed.
    ///
    /// # Errors
    ///
    /// When there is no such run or the journal cannot be read.
    pub fn snapshot(&mut self, run: &RunId) -> Result<Snapshot, EngineError> {
        let gone = self.refresh_if_possible(run)?;
        let (spec, mut run) = self.replayed(run)?;
        if run.next_expiry().is_some_and(|at| at <= edge::now()) {
            // Where that cannot be written down, the question is still open.
            let _ = self.tell_time(&spec.run_id);
            run = self.replayed(&spec.run_id)?.1;
        }
        let live = !gone && self.is_alive(&spec.run_id)?;
        if gone && run.status().wants_runner() {
            // It could not be written down; it is true all the same.
            pretend(&mut run, &Report::RunnerLost { reason: GONE.to_owned() });
        }
        let paths = self.paths(&spec.task_id, &spec.run_id);
        let children = self.children(&spec.run_id)?;
        let manifest = manifest_of(&spec, &run, &paths, children);
        Ok(Snapshot { spec, run, live, manifest, paths })
    }

    /// What the run was started with, and what became of it.
    pub(crate) fn replayed(&mut self, run: &RunId) -> Result<(RunSpec, Run), StoreError> {
        let known = self.known.take().filter(|(spec, _)| spec.run_id == *run);
        let (spec, now) = match known {
            Some((spec, mut now)) => {
                for recorded in self.journal.events_after(run, now.head())? {
                    now.apply(&recorded);
                }
                (spec, now)
            }
            None => {
                let (spec, events) = self.journal.load(run)?;
                let now = Run::replay(Arc::new(spec.plan.clone()), &events);
                (spec, now)
            }
        };
        self.known = Some((spec.clone(), now.clone()));
        Ok((spec, now))
    }

    /// What the run is doing, without the rest of it.
    ///
    /// # Errors
    ///
    /// When there is no such run or the journal cannot be read.
    pub fn status(&mut self, run: &RunId) -> Result<RunStatus, EngineError> {
        let gone = self.refresh_if_possible(run)?;
        let status = self.journal.row(run)?.status;
        Ok(if gone && status.wants_runner() { RunStatus::Interrupted } else { status })
    }

    /// The runs that fit, each as it is: those whose runner died are recovered first.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn list(&mut self, filter: &Filter) -> Result<Vec<RunRow>, EngineError> {
        let gone = self.refresh_all()?;
        let mut rows = self.journal.list(filter)?;
        // What could not be written down, on a full disk say, is true all the same.
        for row in rows.iter_mut().filter(|row| row.status.wants_runner()) {
            if gone.contains(&row.run_id) {
                row.status = RunStatus::Interrupted;
                row.detail = Some(GONE.to_owned());
            }
        }
        Ok(rows)
    }

    /// Sees to it that the journal tells the truth: of runs whose runners died, and of questions
    /// whose time is up.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn settle(&mut self) -> Result<(), EngineError> {
        self.refresh_all().map(|_| ())
    }

    /// When the next open question of the repository closes by itself. One whose time is up is for
    /// whoever closes it, and nobody is to be woken for it again and again.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        let now = edge::now();
        let at = self.journal.next_expiry(now).ok().flatten()?;
        Some(Instant::now() + at.since(now))
    }

    /// How many of the runs that somebody waits for are not over.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn unfinished(&self, of: &Tidings) -> Result<usize, EngineError> {
        let mut runs = of.runs.clone();
        if let Some(around) = &of.around {
            let filter = Filter { parent: Some(around.clone()), ..Filter::default() };
            let children = self.journal.list(&filter)?.into_iter();
            runs.extend(children.map(|row| row.run_id));
        }
        let mut unfinished = 0;
        for run in &runs {
            unfinished += usize::from(!self.journal.row(run)?.status.ended());
        }
        Ok(unfinished)
    }

    /// Writes the views of a run that nobody is running, where they are not as they should be.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn repair_views(&self, snapshot: &Snapshot) -> Result<(), EngineError> {
        let mut views = self.views(&snapshot.spec)?;
        views.write_events(&snapshot.spec, &self.journal, &[])?;
        views.write_manifest(&snapshot.manifest)?;
        Ok(())
    }

    /// The writer of a run's views.
    pub(crate) fn views(&self, spec: &RunSpec) -> Result<Views, StoreError> {
        Views::new(self.paths(&spec.task_id, &spec.run_id), &self.home, &spec.run_id)
    }

    /// Removes runs that are over: first their folders, so that what is only half removed is
    /// removed by the next attempt, then what the journal knows of them.
    ///
    /// # Errors
    ///
    /// When a folder or the journal cannot be written; runs before that are gone.
    pub fn forget(&mut self, rows: &[RunRow]) -> Result<(), EngineError> {
        let mut gone = Vec::with_capacity(rows.len());
        let mut fault = None;
        for row in rows.iter().filter(|row| row.status.ended()) {
            let record = self.paths(&row.task_id, &row.run_id).absolute("");
            match remove(&record).and_then(|()| remove(&self.run_dir(&row.run_id))) {
                Ok(()) => {
                    // Its threads' home; where another run goes on with them it is that one's too.
                    if !self.goes_on_elsewhere(&row.run_id)? {
                        let home = self.state().join("homes").join(row.run_id.as_str());
                        let _ = remove(&home);
                    }
                    gone.push(row.run_id.clone());
                    // The task's folders go with its last run; they stay while there is anything
                    // in them.
                    for empty in record.ancestors().skip(1).take(2) {
                        let _ = fs::remove_dir(empty);
                    }
                }
                Err(source) => {
                    fault = Some(StoreError::File { path: record, source });
                    break;
                }
            }
        }
        self.journal.forget(&gone)?;
        if gone.len() > 100 {
            self.journal.compact()?;
        }
        fault.map_or(Ok(()), |fault| Err(fault.into()))
    }

    /// The runs that this run started.
    pub(crate) fn children(&self, run: &RunId) -> Result<Vec<ChildRun>, StoreError> {
        let filter = Filter {
            parent: Some(run.clone()),
            sort: store::Sort::OldestFirst,
            ..Filter::default()
        };
        let rows = self.journal.list(&filter)?;
        let child = |row: RunRow| ChildRun {
            manifest: self.paths(&row.task_id, &row.run_id).relative("manifest.json"),
            run_id: row.run_id,
            pipeline_id: row.pipeline_id,
            status: row.status,
        };
        let mut children: Vec<ChildRun> = rows.into_iter().map(child).collect();
        // Those of other repositories, whose manifests are not within this one.
        for far in self.journal.far_children(run)? {
            let Ok(other) = Self::open(&self.state, &far.root, Access::Look) else { continue };
            let Ok(row) = other.journal.row(&far.run_id) else { continue };
            let manifest = other.paths(&row.task_id, &row.run_id).manifest();
            let manifest = manifest.to_string_lossy().into_owned();
            children.push(ChildRun { manifest, ..child(row) });
        }
        Ok(children)
    }
}

/// What folders of a repository are called, for all that is not the journal itself.
pub(crate) fn short(id: &str) -> &str {
    const SHORT: usize = 12;
    id.get(..SHORT).unwrap_or(id)
}

/// Removes a folder and all in it; one that is not there is removed already.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Moves a run in memory only.
fn pretend(run: &mut Run, report: &Report) {
    for event in run.note(report) {
        let seq = run.head().next();
        let at = run.updated_at().unwrap_or_else(edge::now);
        run.apply(&Recorded { seq, at, actor: Actor::Observer, event });
    }
}

/// The manifest of a run that no journal here knows: somebody else's, or a copy. It is shown as
/// it is, and never repaired.
///
/// # Errors
///
/// When the file is not a regular one, is too large to be a manifest, or is none.
pub fn foreign_manifest(path: &Path) -> io::Result<Manifest> {
    const LARGEST: u64 = 64 * 1024 * 1024;
    let data = fs::metadata(path)?;
    let fault = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    if !data.is_file() {
        return Err(fault("it is not a regular file"));
    }
    if data.len() > LARGEST {
        return Err(fault("it is too large for a manifest"));
    }
    let text = fs::read(path)?;
    serde_json::from_slice(&text).map_err(|error| fault(&format!("it is no manifest: {error}")))
}
