//! What is left of stages that were confined, however they ended: no process, no network, no mount,
//! and nothing in the place of what was not there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Near, can_be_confined};
use crate::{
    processes::{Family, Seen, marked},
    scratch::{Scratch, done, wait_for},
};

/// A stage that does its best to be left behind, has a way out, and has something protected that is
/// not there.
const CAPS: &str = r#"
[run]
grace = "100ms"
[caps.network]
mode = "none"
forward = ["127.0.0.1:PORT"]
[caps.fs]
write = ["@worktree"]
protect = ["@config"]
tmp = "private"
"#;
const HOSTILE: &str = r#"trap '' TERM INT HUP
(env -i setsid sh -c 'trap "" TERM INT HUP; while :; do echo x >> beats; sleep 0.02; done' &)
until [ -e go ]; do sleep 0.02; done"#;

/// Where something may be left, as it is while such a stage runs.
struct Traces {
    family: Vec<Seen>,
    networks: Vec<PathBuf>,
}

fn network_of(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

fn mounts_below(folder: &Path) -> Vec<String> {
    let all = fs::read_to_string("/proc/self/mountinfo").expect("readable");
    let folder = folder.display().to_string();
    all.lines().filter(|line| line.contains(&folder)).map(ToOwned::to_owned).collect()
}

fn everybody() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

impl Traces {
    fn of(runner: i32) -> Self {
        let ours = network_of(runner).expect("it lives");
        let family = Family::of(runner).all;
        let mut networks: Vec<PathBuf> =
            family.iter().filter_map(|seen| network_of(seen.pid)).collect();
        networks.sort();
        networks.dedup();
        networks.retain(|network| *network != ours);
        assert_eq!(networks.len(), 1, "the stage has a network of its own: {networks:?}");
        Self { family, networks }
    }

    #[track_caller]
    fn are_gone(&self, scratch: &Scratch) {
        wait_for("the end of all processes", || !self.family.iter().any(|seen| seen.lives()));
        let inside = |pid: &i32| network_of(*pid).is_some_and(|own| self.networks.contains(&own));
        let left: Vec<i32> = everybody().into_iter().filter(inside).collect();
        assert_eq!(left, Vec::<i32>::new(), "nobody is in its network");
        assert_eq!(scratch.processes(), Vec::<i32>::new());
        assert_eq!(mounts_below(scratch.folder()), Vec::<String>::new());
        let place = scratch.at("codex.orchestrator.json");
        assert!(!place.exists(), "nothing is in the place of what was not there");
    }
}

fn hostile(more: &str) -> Scratch {
    let caps = CAPS.replace("PORT", &Near::start().port.to_string());
    let scratch = Scratch::with(&format!(
        "{caps}\n[pipelines.hold]\nstages = [{{ id = \"it\", {more}command = '''{HOSTILE}''' }}]\n"
    ));
    scratch.git();
    scratch
}

fn begun(scratch: &Scratch) -> (String, i32, Traces) {
    let run = scratch.start("hold");
    wait_for("a beat", || !scratch.text("beats").is_empty());
    let runner = scratch.runner(&run);
    let traces = Traces::of(runner);
    (run, runner, traces)
}

#[test]
fn a_confined_stage_that_is_cancelled_leaves_nothing() {
    if !can_be_confined() {
        return;
    }
    let scratch = hostile("");
    let (run, _, traces) = begun(&scratch);
    assert!(scratch.at("codex.orchestrator.json").is_dir(), "the place is kept meanwhile");
    assert_eq!(scratch.run(&["cancel", &run]).code, 0);
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "cancelled");
    traces.are_gone(&scratch);
}

#[test]
fn a_confined_stage_that_takes_too_long_leaves_nothing() {
    if !can_be_confined() {
        return;
    }
    let scratch = hostile("timeout = \"2s\", ");
    let (run, _, traces) = begun(&scratch);
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "failed");
    traces.are_gone(&scratch);
}

#[test]
fn a_confined_stage_that_ends_by_itself_leaves_nothing() {
    if !can_be_confined() {
        return;
    }
    let scratch = hostile("");
    let (run, _, traces) = begun(&scratch);
    fs::write(scratch.at("go"), "").expect("a file");
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "succeeded");
    traces.are_gone(&scratch);
}

#[test]
fn a_confined_stage_whose_runner_is_killed_leaves_nothing() {
    if !can_be_confined() {
        return;
    }
    let scratch = hostile("");
    let (run, runner, traces) = begun(&scratch);
    kill(Pid::from_raw(runner), Signal::SIGKILL).expect("it lives");
    wait_for("the end of all processes", || !traces.family.iter().any(|seen| seen.lives()));
    assert_eq!(scratch.status(&run), "interrupted");
    traces.are_gone(&scratch);
}

#[test]
fn a_confined_stage_is_frozen_by_a_pause_and_goes_on_after_it() {
    if !can_be_confined() {
        return;
    }
    let scratch = hostile("");
    let (run, _, traces) = begun(&scratch);
    assert_eq!(scratch.run(&["pause", &run]).code, 0);
    wait_for("the pause", || scratch.status(&run) == "paused");
    let still = scratch.text("beats").len();
    // Another clock of the same kind goes on.
    let clock = "for _ in $(seq 50); do sleep 0.02; done";
    assert_eq!(done(&mut scratch.elsewhere("sh", &["-c", clock])).code, 0);
    assert_eq!(scratch.text("beats").len(), still, "nothing of it moves");
    assert_eq!(scratch.run(&["resume", &run]).code, 0);
    wait_for("a beat", || scratch.text("beats").len() > still);
    fs::write(scratch.at("go"), "").expect("a file");
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "succeeded");
    traces.are_gone(&scratch);
}

#[test]
fn a_runner_that_goes_on_keeps_nothing_of_a_stage_that_has_ended() {
    if !can_be_confined() {
        return;
    }
    let caps = CAPS.replace("PORT", &Near::start().port.to_string());
    let stage = |id: &str, needs: &str| {
        format!(
            "{{ id = \"{id}\", command = \"touch {id}; until [ -e {needs} ]; do sleep 0.02; done\" }}"
        )
    };
    let stages = ["a", "b", "c"].map(|id| stage(id, &format!("go-{id}"))).join(", ");
    let scratch = Scratch::with(&format!("{caps}\n[pipelines.hold]\nstages = [{stages}]\n"));
    let run = scratch.start("hold");
    let runner = || scratch.runner(&run);
    let held =
        |kind: &str| fs::read_dir(format!("/proc/{}/{kind}", runner())).map_or(0, Iterator::count);
    let mut seen = Vec::new();
    for id in ["a", "b", "c"] {
        wait_for("the stage", || scratch.at(id).exists());
        let networks = Traces::of(runner()).networks;
        seen.push((held("fd"), held("task")));
        fs::write(scratch.at(format!("go-{id}")), "").expect("a file");
        wait_for("its end", || {
            let inside = |pid: &i32| network_of(*pid).is_some_and(|own| networks.contains(&own));
            !everybody().iter().any(inside)
        });
    }
    scratch.await_end(&run);
    assert_eq!(scratch.status(&run), "succeeded");
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "files and threads: {seen:?}");
    let mark = format!("CODEX_ORCHESTRATOR_RUN_ID={run}");
    assert_eq!(marked(&mark), Vec::<i32>::new());
}
