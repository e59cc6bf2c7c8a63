//! Which tools a server offers.

use std::path::Path;

use engine::Access;
use model::{Mode, RunId, RunSpec, caps::DelegateTools};
use serde::Deserialize;

use crate::{caller::Station, desk::Desk, tools::Entry};

/// What a server offers, and to a run only what its caps name of that.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    mode: Mode,
    granted: DelegateTools,
    /// Somebody delegated the run and said by that what it may do.
    delegated: bool,
}

impl Offered {
    /// What is offered now: the least of what was said on the command line, what the repository's
    /// settings say, and what the run was granted.
    pub(crate) fn now(desk: &Desk) -> Self {
        let most = desk.setup.mode.unwrap_or(Mode::Full);
        let place = desk.place().ok();
        let Self { mode, granted, delegated } = match &desk.setup.station {
            Station::Session => Self { mode: most, granted: DelegateTools::ALL, delegated: false },
            Station::Run(run) => match place.and_then(|place| of_run(desk, &place.root, run)) {
                Some(own) => Self { mode: own.mode.min(most), ..own },
                // Of what cannot be read nothing is known that was granted.
                None => {
                    let granted = DelegateTools::NONE;
                    Self { mode: Mode::StatusOnly, granted, delegated: true }
                }
            },
        };
        // With settings that cannot be read nothing can be started; each call says why.
        let settings = place.and_then(|place| desk.config(&place.root).ok());
        let mode = settings.map_or(mode, |loaded| mode.min(loaded.settings.delegate.mode));
        Self { mode, granted, delegated }
    }

    /// The mode that keeps a delegated run from what that tool does, also where it types a command
    /// for it. A run that a person started does by its commands what that person wrote.
    pub(crate) fn kept_by_mode(&self, least: Mode) -> Option<Mode> {
        (self.delegated && least > self.mode).then_some(self.mode)
    }

    /// How much its mode has.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a tool can be seen and called.
    pub(crate) fn has(&self, tool: &Entry) -> bool {
        tool.least <= self.mode && self.granted.has(tool.name)
    }

    /// Whether the caps of whoever calls name that tool, whatever its mode.
    pub(crate) fn grants(&self, tool: &str) -> bool {
        self.granted.has(tool)
    }
}

fn of_run(desk: &Desk, root: &Path, run: &RunId) -> Option<Offered> {
    let spec = desk.engines.with(root, Access::Look, |engine| {
        Ok::<_, engine::EngineError>(engine.journal().spec(run)?)
    });
    let spec = spec.ok()?;
    let granted = spec.delegate_tools(desk.setup.stage).ok()?;
    Some(Offered { mode: mode_of(&spec), granted, delegated: spec.grant.is_some() })
}

/// What the run was granted by whoever delegated it; where a person started it, what the settings
/// said then. What they say now is for the next run: a run may be able to write them.
fn mode_of(spec: &RunSpec) -> Mode {
    if let Some(grant) = &spec.grant {
        return grant.mode;
    }
    let usual = &spec.config.effective["delegate"]["child_mode"];
    Mode::deserialize(usual).unwrap_or(Mode::QuestionOnly)
}
