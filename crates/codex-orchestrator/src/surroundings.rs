//! Where the program was started: read once, at the edge, and passed on as values.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use engine::{Access, Engine, EngineError};
use model::TaskId;
use repo::{
    config, locate,
    prepare::{self, TaskFrom},
};
use store::HomeError;

use crate::failure::{Failure, FailureKind};

pub(crate) use prepare::TASK_VARIABLE;

/// The variable by which a stage knows its run.
pub(crate) const RUN_VARIABLE: &str = "CODEX_ORCHESTRATOR_RUN_ID";

/// The variable that moves the state folder.
pub(crate) const STATE_VARIABLE: &str = "CODEX_ORCHESTRATOR_HOME";

/// The environment and the repository of a command.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// The repository, its work tree, and git's folders.
    pub(crate) place: locate::Place,
    /// Journals, locks and bells.
    pub(crate) state: PathBuf,
    /// The user's own config, whether it is there or not.
    pub(crate) user_file: Option<PathBuf>,
}

impl Surroundings {
    /// Reads the environment, for the repository around `folder` or around where we are.
    pub(crate) fn read(folder: Option<&Path>) -> Result<Self, Failure> {
        let home = home();
        let user_file = user_file(home.as_deref());
        let from = match folder {
            Some(folder) => folder.to_owned(),
            None => env::current_dir().map_err(|error| {
                Failure::not_found(format!("the current folder cannot be found: {error}"))
            })?,
        };
        let place = locate::locate(&from, user_file.as_deref())
            .map_err(|error| Failure::not_found(error.to_string()))?;
        Ok(Self { place, state: state_folder(home.as_deref())?, user_file })
    }

    /// The settings and pipelines that hold here.
    pub(crate) fn config(&self, overrides: &[String]) -> Result<config::Loaded, Failure> {
        let environment = Self::overrides();
        config::load(&self.inputs(&environment, overrides))
            .map_err(|error| Failure::usage(error.to_string()))
    }

    /// What a config is read from here.
    pub(crate) fn inputs<'a>(
        &'a self,
        environment: &'a [(String, String)],
        command_line: &'a [String],
    ) -> config::Inputs<'a> {
        config::Inputs {
            repo: Some(&self.place.root),
            user_file: self.user_file.clone(),
            environment,
            command_line,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The variables of the environment that a config reads.
    pub(crate) fn overrides() -> Vec<(String, String)> {
        let set = config::OVERRIDE_VARIABLES.iter();
        set.filter_map(|name| Some(((*name).to_owned(), env::var(name).ok()?))).collect()
    }

    /// The journal of the repository.
    pub(crate) fn engine(&self, access: Access) -> Result<Engine, EngineError> {
        Engine::open(&self.state, &self.place.root, access)
    }

    /// The journals to look into: of every repository, or of this one. Where nothing was ever run
    /// there is none, which is no failure: no runs are a list, too.
    pub(crate) fn engines(&self, all_repos: bool) -> Result<Vec<Engine>, EngineError> {
        if all_repos {
            return Engine::all(&self.state);
        }
        match self.engine(Access::Look) {
            Ok(engine) => Ok(vec![engine]),
            Err(EngineError::Home(HomeError::Unknown(_))) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The task of a command that was given `--task` or not, and who said so.
    pub(crate) fn task(&self, given: Option<&str>) -> Result<(TaskId, &'static str), Failure> {
        let variable = env::var_os(TASK_VARIABLE);
        let variable = variable.as_deref().map(OsStr::to_string_lossy);
        let from = |from| match from {
            TaskFrom::Said => "--task",
            from => from.as_str(),
        };
        match prepare::task(&self.place, given, variable.as_deref()) {
            Ok((task, said)) => Ok((task, from(said))),
            Err(bad) => {
                let hint = format!("the task came from {}", from(bad.from));
                Err(Failure::usage(bad.fault).hint(hint))
            }
        }
    }

    /// What stages inherit.
    pub(crate) fn env() -> Vec<(OsString, OsString)> {
        env::vars_os().collect()
    }
}

/// The user's home folder.
pub(crate) fn home() -> Option<PathBuf> {
    env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Whether this is a build machine's, where nobody is to be asked.
pub(crate) fn is_automatic() -> bool {
    env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false" && ci != "0")
}

/// The user's own config.
pub(crate) fn user_file(home: Option<&Path>) -> Option<PathBuf> {
    config::user_file(env::var_os("CODEX_HOME").as_deref(), home)
}

/// What becomes the runner of a run in the background: this program.
pub(crate) fn runner() -> Result<Command, Failure> {
    let program = env::current_exe().map_err(|error| Failure::new(FailureKind::Internal, error))?;
    let mut command = Command::new(program);
    command.arg("__run");
    Ok(command)
}

/// Under `$HOME` and not under `$XDG_STATE_HOME`, which Codex does not pass on to its servers:
/// everybody must find the same folder.
pub(crate) fn state_folder(home: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(folder) = env::var_os(STATE_VARIABLE).filter(|folder| !folder.is_empty()) {
        let folder = PathBuf::from(folder);
        return std::path::absolute(&folder)
            .map_err(|error| Failure::usage(format!("{STATE_VARIABLE}: {error}")));
    }
    match home {
        Some(home) => Ok(home.join(".local/state/codex-orchestrator")),
        None => Err(Failure::usage("there is no home folder to keep state in")
            .hint(format!("set HOME, or {STATE_VARIABLE} to a folder of yours"))),
    }
}
