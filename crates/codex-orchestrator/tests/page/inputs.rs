//! What an answer is typed into, by what it has to be: the page's own modules, with nobody behind them.

use crate::{
    browser::Browser,
    site::{Files, Site},
};

macro_rules! asset {
    ($name:literal) => {
        (
            concat!("/", $name),
            "text/javascript",
            include_str!(concat!("../../../web/assets/", $name)),
        )
    };
}

const FILES: Files = &[
    (
        "/",
        "text/html",
        "<!doctype html><link rel=icon href=data:,><section></section>
         <script type=module src=/test.js></script>",
    ),
    (
        "/test.js",
        "text/javascript",
        "import { Inbox } from '/inbox.js';
         window.fetch = async (_, { body }) => {
           document.title = JSON.parse(body).text;
           return Response.json({ question_id: 'q1', run_id: 'r', run_status: 'in_progress' });
         };
         const inbox = new Inbox(document.querySelector('section'));
         window.ask = (shape) => inbox.show([{
           kind: 'question', question_id: 'q1', run_id: 'r', task_id: 't', repo_root: '/r',
           prompt: 'Well?', asked_at: '2026-11-30T10:15:00.000Z', shape,
         }]);",
    ),
    asset!("address.js"),
    asset!("api.js"),
    asset!("changes.js"),
    asset!("decide.js"),
    asset!("dom.js"),
    asset!("inbox.js"),
    asset!("text.js"),
];

#[test]
fn a_text_with_a_format_is_typed_into_what_fits_and_sent_as_it_is_checked() {
    let Some(mut browser) = Browser::start("a_text_with_a_format") else { return };
    let site = Site::serve(FILES);
    browser.forgive("data:");
    browser.open(&site.at("/"));
    browser.wait_until("it is loaded", "window.ask !== undefined");
    for (format, kind, wrong, right, sent) in [
        ("email", "email", "me", "me@example.com", "me@example.com"),
        ("uri", "url", "example", "https://example.com/a", "https://example.com/a"),
        ("date", "date", "", "2026-11-30", "2026-11-30"),
        ("date-time", "datetime-local", "", "2026-11-30T10:15:07", ""),
    ] {
        let input = format!("input[type={kind}]");
        browser.evaluate(&format!("window.ask({{ type: 'text', format: '{format}' }})"));
        browser.see(&input);
        // Each language of a browser has another order of a date's parts.
        let enter = |browser: &mut Browser, text: &str| {
            let field = format!("document.querySelector('{input}')");
            browser.evaluate(&format!("{field}.focus(); {field}.value = '{text}'"));
            browser.press("Enter");
        };
        enter(&mut browser, wrong);
        browser.see(".complaint");
        enter(&mut browser, right);
        let sent = match sent {
            "" => format!("new Date('{right}').toISOString()"),
            text => format!("'{text}'"),
        };
        browser.wait_until("it is sent", &format!("document.title === {sent}"));
    }
    browser.close();
}
