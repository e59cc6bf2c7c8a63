//! How waiting ends, and the page.

use std::{net::TcpStream, sync::Arc};

use serde_json::json;

use super::{Answer, Scripted, Served};
use crate::{OpenError, Page};

#[test]
fn a_call_that_waits_is_told_when_its_client_goes_away() {
    let page = Served::page();
    let stream = page.begin(&page.call("wait", "{}"));
    page.hears("wait");
    page.hears("waits");
    drop(stream);
    page.hears("was told");
}

#[test]
fn a_call_that_waits_is_told_when_the_page_ends_and_still_answers() {
    let page = Served::page();
    let stream = page.begin(&page.call("wait", "{}").without("Connection"));
    page.hears("wait");
    page.hears("waits");
    page.ends();
    page.hears("was told");
    Answer::read(stream).gives(json!({ "is_over": true }));
}

#[test]
fn the_page_ends_whatever_is_connected() {
    let page = Served::page();
    let held = page.desk.stuck.lock().unwrap();
    let stuck = page.begin(&page.call("stuck", "{}"));
    page.hears("stuck");
    let silent = page.connect();
    let half = page.send(b"POST /api/enter HTTP/1.1\r\nHost: 12");
    let body = page.begin(&page.call("echo", "{}").with("Content-Length", "3"));
    let kept = page.begin(&page.get("/").without("Connection"));
    page.ends();
    assert!(TcpStream::connect(page.handle.address()).is_err(), "nobody is there any more");
    drop((held, stuck, silent, half, body, kept));
}

#[test]
fn a_page_may_end_before_it_is_served() {
    let page = Page::open(0, desk()).unwrap();
    page.handle().end();
    page.serve().unwrap();
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let first = Page::open(0, desk()).unwrap();
    let address = first.handle().address();
    assert!(address.ip().is_loopback());
    match Page::open(address.port(), desk()).map(|_| ()) {
        Err(error @ OpenError::InUse(_)) => {
            assert!(error.to_string().contains(&address.port().to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }
    drop(first);
    assert_eq!(Page::open(address.port(), desk()).unwrap().handle().address(), address);
}

fn desk() -> Arc<Scripted> {
    let (heard, _) = std::sync::mpsc::channel();
    Arc::new(Scripted {
        heard: heard.into(),
        closed: Default::default(),
        stuck: Default::default(),
    })
}
