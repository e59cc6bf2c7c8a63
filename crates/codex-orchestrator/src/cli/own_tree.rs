//! The work tree of a run, for the commands that show it, apply it and throw it away.

use super::Common;
use crate::{
    failure::Failure,
    look::own_tree::{LeftOutEntry, OfRun},
    naming::RunArgs,
    render::screen::Screen,
};

/// The run that is named, if it has a work tree of its own.
pub(super) fn find(args: &RunArgs, common: &Common) -> Result<OfRun, Failure> {
    let (engine, run) = super::status::find_ours(args, common)?;
    OfRun::of(engine, run)
}

/// Says what was left out, where people read.
pub(super) fn tell(left_out: &[LeftOutEntry]) {
    for left in left_out {
        Screen::error().line(&format!("note: left out {}: {}", left.what, left.why));
    }
}
