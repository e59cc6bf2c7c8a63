//! That the browser of these tests shows, clicks, types and complains as one does.

use crate::{
    browser::Browser,
    site::{Files, Site},
};

const FILES: Files = &[
    (
        "/",
        "text/html",
        "<!doctype html><link rel=icon href=data:,><title>t</title><p id=said>nothing</p>
         <form><label>Name <input></label><button>Say</button></form>
         <button id=off disabled>Off</button><p hidden>unseen</p>
         <script type=module src=/page.js></script>",
    ),
    (
        "/page.js",
        "text/javascript",
        "const said = document.querySelector('#said');
         document.querySelector('form').addEventListener('submit', (event) => {
           event.preventDefault();
           said.textContent = `said ${document.querySelector('input').value}`;
         });
         addEventListener('keydown', (event) => {
           if (event.key === 'Escape') said.remove();
         });",
    ),
    ("/inline", "text/html", "<!doctype html><p>shown</p><script>document.title = 1</script>"),
    (
        "/throws",
        "text/html",
        "<!doctype html><p>shown</p><script type=module src=/throws.js></script>",
    ),
    ("/throws.js", "text/javascript", "throw new Error('on purpose');"),
];

#[test]
fn what_is_typed_and_clicked_reaches_the_page() {
    let Some(mut browser) = Browser::start("what_is_typed_and_clicked") else { return };
    let site = Site::serve(FILES);
    browser.forgive("data:");
    browser.open(&site.at("/"));
    browser.see_text("#said", "nothing");
    browser.click("input", None);
    browser.type_in("hello ⟨there⟩");
    browser.click("button", Some("Say"));
    browser.see_text("#said", "said hello ⟨there⟩");
    browser.click("input", None);
    browser.type_in("!");
    browser.press("Enter");
    browser.see_text("#said", "!");
    assert_eq!(browser.text("#said"), "said hello ⟨there⟩!");
    browser.see_no("p", Some("unseen"));
    browser.press("Escape");
    browser.see_no("#said", None);
    browser.close();
}

#[test]
fn what_a_policy_forbids_is_a_complaint() {
    let Some(mut browser) = Browser::start("what_a_policy_forbids") else { return };
    let site = Site::serve(FILES);
    browser.forgive("favicon.ico");
    browser.open(&site.at("/inline"));
    browser.see_text("p", "shown");
    let complaints = browser.complaints();
    let [complaint] = &complaints[..] else { panic!("{complaints:?}") };
    assert!(complaint.contains("script-src 'self'"), "{complaint}");
}

#[test]
fn what_goes_wrong_in_the_page_is_a_complaint() {
    let Some(mut browser) = Browser::start("what_goes_wrong") else { return };
    let site = Site::serve(FILES);
    browser.forgive("favicon.ico");
    browser.open(&site.at("/throws"));
    browser.see_text("p", "shown");
    browser.wait_until("it is loaded", "document.readyState === 'complete'");
    let complaints = browser.complaints();
    let [complaint] = &complaints[..] else { panic!("{complaints:?}") };
    assert!(complaint.contains("on purpose"), "{complaint}");
}
