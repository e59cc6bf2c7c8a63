//! Attempts to get out of cages, by a program that knows how: this one, started again inside.
//!
//! What a caged process says of its success counts against it, and nothing that it says of its
//! failure counts for it: whether something got out is looked at outside.

mod attempts;
mod cages;
mod callers;
mod codex;
mod controls;
mod places;
mod suite;
mod user;
mod world;

use libtest_mimic::{Arguments, Trial};

fn main() {
    supervise::become_guard_if_asked();
    attempts::become_attempt_if_asked();
    callers::become_outsider_if_asked();
    places::become_place_if_asked();
    user::become_user_if_asked();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(suite::trials());
    trials.extend(controls::trials());
    trials.extend(callers::trials());
    trials.extend(cages::trials());
    trials.extend(places::trials());
    trials.extend(codex::trials());
    trials.extend(user::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
