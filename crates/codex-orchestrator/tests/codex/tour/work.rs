//! What the model says to the threads that tours delegate work to.

use serde_json::json;

use crate::{
    model::{Model, Reply, call, function, say},
    workflow::{tells, told},
};

/// Runs a command of the thread's own, as its sandbox lets it.
fn runs(command: &str) -> Reply {
    function("", "exec_command", &json!({ "cmd": command }))
}

/// Wants to run one outside of it.
fn reaches(command: &str, why: &str) -> Reply {
    function(
        "",
        "exec_command",
        &json!({ "cmd": command, "sandbox_permissions": "require_escalated", "justification": why }),
    )
}

/// A thread that is to mend a greeting: it asks for the words, forgets half of them, and mends
/// that when it is checked. And the session that answers it.
pub(super) fn greet(model: &Model) {
    model.play("Make the greeting polite", |seen| match seen.outputs() {
        [] => call("delegate.question.enqueue", json!({ "prompt": "In which words?" })),
        [asked] => call(
            "delegate.question.poll",
            json!({ "question_id": asked["question_id"], "wait_ms": 30_000 }),
        ),
        [_, poll] => {
            assert_eq!(poll["answer"], "Good morning", "{poll}");
            runs("echo 'echo \"Good morning\"' > greet.sh")
        }
        [_, _, _] => reaches("sh greet.sh > ~/examples/polite.txt", "an example is wanted there"),
        _ => say("The greeting is polite now."),
    });
    model.play("Your work was checked", |seen| match seen.outputs() {
        [] => {
            let told = seen.prompt();
            assert!(told.contains("it says: Good morning\n"), "{told}");
            runs("echo 'echo \"Good morning, $1\"' > greet.sh")
        }
        _ => say("The greeting is polite now, and names whom it greets."),
    });
    model.play("answer what it asks", |seen| {
        let run = told(seen, "manifest_path");
        match seen.outputs() {
            [] => call("delegate.wait", json!({ "manifest_paths": [run], "wait_ms": 30_000 })),
            [waited] => {
                assert!(tells(waited, "question"), "{waited}");
                let asked = &waited["events"][0]["question_id"];
                let answer = json!({ "question_id": asked, "answer": "Good morning" });
                call("delegate.question.answer", answer)
            }
            _ => say("It asked in which words, and was told: Good morning."),
        }
    });
}

/// Three threads: one plans, one works, one looks at the work. And one that never comes to an end
/// of its own.
pub(super) fn count(model: &Model) {
    model.play("Plan how to", |seen| match seen.outputs() {
        [] => runs("cat notes.txt"),
        _ => say("Write the number of words of notes.txt into words.txt."),
    });
    model.play("Do this:", |seen| {
        assert!(seen.prompt().contains("the number of words"), "{}", seen.prompt());
        match seen.outputs() {
            [] => runs("wc -w < notes.txt > words.txt"),
            _ => say("words.txt has the number of words."),
        }
    });
    model.play("Look at the change", |seen| match seen.outputs() {
        [] => runs("git status --short"),
        _ => say("It is good: the number is right."),
    });
    model.play("Watch the notes", |seen| match seen.outputs() {
        [] => runs("until [ -e go ]; do sleep 0.05; done"),
        _ => say("Somebody has let me go."),
    });
    // It goes on until it is cut off, long before it has used as much again.
    model.play("Read all of it", |_| runs("cat notes.txt"));
    model.play("You were cut off", |_| say("I have read all of it."));
}

/// A thread that lists pipelines, and one that does as it is told while it is at work.
pub(super) fn list(model: &Model) {
    model.play("Write the names of our pipelines", |seen| match seen.outputs() {
        [] => runs("printf '%s\\n' checks release soak > PIPELINES"),
        _ => say("PIPELINES has the names of our three pipelines."),
    });
    model.play("Look for old pipelines", |seen| match seen.outputs() {
        [] => runs("until [ -e go ]; do sleep 0.05; done"),
        _ => say("Nobody has said more."),
    });
    model.play("only those of last year", |_| say("Of last year there are none."));
    model.play("and those of the year before", |_| say("There are none either."));
}
