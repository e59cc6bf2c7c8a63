//! Which tools a server offers.

use std::path::Path;

use engine::Access;
use model::{Mode, RunId};
use serde::Deserialize;

use crate::{caller::Station, desk::Desk};

/// What a server offers now: the least of what was said on its command line, what the repository's
/// settings say, and what its run was granted.
pub(crate) fn offered(desk: &Desk) -> Mode {
    let most = desk.setup.mode.unwrap_or(Mode::Full);
    let Ok(place) = desk.place() else { return most };
    let most = match &desk.setup.station {
        Station::Session => most,
        Station::Run(run) => most.min(granted(desk, &place.root, run)),
    };
    // With settings that cannot be read nothing can be started; each call says why.
    match desk.config(&place.root) {
        Ok(loaded) => most.min(loaded.settings.delegate.mode),
        Err(_) => most,
    }
}

/// What the run was granted by whoever delegated it; where a person started it, what the settings
/// said then. What they say now is for the next run: a run may be able to write them.
fn granted(desk: &Desk, root: &Path, run: &RunId) -> Mode {
    let spec = desk.engines.with(root, Access::Look, |engine| {
        Ok::<_, engine::EngineError>(engine.journal().load(run)?.0)
    });
    let Ok(spec) = spec else { return Mode::StatusOnly };
    if let Some(grant) = spec.grant {
        return grant.mode;
    }
    let usual = &spec.config.effective["delegate"]["child_mode"];
    Mode::deserialize(usual).unwrap_or(Mode::QuestionOnly)
}
