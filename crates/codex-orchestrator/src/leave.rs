//! What a run that is started by typing a command belongs to, and what it may be because of that.

use std::path::{Path, PathBuf};

use delegate::{Leave, Setup, Station, Typist, Wish};
use engine::{Access, Engine, Undertaking};
use model::{By, Plan, RunId, RunSpec};
use repo::config::Loaded;

use crate::{
    caller,
    cli::{delegate_server, start::What},
    failure::{Failure, FailureKind},
    naming::{Named, RunArgs},
    surroundings::Surroundings,
};

/// What stands above a run that is started here.
#[derive(Debug, Default)]
pub(crate) struct Above {
    /// The run that starts it.
    pub(crate) parent: Option<RunId>,
    /// What an agent that starts it may; a person may do as they like.
    pub(crate) leave: Option<Leave>,
    /// The repository of the parent, where that is another one.
    far: Option<PathBuf>,
}

impl Above {
    /// How a run is begun that has this above it.
    pub(crate) fn undertaking(&self, spec: RunSpec) -> Undertaking {
        let spec = Box::new(spec);
        match &self.leave {
            None => Undertaking::Start(spec),
            Some(leave) => {
                Undertaking::Spawn { spec, admission: leave.admission.clone(), queue: leave.queue }
            }
        }
    }

    /// Has the parent know of it, where that is in another repository: before the run begins, so that
    /// there is none that is nobody's.
    pub(crate) fn note(&self, engine: &Engine, run: &RunId) -> Result<(), Failure> {
        if let (Some(far), Some(leave)) = (&self.far, &self.leave) {
            let mut parents = Engine::open(engine.state(), far, Access::Look)?;
            parents.note_far_child(&leave.admission, run, engine.root())?;
        }
        Ok(())
    }
}

/// What stands above what is to be started: the run that was named, the one whose stage this is, or
/// the one of the session whose shell this is. `plan` is none for a command that was typed itself.
pub(crate) fn above(
    here: &Surroundings,
    loaded: &Loaded,
    what: &What,
    plan: Option<&Plan>,
) -> Result<Above, Failure> {
    let named = match &what.parent_run {
        None => None,
        Some(word) => Some(match RunArgs::word(word).find(here)? {
            Named::Ours(_, run) => run,
            Named::Foreign(manifest, _) => manifest.run_id,
        }),
    };
    let thread = match caller::by_without_engine() {
        By::Person { .. } => return Ok(Above { parent: named, ..Above::default() }),
        By::Session { thread_id, .. } => thread_id,
        By::Run { .. } => None,
    };
    let (station, root) = match caller::number_here() {
        None => (Station::Session, here.place.root.clone()),
        // One that another state folder knows is nobody's parent here.
        Some(_) => match around(here) {
            Some((run, root)) => (Station::Run(run), root),
            None => return Ok(Above { parent: named, ..Above::default() }),
        },
    };
    let overrides = Surroundings::overrides();
    let wish = Wish {
        place: &here.place,
        inputs: &here.inputs(&overrides, &what.config),
        loaded,
        plan,
        parent: named.as_ref(),
    };
    let setup = Setup {
        repo: Some(root.clone()),
        environment: Vec::new(),
        ..delegate_server::setup(root.clone(), station)?
    };
    let typist = Typist { session: caller::session(), thread };
    let (leave, parent) = delegate::leave_to_start(setup, typist, wish).map_err(|none| {
        if let Some(tool) = none.not_granted {
            delegate_server::tell_of_typed(&here.state, tool);
        }
        let next_step = none.next_step.clone();
        Failure::new(FailureKind::Conflict, none).hint(next_step)
    })?;
    let far = (root != here.place.root && named.is_none()).then_some(root);
    Ok(Above { parent: Some(parent), leave: Some(leave), far })
}

/// The run around this process, and its repository.
fn around(here: &Surroundings) -> Option<(RunId, PathBuf)> {
    let engine = here.engine(Access::Look).ok();
    let run = caller::run_here(engine.as_ref(), &here.state)?;
    let known = |engine: &Engine| engine.journal().row(&run).is_ok();
    let root = |engine: &Engine| Path::to_owned(engine.root());
    let found = engine
        .filter(known)
        .map(|engine| root(&engine))
        .or_else(|| Engine::all(&here.state).ok()?.iter().find(|engine| known(engine)).map(root))?;
    Some((run, found))
}
