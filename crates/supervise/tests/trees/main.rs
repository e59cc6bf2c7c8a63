//! Real process trees, in one binary that is also its own guard and its own doomed runner.

mod bench;
mod cages;
mod ends;
mod holds;
mod hung;
mod kills;
mod neighbours;
mod outputs;
mod runner;
mod stops;
mod sweeps;
mod user;
mod witness;

use libtest_mimic::{Arguments, Trial};

fn main() {
    supervise::become_guard_if_asked();
    runner::become_runner_if_asked();
    user::become_user_if_asked();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(ends::trials());
    trials.extend(outputs::trials());
    trials.extend(holds::trials());
    trials.extend(stops::trials());
    trials.extend(kills::trials());
    trials.extend(hung::trials());
    trials.extend(neighbours::trials());
    trials.extend(sweeps::trials());
    trials.extend(user::trials());
    trials.extend(cages::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
