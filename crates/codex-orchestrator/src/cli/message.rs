//! `message`: one more instruction for a run's Codex thread.

use model::Act;

use super::{Common, Outcome};
use crate::{
    act::message,
    caller,
    naming::RunArgs,
    render::{json, screen::Screen},
};

/// Tell a run's Codex thread something more
///
/// It hears it after what it is at: within its turn, or with its next one. A run that is over is
/// gone on with by another one, with the same thread and in the same work tree.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run: its id, its tail, or its manifest
    run: String,

    /// What to tell it
    #[arg(required = true)]
    text: Vec<String>,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let text = args.text.join(" ");
    let (mut engine, run) = super::status::find_ours(&RunArgs::word(&args.run), common)?;
    let confirm = common.here()?.config(&[])?.settings.confirm.cancel;
    let actor = caller::check(&engine, &caller::by(&engine), Act::Message, &run, confirm)?;
    let told = message::tell(&mut engine, &run, &text, actor)?;
    if common.json() {
        return json::write(&told);
    }
    Screen::out().line(&told.sentence());
    Ok(())
}
