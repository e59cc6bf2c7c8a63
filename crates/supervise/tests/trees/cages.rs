//! The stories about stopping, freezing and killing once more, with every tree in a cage: its own
//! namespaces keep it from nobody who holds it.

use std::process::Command;

use libtest_mimic::Trial;
use supervise::{LaunchError, RungChoice};

use crate::bench::{Bench, CAGED, cage_of, launch_in, say, story};
use crate::stops::SETUID_PYTHON;

/// What the stories have in their names that are told again.
const PARTS: [&str; 6] = ["killed", "frozen", "freez", "stop", "leftovers", "dead"];

pub(crate) fn trials() -> Vec<Trial> {
    if std::env::var_os(CAGED).is_some() {
        return Vec::new();
    }
    let mut trials = Vec::new();
    for profile in ["strict", "wrap"] {
        for part in PARTS {
            let name = format!("in_a_cage_of_kind_{profile}_what_is_{part}_is_as_well");
            trials.push(story(&name, move || check(profile, part)));
        }
    }
    trials
}

fn check(profile: &str, part: &str) {
    if let Some(why) = why_not(profile) {
        return say(&format!("skipped: {why}"));
    }
    let mut command = Command::new("/proc/self/exe");
    // Those that are about users start themselves again, and a run inside of a tree is one that
    // asks for another outside of it.
    command.args([part, "--skip", "user", "--skip", "a_run_inside"]);
    let status = command.env_remove(SETUID_PYTHON).env(CAGED, profile).status().expect("it runs");
    assert!(status.success(), "in cages: {status}");
}

fn why_not(profile: &str) -> Option<String> {
    let bench = Bench::new(RungChoice::Automatic);
    let log = std::fs::File::create(bench.path("log")).expect("a log");
    let (output, ends) = supervise::Output::to_log(log, None).expect("pipes");
    let mut launch = launch_in(bench.dir.path(), &["true"], ends);
    launch.cage = Some(cage_of(bench.dir.path(), profile));
    match bench.guard.launch(launch) {
        Ok(tree) => {
            tree.watch(output, |_| {});
            None
        }
        Err(LaunchError::NotCaged(refused)) => Some(refused.to_string()),
        Err(error) => panic!("{error}"),
    }
}
