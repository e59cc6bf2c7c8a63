//! `cancel`: stops a run.

use model::{Act, Request};

use super::{Common, Outcome, pause::control};
use crate::naming::RunArgs;

/// Stop every process of a run, and come back when nothing of it is left
///
/// Its stages get SIGTERM, and SIGKILL after the grace time. Record and output stay, and `resume`
/// takes the run up again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Leave the runs alone that it started
    #[arg(long)]
    only: bool,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let request = Request::Cancel { reason: args.reason.clone() };
    control(&args.run, args.only, Act::Cancel, request, common)
}
