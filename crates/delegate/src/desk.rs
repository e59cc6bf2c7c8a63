//! What every call works with: where it is, who calls, and the run that is meant.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use engine::{Access, Engine, EngineError, Kin};
use model::{
    Act, Actor, By, ConfirmCancel, Mode, Origin, Plan, RunId, RunSpec, StageIndex, TaskId, Tie,
    Verdict, may,
};
use repo::{
    config::{self, Loaded},
    locate::{self, Place},
    prepare,
};
use store::{Found, Home};

use crate::{
    caller::{Caller, Station},
    calls::Stop,
    engines::Engines,
    fault::{Code, Fault},
    forms::Forms,
    names::{Named, named},
    typed::narrow,
};

/// What a server is started with: read from the surroundings by whoever starts it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The state folder.
    pub state: PathBuf,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// The user's own config, whether it is there or not.
    pub user_file: Option<PathBuf>,
    /// The repository that was named; otherwise the one of `cwd`.
    pub repo: Option<PathBuf>,
    /// One that a run's own process named, and that is passed over: a run has its own.
    pub passed_over: Option<PathBuf>,
    /// Where the session works.
    pub cwd: PathBuf,
    /// The mode that was named; it can only narrow what the config says.
    pub mode: Option<Mode>,
    /// What was given as `--config K=V`.
    pub overrides: Vec<String>,
    /// What was given in the same way by somebody who may only narrow: a run's own process.
    pub narrowing: Vec<String>,
    /// The variables of the environment that a config reads.
    pub environment: Vec<(String, String)>,
    /// Where programs are looked for.
    pub path: OsString,
    /// The task, as the environment names it.
    pub task: Option<String>,
    /// This program: it becomes the runner of what is spawned.
    pub program: PathBuf,
    /// Who is at the other end.
    pub station: Station,
    /// The stage of the run that is at the other end, where that is known.
    pub stage: Option<StageIndex>,
}

/// The server's side of every call.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) setup: Setup,
    pub(crate) engines: Engines,
    /// Stands for a session whose client does not say which it is.
    connection: String,
    place: OnceLock<Place>,
    /// To find that out takes several files, and settings are read with each call.
    cpus: usize,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) caller: Caller,
    /// Forms that its client can show, where it has any.
    pub(crate) forms: Option<Forms>,
    pub(crate) stop: &'a Stop,
}

/// A run of ours, where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) root: PathBuf,
    pub(crate) run: RunId,
}

impl Desk {
    pub(crate) fn new(setup: Setup) -> Self {
        let engines = Engines::new(setup.state.clone());
        let connection = format!("connection-{}", engine::new_run_id());
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self { setup, engines, connection, place: OnceLock::new(), cpus }
    }

    /// Stands for a session that does not say which it is.
    pub(crate) fn connection(&self) -> &str {
        &self.connection
    }

    pub(crate) fn caller(&self, meta: &serde_json::Value) -> Caller {
        Caller::of(&self.setup.station, meta, &self.connection)
    }

    /// The repository that calls are about when they name none.
    pub(crate) fn place(&self) -> Result<&Place, Fault> {
        if let Some(place) = self.place.get() {
            return Ok(place);
        }
        let from = self.setup.repo.as_deref().unwrap_or(&self.setup.cwd);
        let place = self.locate(from)?;
        Ok(self.place.get_or_init(|| place))
    }

    pub(crate) fn locate(&self, from: &Path) -> Result<Place, Fault> {
        locate::locate(from, self.setup.user_file.as_deref())
            .map_err(|error| Fault::new(Code::NotFound, error, "name a folder that is there"))
    }

    /// The settings and pipelines of a repository, as they are now.
    pub(crate) fn config(&self, root: &Path) -> Result<Loaded, Fault> {
        let load = |inputs: &config::Inputs<'_>| {
            config::load(inputs).map_err(|error| {
                Fault::invalid(error, "tell the user to mend the config; `codex-orch config check`")
            })
        };
        let mut loaded = load(&self.inputs(root))?;
        if !self.setup.narrowing.is_empty() {
            // As if a variable had said it: that layer widens nothing but the limits.
            let wishes = self.setup.narrowing.iter();
            let wishes =
                wishes.map(|wish| (config::OVERRIDE_VARIABLES[1].to_owned(), wish.clone()));
            let mut environment = self.setup.environment.clone();
            environment.extend(wishes);
            let limits = loaded.settings.limits.clone();
            loaded = load(&config::Inputs { environment: &environment, ..self.inputs(root) })?;
            narrow(&mut loaded.settings.limits, &limits);
        }
        Ok(loaded)
    }

    pub(crate) fn inputs<'a>(&'a self, root: &'a Path) -> config::Inputs<'a> {
        config::Inputs {
            repo: Some(root),
            user_file: self.setup.user_file.clone(),
            environment: &self.setup.environment,
            command_line: &self.setup.overrides,
            cpus: self.cpus,
        }
    }

    /// What becomes a runner.
    pub(crate) fn runner(&self) -> Command {
        let mut command = Command::new(&self.setup.program);
        command.arg("__run");
        command
    }

    /// Says that the session works in another repository than the one it is served for, or that a
    /// run named another than its own.
    pub(crate) fn elsewhere(&self) -> Option<String> {
        let served = self.place().ok()?;
        // What a run named is text and nothing else.
        if let Some(named) = &self.setup.passed_over {
            return (*named != served.root).then(|| {
                format!(
                    "this server acts for a run in {}, and its --repo {} is passed over; to start \
                     something there, name it as `repo`",
                    served.root.display(),
                    named.display()
                )
            });
        }
        let named = self.setup.repo.as_ref()?;
        let own = self.locate(&self.setup.cwd).ok()?;
        (own.root != served.root).then(|| {
            format!(
                "this server is for {} (its --repo says {}), and the session works in {}",
                served.root.display(),
                named.display(),
                own.root.display()
            )
        })
    }
}

impl Call<'_> {
    pub(crate) fn root(&self) -> Result<&Path, Fault> {
        Ok(&self.desk.place()?.root)
    }

    /// Looks into the journal of the repository that is meant when none is named.
    pub(crate) fn here<T>(
        &self,
        work: impl FnOnce(&mut Engine) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.at(self.root()?, work)
    }

    /// Looks into the journal of a repository.
    pub(crate) fn at<T>(
        &self,
        root: &Path,
        work: impl FnOnce(&mut Engine) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.desk.engines.with(root, Access::Look, work)
    }

    /// The run that stands for the caller, where there is one already: its own, or the one of its
    /// session.
    pub(crate) fn own(&self) -> Result<Option<RunId>, Fault> {
        match &self.caller.station {
            Station::Run(run) => Ok(Some(run.clone())),
            Station::Session => {
                let found = self.here(|engine| Ok(engine.session(&self.caller.session)?));
                match found {
                    // Nothing was ever run here.
                    Err(Fault { code: Code::NotFound, .. }) => Ok(None),
                    found => found,
                }
            }
        }
    }

    /// The same, made where there is none. A session that asks in the name of another parent has a
    /// run for that.
    pub(crate) fn own_or_new(&self, parent: Option<&Target>) -> Result<RunId, Fault> {
        if let Station::Run(run) = &self.caller.station {
            return Ok(run.clone());
        }
        let place = self.desk.place()?;
        let session = match parent {
            None => self.caller.session.clone(),
            Some(parent) => format!("{} below {}", self.caller.session, parent.run),
        };
        self.desk.engines.with(&place.root, Access::Run, |engine| {
            if let Some(run) = engine.session(&session)? {
                return Ok(run);
            }
            let spec = self.session_spec(place, parent)?;
            Ok(engine.open_session(&session, &spec)?)
        })
    }

    fn session_spec(&self, place: &Place, parent: Option<&Target>) -> Result<RunSpec, Fault> {
        let loaded = self.desk.config(&place.root)?;
        let facts = prepare::facts(place, &loaded, None, std::time::Duration::ZERO)
            .map_err(|error| Fault::invalid(error, "use a repository whose path is UTF-8"))?;
        let thread = self.caller.thread.as_deref().unwrap_or(&self.caller.session);
        Ok(RunSpec {
            run_id: engine::new_run_id(),
            task_id: self.task(place, None, None)?,
            parent_run_id: parent.map(|parent| parent.run.clone()),
            origin: Origin::Session,
            key: None,
            grant: None,
            no_input: false,
            plan: Plan::of_session(format!("Codex session {thread}")),
            goal: None,
            repo: facts.repo,
            config: facts.config,
            notify: facts.notify,
            // Each run that it starts has a budget of its own; a session lasts as long as it likes.
            limits: model::Limits::default(),
            own_tree: None,
            codex: None,
            follows: None,
            grace_ms: facts.grace_ms,
            supervision: facts.supervision,
        })
    }

    /// The task of something new: the one that is said, else the parent's, else the environment's,
    /// else what the repository is called by.
    pub(crate) fn task(
        &self,
        place: &Place,
        said: Option<&str>,
        parent: Option<&Target>,
    ) -> Result<TaskId, Fault> {
        if let (None, Some(parent)) = (said, parent) {
            return self.at(&parent.root, |engine| Ok(engine.journal().row(&parent.run)?.task_id));
        }
        let variable = self.desk.setup.task.as_deref();
        let found = prepare::task(place, said, variable);
        let next = "task ids are short names such as `fix-login`";
        found.map(|(task, _)| task).map_err(|bad| Fault::invalid(bad, next))
    }

    /// The run that a text names.
    pub(crate) fn find(&self, text: &str) -> Result<Target, Fault> {
        let next = "give the path `.runs/<task-id>/cli/<run-id>/manifest.json`, or the run's id";
        match named(text).map_err(|bad| Fault::invalid(bad, next))? {
            Named::Word(word) => self.here(|engine| {
                let found = engine.journal().find(&word)?;
                match found {
                    Found::One(run) => Ok(Target { root: engine.root().to_owned(), run }),
                    Found::None => Err(unknown(&word)),
                    Found::Many(runs) => {
                        let shown: Vec<&str> = runs.iter().take(5).map(RunId::as_str).collect();
                        let text = format!("`{word}` may be any of {}", shown.join(", "));
                        Err(Fault::invalid(text, "give more of the id"))
                    }
                }
            }),
            Named::Path { root, task, run } => {
                let root = self.allowed_root(root.as_deref(), &run)?;
                self.at(&root, |engine| match engine.journal().row(&run) {
                    Ok(row) if row.task_id == task => {
                        Ok(Target { root: engine.root().to_owned(), run: run.clone() })
                    }
                    Ok(_) => Err(unknown(text)),
                    Err(error) => Err(error.into()),
                })
            }
        }
    }

    /// The repository of a path, if the caller may reach into it: the one it is served for, and those
    /// that the settings or its own runs lead to.
    fn allowed_root(&self, root: Option<&Path>, run: &RunId) -> Result<PathBuf, Fault> {
        let own = self.root()?;
        let Some(root) = root else { return Ok(own.to_owned()) };
        // Only one that is known here is looked at at all.
        let known = Home::all(self.desk.engines.state()).map_err(EngineError::from)?;
        let known = known.iter().find(|home| {
            home.root() == root || root.canonicalize().is_ok_and(|real| real == home.root())
        });
        let outside = || {
            let text =
                format!("{} is not a repository that may be reached from here", root.display());
            Fault::new(Code::Refused, text, "a person adds it to delegate.allowed_repos")
        };
        let found = known.ok_or_else(outside)?.root();
        if found == own || self.allows(found)? || self.is_far_child(run)? {
            return Ok(found.to_owned());
        }
        Err(outside())
    }

    /// Whether the settings allow to start runs in another repository.
    pub(crate) fn allows(&self, wanted: &Path) -> Result<bool, Fault> {
        let own = self.root()?;
        let loaded = self.desk.config(own)?;
        let home = self.desk.setup.home.as_deref();
        Ok(loaded.settings.delegate.allows_repo(own, home, wanted))
    }

    fn is_far_child(&self, run: &RunId) -> Result<bool, Fault> {
        let Some(own) = self.own()? else { return Ok(false) };
        self.here(|engine| Ok(engine.is_below(run, &own)?))
    }

    /// The runs below the caller's own that are in other repositories.
    pub(crate) fn far_kin(&self) -> Result<Vec<Kin>, Fault> {
        let Some(own) = self.own()? else { return Ok(Vec::new()) };
        let mut kin = self.here(|engine| Ok(engine.descendants(&own)?))?;
        let near = self.root()?;
        kin.retain(|kin| kin.root != near);
        Ok(kin)
    }

    /// Their repositories.
    pub(crate) fn far_roots(&self) -> Result<BTreeSet<PathBuf>, Fault> {
        Ok(self.far_kin()?.into_iter().map(|kin| kin.root).collect())
    }

    /// The run that a call is about: the one that is named, else the only one it can mean.
    pub(crate) fn target(&self, text: Option<&str>) -> Result<Target, Fault> {
        match (text, &self.caller.station) {
            (Some(text), _) => self.find(text),
            (None, Station::Run(run)) => {
                Ok(Target { root: self.root()?.to_owned(), run: run.clone() })
            }
            (None, Station::Session) => self.latest(),
        }
    }

    /// The run that a session started last.
    fn latest(&self) -> Result<Target, Fault> {
        let none = || {
            Fault::invalid(
                "this session has started no run, so manifest_path has to say which is meant",
                "delegate.list with all shows the runs there are",
            )
        };
        let own = self.own()?.ok_or_else(none)?;
        self.here(|engine| {
            let filter = store::Filter { parent: Some(own), limit: Some(1), ..Default::default() };
            let row = engine.journal().list(&filter)?.pop().ok_or_else(none)?;
            Ok(Target { root: engine.root().to_owned(), run: row.run_id })
        })
    }

    /// Who calls, as records name it.
    pub(crate) fn by(&self) -> Result<By, Fault> {
        Ok(self.caller.by(self.own()?.as_ref()))
    }

    pub(crate) fn actor(&self) -> Actor {
        match self.caller.station {
            Station::Session => Actor::Session,
            Station::Run(_) => Actor::Child,
        }
    }

    /// How the caller is tied to a run.
    pub(crate) fn tie(&self, target: &Target) -> Result<Tie, Fault> {
        // For a session the difference between its runs and others of its user's makes none.
        match (&self.caller.station, self.own()?) {
            (Station::Session, own) if own.as_ref() != Some(&target.run) => Ok(Tie::Other),
            _ => self.kinship(target),
        }
    }

    /// How the caller's own run is tied to a run, also where that is the one of a session.
    pub(crate) fn kinship(&self, target: &Target) -> Result<Tie, Fault> {
        let Some(own) = self.own()? else { return Ok(Tie::Other) };
        if own == target.run {
            return Ok(Tie::Own);
        }
        let below = self.here(|engine| Ok(engine.is_below(&target.run, &own)?))?;
        Ok(if below { Tie::Below } else { Tie::Other })
    }

    /// Whether the caller may do that to that run, now.
    pub(crate) fn verdict(&self, act: Act, target: &Target) -> Result<Verdict, Fault> {
        let confirm = self.desk.config(&target.root)?.settings.confirm.cancel;
        Ok(may(&self.by()?, act, self.tie(target)?, confirm))
    }

    /// The same where a person's word makes no difference.
    pub(crate) fn allowed(&self, act: Act, target: &Target) -> Result<(), Fault> {
        match may(&self.by()?, act, self.tie(target)?, ConfirmCancel::Owned) {
            Verdict::Yes | Verdict::Confirm => Ok(()),
            Verdict::No(denied) => Err(Fault::denied(denied)),
        }
    }

    /// A manifest's path as the caller may use it again: relative where it is of the repository it
    /// is served for.
    pub(crate) fn shown(&self, root: &Path, relative: &str) -> String {
        match self.root() {
            Ok(own) if own == root => relative.to_owned(),
            _ => root.join(relative).to_string_lossy().into_owned(),
        }
    }
}

fn unknown(name: &str) -> Fault {
    let text = format!("there is no run `{}` here", name.escape_debug());
    Fault::new(Code::NotFound, text, "delegate.list with all shows the runs there are")
}
