//! Threads whose commands a person allows in the local page, in a real browser, and what they changed.

use crate::{
    browser::Browser,
    desk::Desk,
    model::say,
    opened::Opened,
    standing::{reaching, unasked},
    threads::{await_end, in_background, runs},
};

/// The page of that desk, and the browser in which a person has opened it.
fn entered(desk: &Desk, name: &'static str) -> Option<(Opened, Browser)> {
    let mut browser = Browser::start(name)?;
    let page = Opened::at(desk.command("script", &[]), "codex-orch", "")?;
    browser.open(&page.url);
    browser.see_text("#link", "live");
    Some((page, browser))
}

const ASKS: &str = "May it run this command outside of Codex’s sandbox?";

#[test]
fn a_command_of_a_thread_is_allowed_once_by_a_click() {
    let Some(desk) = Desk::registered() else { return };
    let Some((_page, mut browser)) = entered(&desk, "thread_once") else { return };
    let run = reaching(&desk, "one", &["--here"]);
    let file = desk.shelf().join("one");
    browser.see_text(".card.approval", ASKS);
    browser.see_text(".card.approval .exact", &format!("touch {}", file.display()));
    browser.see_text(".card.approval", "it is outside");
    browser.see_text(".card.approval", "It stays within its caps.");
    assert!(!file.exists());
    browser.picture("_asked");
    browser.click(".card.approval button", Some("Once"));
    browser.see_no(".card.approval", None);
    assert_eq!(await_end(&desk, &run)["status"], "succeeded");
    assert!(file.exists());
    browser.see_text("#runs a", "succeeded");
    browser.close();
}

#[test]
fn what_is_allowed_for_the_repository_stands_in_the_page_until_it_is_taken_back_there() {
    let Some(desk) = Desk::registered() else { return };
    let Some((_page, mut browser)) = entered(&desk, "thread_standing") else { return };
    let command = format!("touch {}", desk.shelf().join("one").display());
    let run = reaching(&desk, "one", &["--here"]);
    browser.click(".card.approval button", Some("For this repository: this command…"));
    // Which says first what that is, and can be gone back from.
    browser.see_text(".card.approval .panel", "run exactly this command:");
    browser.see_text(".card.approval .panel .exact", &command);
    browser.click(".card.approval .panel button", Some("Back"));
    browser.click(".card.approval button", Some("For this repository: this command…"));
    browser.picture("_second_click");
    browser.click(".card.approval .panel button", Some("Allow that for every run"));
    browser.see_no(".card.approval", None);
    assert_eq!(await_end(&desk, &run)["status"], "succeeded");
    browser.see_text("#standing", &command);
    assert!(unasked(&desk, &reaching(&desk, "one", &["--here"]), "one"));

    browser.picture("_stands");
    browser.click("#standing button", Some("Take back"));
    browser.see_no("#standing", None);
    let run = reaching(&desk, "one", &["--here"]);
    browser.see_text(".card.approval", ASKS);
    browser.click(".card.approval button", Some("Deny…"));
    browser.type_in("no more");
    browser.press("Enter");
    browser.see_no(".card.approval", None);
    await_end(&desk, &run);
    assert!(!desk.shelf().join("one").exists());
    browser.close();
}

#[test]
fn what_a_run_has_changed_is_seen_and_its_thread_is_told_more() {
    let Some(desk) = Desk::registered() else { return };
    desk.file("fence", "old\n");
    let Some((_page, mut browser)) = entered(&desk, "thread_diff") else { return };
    desk.model.play("paint it", |seen| match seen.outputs() {
        [] => runs(
            "printf 'green\\n' > fence; printf '<b>\\342\\200\\256</b>\\n' > '<img src=x onerror=alert(1)>'",
        ),
        _ => say("The fence is painted."),
    });
    let run = in_background(&desk, &[], "paint it");
    assert_eq!(await_end(&desk, &run)["status"], "succeeded");
    browser.click("#runs a", Some(run.rsplit('-').next().expect("a tail")));
    browser.see_text("#run", "The fence is painted.");
    browser.click("#run button", Some("Show the changes"));
    browser.see_text(".files .path", "fence");
    browser.see_text(".files .path", "<img src=x onerror=alert(1)>");
    browser.see_text("#run", "2 files, +2 −1");
    browser.click("#run summary", Some("As a patch"));
    browser.see_text(".patch .plus", "+green");
    browser.see_text(".patch .minus", "-old");
    browser.see_text(".patch .plus", "+<b>⟨U+202E⟩</b>");
    browser.see_no("#run img", None);
    browser.evaluate("document.querySelector('.files').scrollIntoView()");
    browser.picture("_patch");
    // Its thread is told more, which is another run after it.
    desk.model.play("with a full stop", |seen| match seen.outputs() {
        [] => runs("sed -i s/green/green./ fence"),
        _ => say("It has one."),
    });
    browser.click(".deeds button", Some("Message…"));
    browser.type_in("with a full stop");
    browser.click(".panel button", Some("Send"));
    browser.see_text("#said", "run ");
    browser.click("#runs li:first-child a", Some("with a full stop"));
    browser.see_text("#run", "It has one.");
    browser.close();
}
