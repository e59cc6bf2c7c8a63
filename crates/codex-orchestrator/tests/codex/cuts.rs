//! Sessions that end before their time, in the middle of a call.

use nix::sys::signal::Signal;

use crate::{client::Ended, desk::Desk, patience::wait_for, server::Served, waits::ask_and_wait};

/// Ends a session by a signal while a call waits, and gives how both ended.
#[track_caller]
fn cut(desk: &Desk, signal: Signal) -> (Ended, Served) {
    desk.model.play("wait for it", ask_and_wait);
    let session = desk.delegate("wait for it");
    session.await_call("delegate.wait");
    let served = desk.served_that_heard("tools/call");
    assert!(served.lives() && session.seen().is_some(), "both are at it");
    session.signal(signal);
    let ended = session.end();
    wait_for("the end of the server", || !served.lives());
    (ended, served)
}

#[test]
fn an_interrupted_session_takes_its_call_back() {
    let Some(desk) = Desk::registered() else { return };
    let (ended, served) = cut(&desk, Signal::SIGINT);
    assert_eq!(ended.code(), Ok(1), "{ended}");
    assert!(served.has_heard("notifications/cancelled"), "{:?}", served.heard());
}

#[test]
fn a_session_that_is_killed_takes_nothing_back_and_its_server_ends() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let Some(desk) = Desk::registered() else { return };
        let (ended, served) = cut(&desk, signal);
        assert_eq!(ended.code(), Err(signal as i32), "{ended}");
        assert!(!served.has_heard("notifications/cancelled"), "{:?}", served.heard());
    }
}
