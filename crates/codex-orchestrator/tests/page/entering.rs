//! How a browser comes in, stays in, and is told that it is out.

use crate::{browser::Browser, entered, scratch::Scratch, ui};

#[test]
fn a_link_lets_one_browser_in_and_it_stays_in() {
    let scratch = Scratch::with("");
    let Some((mut page, mut browser)) = entered(&scratch, "entering") else { return };
    let address = browser.evaluate("location.href");
    assert_eq!(address, format!("http://127.0.0.1:{}/", page.port));
    browser.see_text("#inbox", "Nothing waits for you.");
    browser.see_text("#place", "repo");
    browser.evaluate("location.reload()");
    browser.see_text("#link", "live");
    // Somebody else with the same link is told what to do.
    let Some(mut other) = Browser::start("entering_second") else { return };
    other.forgive("401");
    other.open(&page.url);
    other.see_text("#gate", "This link was used already, or is of another time.");
    other.see_text("#gate", "Enter there makes a new one");
    other.see_no("#desk", None);
    page.press("\r");
    let line = page.hears("#k=");
    let key = crate::opened::key_of(&line);
    other.open(&format!("http://127.0.0.1:{}/#k={key}", page.port));
    other.see_text("#link", "live");
    other.see_no("#gate", Some("Not let in"));
    other.close();
    // Who is in already is not put out by an old link.
    browser.forgive("401");
    browser.open(&page.url);
    browser.see_text("#link", "live");
    browser.see_no("#gate", Some("Not let in"));
    browser.close();
}

#[test]
fn a_page_that_has_ended_says_so_and_a_new_one_wants_a_new_link() {
    let scratch = Scratch::with(
        "[pipelines.holds]\nstages = [{ id = \"it\", command = \"until [ -e go ]; do sleep 0.02; done\" }]",
    );
    let Some((mut page, mut browser)) = entered(&scratch, "ending") else { return };
    let run = scratch.start("holds");
    browser.click("#runs a", Some("holds"));
    browser.see_text(".deeds button:enabled", "Pause");
    browser.forgive("ERR_CONNECTION");
    browser.forgive("ERR_EMPTY_RESPONSE");
    page.press("\u{3}");
    assert_eq!(page.ends(), 0);
    browser.see_text("#link", "The page is not served any more: type `codex-orch ui` again.");
    browser.see_text(".deeds button:disabled", "Pause");
    browser.see_no(".deeds button:enabled", None);
    browser.forgive("401");
    let Some(next) = ui(&scratch, &format!("--port {}", page.port)) else { return };
    browser.see_text("#gate", "Open the link");
    browser.see_no("#desk", None);
    browser.open(&next.url);
    browser.see_text("#link", "live");
    browser.see_text("#runs a", "holds");
    std::fs::write(scratch.at("go"), "").expect("written");
    assert_eq!(scratch.await_end(&run).code, 0);
    browser.see_text("#runs a", "succeeded");
    browser.close();
}
