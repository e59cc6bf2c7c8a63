//! Much at once.

use serde_json::{Value, json};

use crate::{asks, entered, hears, talker, talking};

const QUICK: &str = "[pipelines.quick]\nstages = [{ id = \"only\", command = \"echo done\" }]\n";

#[test]
fn of_many_questions_each_gets_its_own_answer() {
    let scratch = talking("");
    let Some((_page, mut browser)) = entered(&scratch, "many_questions") else { return };
    let (run, mut inside) = talker(&scratch, "a");
    let asked: Vec<(String, String)> = (0..30)
        .map(|number| {
            let options: Vec<Value> = (0..3).map(|one| json!(format!("{number}.{one}"))).collect();
            asks(&mut inside, &format!("Question {number}?"), &json!({ "options": options }))
        })
        .collect();
    browser.see_text("#waiting", "30 waiting");
    browser.wait_until("all are there", "document.querySelectorAll('#inbox .card').length === 30");
    browser.picture("_all");
    // From above, so that all that follow move up under the mouse.
    for (number, (id, card)) in asked.iter().enumerate() {
        browser.click(&format!("{card} button"), Some(&format!("{number}.1")));
        assert_eq!(hears(&mut inside, id)["answer"], format!("{number}.1"));
    }
    browser.see_text("#inbox", "Nothing waits for you.");
    inside.hang_up();
    assert_eq!(scratch.await_end(&run).code, 0);
    browser.close();
}

/// What stands still is hit; what has just come under the mouse is not.
#[test]
fn a_click_as_something_moves_decides_nothing() {
    let scratch = talking("");
    let Some((_page, mut browser)) = entered(&scratch, "moving") else { return };
    let (run, mut inside) = talker(&scratch, "a");
    let (first, card) = asks(&mut inside, "First?", &json!({ "options": ["yes", "no"] }));
    browser.click(&format!("{card} h3"), None);
    browser.wait_until(
        "it can be clicked",
        &format!("!document.querySelector('{card} .decides').inert"),
    );
    // As soon as anything arrives, what is there is off for a moment.
    browser.evaluate(
        "window.__was = []; new MutationObserver(() => {
           for (const node of document.querySelectorAll('#inbox .decides')) __was.push(node.inert);
         }).observe(document.querySelector('#inbox .cards'), { childList: true })",
    );
    let (next, other) = asks(&mut inside, "Next?", &json!({ "options": ["yes", "no"] }));
    browser.see_text(&other, "Next?");
    browser.wait_until("all were off", "__was.length > 1 && __was.every(Boolean)");
    browser.click(&format!("{card} button"), Some("yes"));
    browser.click(&format!("{other} button"), Some("no"));
    assert_eq!(hears(&mut inside, &first)["answer"], "yes");
    assert_eq!(hears(&mut inside, &next)["answer"], "no");
    inside.hang_up();
    assert_eq!(scratch.await_end(&run).code, 0);
    browser.close();
}

#[test]
fn two_windows_of_one_browser_are_live_and_many_runs_are_there() {
    let scratch = talking(QUICK);
    let Some((page, mut browser)) = entered(&scratch, "windows") else { return };
    for _ in 0..60 {
        scratch.json(&["start", "quick", "--task", "demo"]);
    }
    browser.see_text("#runs h2", "the newest 50 of 60");
    let second = browser.open_window();
    browser.open(&format!("http://127.0.0.1:{}/", page.port));
    browser.see_text("#link", "live");
    browser.picture("_runs");
    // More than one browser opens to one host at once, if each look held one.
    let windows: Vec<usize> = (0..3)
        .map(|_| {
            let window = browser.open_window();
            browser.open(&format!("http://127.0.0.1:{}/", page.port));
            browser.see_text("#link", "live");
            window
        })
        .collect();
    let (run, mut inside) = talker(&scratch, "a");
    let (id, card) = asks(&mut inside, "Which way?", &json!({ "options": ["left", "right"] }));
    for window in [&[0, second][..], &windows].concat() {
        browser.turn_to(window);
        browser.see_text(&card, "Which way?");
    }
    browser.turn_to(second);
    browser.click(&format!("{card} button"), Some("left"));
    assert_eq!(hears(&mut inside, &id)["answer"], "left");
    browser.turn_to(0);
    browser.see_no(&card, None);
    inside.hang_up();
    assert_eq!(scratch.await_end(&run).code, 0);
    browser.close();
}
