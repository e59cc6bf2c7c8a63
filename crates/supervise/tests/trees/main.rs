//! Real process trees, in one binary that is also its own guard, runner and hostile stage.

mod bench;
mod ends;

use libtest_mimic::{Arguments, Trial};

fn main() {
    supervise::become_guard_if_asked();
    let arguments = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(ends::trials());
    libtest_mimic::run(&arguments, trials).exit();
}
