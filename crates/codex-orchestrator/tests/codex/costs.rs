//! What it costs to have a thread driven as a run: time beside the bare app-server with the same
//! model, and memory. Numbers for people, and no test: `just thread-costs` shows them.

use std::time::{Duration, Instant};

use crate::{
    client::say as tell,
    desk::Desk,
    model::{hold, say},
    patience::wait_for,
    thread::{Thread, opening},
    threads::{await_end, delegate, in_background, runs, status},
};

const TIMES: usize = 5;
const ITEMS: usize = 50;
const AT_ONCE: usize = 20;

fn median(mut work: impl FnMut()) -> Duration {
    let mut took = [(); TIMES].map(|()| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    });
    took.sort();
    took[TIMES / 2]
}

/// The memory of a process that is its share, in KiB.
fn share(pid: i64) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

#[test]
#[ignore = "numbers for people"]
fn what_a_thread_costs_beside_the_bare_app_server() {
    let Some(desk) = Desk::registered() else { return };
    desk.model.play("say a word", |_| say("A word."));
    desk.model.play("do much", |seen| match seen.outputs().len() {
        ITEMS.. => say("Done."),
        _ => runs("true"),
    });
    for cue in ["say a word", "do much"] {
        let bare = median(|| {
            Thread::start(&desk, opening(&desk, cue)).over();
        });
        let ours = median(|| {
            assert_eq!(delegate(&desk, &[], cue)["status"], "succeeded");
        });
        tell(&format!("{cue}: bare {bare:?}, as a run {ours:?}"));
    }
    desk.model.play("hold on", |_| hold());
    let id = in_background(&desk, &["--here"], "hold on");
    desk.model.first("hold on");
    let runner = status(&desk, &id)["host"]["pid"].as_i64().expect("a runner");
    tell(&format!("a runner with a live thread: {} KiB", share(runner)));
    desk.orch(&["cancel", &id]);
    let begun = Instant::now();
    let ids: Vec<String> =
        (0..AT_ONCE).map(|_| in_background(&desk, &["--here"], "say a word")).collect();
    for id in &ids {
        assert_eq!(await_end(&desk, id)["status"], "succeeded");
    }
    tell(&format!("{AT_ONCE} at once: {:?}", begun.elapsed()));
    wait_for("everybody's end", || crate::processes::at_home(&desk.home()).is_empty());
}
