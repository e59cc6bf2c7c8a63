//! Text of agents, all of which is shown and none of which does anything.

use std::fs;

use serde_json::json;

use crate::{asks, entered, hears, talker, talking};

const IMAGE: &str = "<img src=x onerror=\"document.title='owned'\">";
const SCRIPT: &str = "</script><script>document.title='owned'</script>";
/// Turns around what follows, is not seen, colours, rings, and ends a text for some.
const UNSEEN: &str = "a\u{202e}b\u{200b}c\u{1b}[31md\u{7}e\u{2028}f";

#[test]
fn what_is_asked_is_text_and_nothing_else() {
    let scratch = talking("");
    let Some((_page, mut browser)) = entered(&scratch, "hostile_question") else { return };
    let (run, mut inside) = talker(&scratch, "a");
    let prompt = format!("{IMAGE}\n{SCRIPT}\n{UNSEEN}\n{}", "y".repeat(7000));
    let options = [IMAGE, SCRIPT, UNSEEN, "javascript:alert(1)"];
    let (id, card) = asks(&mut inside, &prompt, &json!({ "options": options, "default": IMAGE }));
    browser.see_text(&card, IMAGE);
    browser.see_text(&card, SCRIPT);
    browser.see_text(&card, "a⟨U+202E⟩b⟨U+200B⟩c⟨U+001B⟩[31md⟨U+0007⟩e⟨U+2028⟩f");
    browser.picture("_folded");
    browser.click(&format!("{card} button"), Some("show all"));
    browser.see_text(&card, &"y".repeat(7000));
    browser.see_no("#desk img, #desk script", None);
    browser.wait_until(
        "nothing is wider than the page",
        "document.documentElement.scrollWidth <= innerWidth",
    );
    // What is answered is the option as it was asked, and not what is shown of it.
    browser.click(&format!("{card} button"), Some("a⟨U+202E⟩b"));
    assert_eq!(hears(&mut inside, &id)["answer"], UNSEEN);
    inside.hang_up();
    assert_eq!(scratch.await_end(&run).code, 0);
    browser.wait_until("nothing was done", "!document.title.includes('owned')");
    browser.close();
}

#[test]
fn names_and_output_of_a_run_are_text_and_nothing_else() {
    let scratch = talking("");
    // Not by a shell's words: the bytes themselves.
    let mut output =
        format!("{IMAGE}\n{SCRIPT}\na\u{202e}b\u{200b}c\nred \u{1b}[31mnow\u{1b}[0m\n")
            .into_bytes();
    output.extend(b"nul \0 and \xff\n");
    output.extend((0..10_000).flat_map(|line| format!("line {line}\n").into_bytes()));
    fs::write(scratch.at("output"), output).expect("written");
    fs::write(scratch.at("long"), format!("{}\n", "z".repeat(100_000))).expect("written");
    let config = scratch.text(".codex/orchestrator.toml");
    let title = serde_json::Value::from(format!("{IMAGE}\u{202e}")).to_string();
    scratch.config(&format!(
        "{config}[pipelines.hostile]\ntitle = {title}\nstages = [\n\
         {{ id = \"few\", title = {title}, command = \"head -n 5 output\" }},\n\
         {{ id = \"it\", command = \"cat output # {}\" }},\n\
         {{ id = \"long\", command = \"cat long\" }}]\n",
        IMAGE.replace('"', "")
    ));
    let Some((_page, mut browser)) = entered(&scratch, "hostile_run") else { return };
    let run = scratch.json(&["start", "hostile", "--task", "demo"]).text("run_id");
    browser.click("#runs a", Some(crate::tail(&run)));
    browser.see_text("#runs a .name", &format!("{IMAGE}⟨U+202E⟩"));
    browser.see_text("#run h2", &format!("{IMAGE}⟨U+202E⟩"));
    browser.see_text(".log", &"z".repeat(1000));
    browser.click(".stages button", Some("few"));
    for text in [IMAGE, SCRIPT, "a⟨U+202E⟩b⟨U+200B⟩c", "red now", "nul ⟨U+0000⟩ and \u{fffd}"]
    {
        browser.see_text(".log", text);
    }
    browser.see_no("#desk img, #desk script", None);
    browser.picture("_few");
    browser.click(".stages li:nth-child(2) button", None);
    browser.see_text(".log", "line 9999");
    browser.picture("_many");
    browser.click(".stages button", Some("long"));
    browser.see_text(".log", &"z".repeat(1000));
    browser.wait_until(
        "nothing is wider than the page",
        "document.documentElement.scrollWidth <= innerWidth",
    );
    browser.wait_until("nothing was done", "!document.title.includes('owned')");
    browser.close();
}
