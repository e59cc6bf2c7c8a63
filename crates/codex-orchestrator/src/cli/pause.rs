//! `pause`: freezes a run.

use model::{Act, Request};

use super::{Common, Outcome};
use crate::{
    act::{self, control::Control},
    caller,
    naming::RunArgs,
    render::{json, screen::Screen},
};

/// Freeze every process of a run, and come back when it is frozen
///
/// A Codex thread comes to the end of its turn first, since a stream that is frozen is cut off.
/// Time limits stand still meanwhile. `resume` lets it go on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Leave the runs alone that it started
    #[arg(long)]
    only: bool,

    /// Freeze Codex threads in the middle of their turns, too; a request may be sent again then
    #[arg(long)]
    freeze: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    control(&args.run, args.only, Act::Pause, Request::Pause { freeze: args.freeze }, common)
}

/// Asks a run for something, and those below it, and says what became of it.
pub(crate) fn control(
    run: &RunArgs,
    only: bool,
    act: Act,
    request: Request,
    common: &Common,
) -> Outcome {
    let (mut engine, run) = super::status::find_ours(run, common)?;
    let confirm = common.here()?.config(&[])?.settings.confirm.cancel;
    let by = caller::by(&engine);
    let wanted = Control { by: &by, act, request, only, confirm };
    let (document, said) = act::control::control(&mut engine, &run, &wanted)?;
    if common.json() {
        return json::write(&document);
    }
    Screen::out().line(&said);
    Ok(())
}
