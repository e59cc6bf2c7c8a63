//! Questions that are answered in the page while their stage waits.

use serde_json::json;

use crate::{
    asks, entered,
    ground::{Bridged, call},
    hears, talker, talking,
};

#[test]
fn a_click_answers_and_the_stage_goes_on() {
    let scratch = talking("");
    let Some((_page, mut browser)) = entered(&scratch, "answering") else { return };
    let (run, mut inside) = talker(&scratch, "a");
    let (id, card) = asks(&mut inside, "Which way?", &json!({ "options": ["left", "right"] }));
    let waits = inside.begin("question.poll", json!({ "question_id": id, "wait_ms": 60_000 }));
    browser.see_text(&card, "Which way?");
    browser.see_text("#waiting", "1 waiting");
    browser.wait_until("it is in the title", "document.title.startsWith('(1) ')");
    browser.click(&format!("{card} button"), Some("right"));
    browser.see_text("#said", &format!("{id} answered"));
    let told = inside.said("question.poll", waits).expect("an answer").given();
    assert_eq!(told["answer"], "right", "{told}");
    browser.see_no(&card, None);
    inside.hang_up();
    assert_eq!(scratch.await_end(&run).code, 0);
    let output = scratch.run(&["logs", &run]).stdout;
    assert!(output.contains("\"answer\":\"right\""), "{output}");
    browser.close();
}

#[test]
fn what_is_typed_is_not_lost_when_something_else_arrives() {
    let scratch = talking("");
    let Some((_page, mut browser)) = entered(&scratch, "typing") else { return };
    let (run, mut inside) = talker(&scratch, "a");
    let (first, card) = asks(&mut inside, "What is its name?", &json!({}));
    browser.click(&format!("{card} textarea"), None);
    browser.type_in("half of a ");
    let (next, other) = asks(&mut inside, "And then?", &json!({ "urgency": "high" }));
    browser.see_text(&other, "And then?");
    browser.type_in("⟨name⟩");
    browser.picture("_two");
    browser.click(&format!("{card} button"), Some("Answer"));
    assert_eq!(hears(&mut inside, &first)["answer"], "half of a ⟨name⟩");
    browser.see_no(&card, None);
    // One is closed without an answer.
    browser.click(&format!("{other} button"), Some("Dismiss…"));
    browser.type_in("it does not matter");
    browser.press("Enter");
    let told = hears(&mut inside, &next);
    assert_eq!(told["status"], "dismissed", "{told}");
    browser.see_no(&other, None);
    let closed = scratch.json(&["inbox", "--all"]).document;
    assert!(closed.to_string().contains("it does not matter"), "{closed:#}");
    inside.hang_up();
    assert_eq!(scratch.await_end(&run).code, 0);
    browser.close();
}

/// A server that asks for a number when its tool is called, and notes what it is answered.
const ASKS: &str = r#"
if method == "tools/call":
    say({"jsonrpc": "2.0", "id": "e", "method": "elicitation/create", "params": {
        "message": "Which port?", "requestedSchema": {"type": "object", "required": ["port"],
        "properties": {"port": {"type": "integer", "minimum": 1, "maximum": 9000}}}}})
    note("answered " + sys.stdin.readline().strip())
"#;

#[test]
fn a_number_that_does_not_fit_is_told_where_it_was_typed() {
    let mut bridged = Bridged::new(ASKS);
    let Some((_page, mut browser)) = entered(&bridged.scratch, "numbers") else { return };
    let waits = bridged.begin(&call("one"));
    browser.see_text(".card.question", "Which port?");
    browser.click(".card input", None);
    browser.type_in("9001");
    browser.press("Enter");
    browser.see_text(".card .complaint", "9000");
    browser.picture("_wrong");
    browser.evaluate("document.querySelector('.card input').select()");
    browser.type_in("8443");
    browser.press("Enter");
    browser.see_no(".card.question", None);
    assert!(bridged.answer(&json!(waits))["result"].is_object());
    let heard = bridged.at_server().into_iter().find(|line| line.starts_with("answered "));
    assert!(heard.as_deref().is_some_and(|heard| heard.contains("8443")), "{heard:?}");
    // The page is served as long as its repository is there.
    let _there = bridged.end();
    browser.close();
}
