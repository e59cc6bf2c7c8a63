//! Who is let in.

use serde_json::json;

use super::Served;

#[test]
fn a_link_lets_one_browser_in_once() {
    let page = Served::page();
    let key = page.key();
    let token = page.enter(&key).json()["token"].as_str().unwrap().to_owned();
    page.enter(&key).refuses(401, "unauthorized");
    let asked =
        page.post("/api/echo", r#"{"a":1}"#).with("Authorization", &format!("Bearer {token}"));
    page.ask(&asked).gives(json!({ "a": 1 }));
}

#[test]
fn a_new_link_voids_the_one_before() {
    let page = Served::page();
    let (old, new) = (page.key(), page.key());
    page.enter(&old).refuses(401, "unauthorized");
    assert_eq!(page.enter(&new).status, 200);
}

#[test]
fn whoever_is_in_stays_in_when_another_comes() {
    let page = Served::page();
    let first = page.call("echo", "{}");
    let second = page.call("echo", "{}");
    page.ask(&first).gives(json!({}));
    page.ask(&second).gives(json!({}));
}

#[test]
fn nothing_is_done_without_a_token() {
    let page = Served::page();
    let token = page.token();
    let echo = page.post("/api/echo", "{}");
    page.ask(&echo).refuses(401, "unauthorized");
    for bearer in ["", "Bearer", "Bearer ", "Bearer AAAA", &token, &format!("Basic {token}")] {
        page.ask(&echo.clone().with("Authorization", bearer)).refuses(401, "unauthorized");
    }
    let twice = echo.with("Authorization", &format!("Bearer {token}"));
    page.ask(&twice.also("Authorization", &format!("Bearer {token}"))).refuses(401, "unauthorized");
    // Nor is it said what there would be.
    page.ask(&page.post("/api/nothing", "{}")).refuses(401, "unauthorized");
    assert!(page.heard.try_recv().is_err(), "the desk was asked");
}

#[test]
fn a_key_is_asked_for_as_text() {
    let page = Served::page();
    for body in [r#"{"key":null}"#, r#"{"key":["a"]}"#, "{}"] {
        page.ask(&page.post("/api/enter", body)).refuses(401, "unauthorized");
    }
    let long = format!(r#"{{"key":"{}"}}"#, "a".repeat(2000));
    page.ask(&page.post("/api/enter", &long)).refuses(413, "too_large");
}

#[test]
fn whoever_is_not_admitted_is_told_why_whatever_they_want() {
    let page = Served::page();
    let echo = page.call("echo", "{}");
    let key = page.key();
    *page.desk.closed.lock().unwrap() = Some("it is late".to_owned());
    for asked in [page.get("/"), page.get("/assets/page.js"), echo.clone()] {
        let answer = page.ask(&asked);
        answer.refuses(403, "refused");
        assert_eq!(answer.json()["error"]["message"], "it is late");
    }
    page.enter(&key).refuses(403, "refused");
    *page.desk.closed.lock().unwrap() = None;
    assert_eq!(page.enter(&key).status, 200, "the key was not used");
    page.ask(&echo).gives(json!({}));
}
