//! Which tools a server offers.

use std::path::Path;

use engine::Access;
use model::{Mode, RunId};

use crate::{caller::Station, desk::Desk};

/// What a server offers now: the least of what was said on its command line, what the repository's
/// settings say, and what its run was granted.
pub(crate) fn offered(desk: &Desk) -> Mode {
    let most = desk.setup.mode.unwrap_or(Mode::Full);
    let Ok(place) = desk.place() else { return most };
    // With settings that cannot be read nothing is offered that needs them; each call says why.
    let Ok(loaded) = desk.config(&place.root) else { return most };
    let settings = &loaded.settings.delegate;
    let most = most.min(settings.mode);
    match &desk.setup.station {
        Station::Session => most,
        Station::Run(run) => {
            most.min(granted(desk, &place.root, run).unwrap_or(settings.child_mode))
        }
    }
}

/// What the run was granted by whoever delegated it; nothing said where a person started it.
fn granted(desk: &Desk, root: &Path, run: &RunId) -> Option<Mode> {
    let spec = desk.engines.with(root, Access::Look, |engine| {
        Ok::<_, engine::EngineError>(engine.journal().load(run)?.0)
    });
    Some(spec.ok()?.grant?.mode)
}
