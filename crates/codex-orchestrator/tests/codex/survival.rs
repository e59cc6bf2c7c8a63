//! What is left of a session when it is gone: its runs, to be found by whoever comes next.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    desk::{Desk, touch},
    model::{call, hold, say},
    patience::wait_for,
    workflow::{PIPELINES, of, tells, told, wait},
};

#[test]
fn a_run_outlives_its_session_however_that_ends_and_another_session_takes_it_up() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let Some(desk) = Desk::delegating(PIPELINES) else { return };
        desk.model.play("begin it", |seen| match seen.outputs() {
            [] => call("delegate.spawn", json!({ "pipeline": "slow" })),
            _ => hold(),
        });
        let session = desk.delegate("begin it");
        let spawned = desk.model.await_request("begin it", |seen| !seen.outputs().is_empty());
        let path = spawned.outputs()[0]["manifest_path"].as_str().expect("a path").to_owned();
        wait_for("the stage", || desk.repo().join("begun").exists());
        let served = desk.served_that_heard("tools/call");
        session.signal(signal);
        let ended = session.end();
        assert!(!ended.status.success(), "{ended}");
        wait_for("the end of the server", || !served.lives());
        assert_eq!(desk.orch(&["status", &path])["status"], "in_progress", "after {signal}");

        let repo = desk.repo();
        desk.model.play("see it through", move |seen| {
            let run = json!({ "manifest_path": told(seen, "manifest_path") });
            match seen.outputs() {
                [] => of(&run, "delegate.status"),
                [status] => {
                    assert_eq!(status["status"], "in_progress", "{status}");
                    touch(&repo, "go");
                    wait(&run)
                }
                [_, waited] => {
                    assert!(tells(waited, "ended"), "{waited}");
                    of(&run, "delegate.result")
                }
                [.., result] => say(result["status"].as_str().expect("a status")),
            }
        });
        let ended = desk.delegate(&format!("see it through: manifest_path={path}")).succeed();
        assert_eq!(ended.last(), "succeeded", "after {signal}: {ended}");
    }
}

#[test]
fn what_has_a_key_is_started_once_whoever_asks_for_it() {
    let Some(desk) = Desk::delegating(PIPELINES) else { return };
    desk.model.play("see that it runs", |seen| match seen.outputs() {
        [] => call("delegate.spawn", json!({ "pipeline": "slow", "key": "only-once" })),
        [run, ..] => say(run["run_id"].as_str().expect("an id")),
    });
    // Two at once, and one when both are gone.
    let both = [(); 2].map(|()| desk.delegate("see that it runs"));
    let both = both.map(|session| session.succeed().last());
    let third = desk.delegate("see that it runs").succeed().last();
    assert_eq!(both, [third.clone(), third.clone()]);
    let listed = desk.orch(&["list"]);
    let runs = listed["runs"].as_array().expect("runs").iter();
    let slow = runs.filter(|run| run["pipeline_id"] == "slow").count();
    assert_eq!(slow, 1, "{listed:#}");
    touch(&desk.repo(), "go");
    assert!(desk.run("codex-orch", &["wait", &third]).status.success());
}
