//! What a thread is told, in words.

use std::{
    fmt::Write as _,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use model::{CodexStage, Failure, Outcome, Run, RunSpec, StageState};
use store::RunPaths;

/// How much of what a command printed is passed on.
const LONGEST_TAIL: u64 = 8 * 1024;

/// What it is there for, with the blanks filled.
pub(super) fn prompt(spec: &RunSpec, run: &Run, codex: &CodexStage) -> Result<String, String> {
    if codex.as_is {
        return Ok(codex.prompt.clone());
    }
    let filled = model::fill(&codex.prompt, |name| match name {
        "goal" => Some(spec.goal.clone().unwrap_or_default()),
        "task" => Some(spec.task_id.to_string()),
        "run" => Some(spec.run_id.to_string()),
        name => {
            let id = name.strip_prefix("stages.")?.strip_suffix(".summary")?;
            let stage = spec.plan.find(&id.parse().ok()?)?;
            Some(summary(run, stage))
        }
    });
    filled.map_err(|blank| blank.to_string())
}

/// How a stage came out, for another one.
fn summary(run: &Run, stage: model::StageIndex) -> String {
    if let Some(said) = run.thread(stage).and_then(|thread| thread.said.clone()) {
        return said;
    }
    match run.stage(stage) {
        StageState::Ended(ended) => match &ended.outcome {
            Outcome::Succeeded => ended.last_line.clone().unwrap_or_else(|| "succeeded".to_owned()),
            Outcome::Failed(failure) => match &ended.last_line {
                Some(line) => format!("{failure}: {line}"),
                None => failure.to_string(),
            },
            Outcome::Skipped(reason) => format!("skipped: {reason}"),
            Outcome::Cancelled => "cancelled".to_owned(),
        },
        StageState::Waiting { .. } | StageState::Running(_) => "not done yet".to_owned(),
    }
}

/// To go on after it was cut off.
pub(super) const GO_ON: &str = "You were cut off in the middle of your work. Look at what is done \
                                already, and go on from there to the end.";

/// What was answered meanwhile; nothing where nothing was.
pub(super) fn answered(answers: &[(String, String)]) -> String {
    let told = answers.iter().map(|(question, answer)| format!("- {question}\n  Answer: {answer}"));
    let told: Vec<String> = told.collect();
    match told.is_empty() {
        true => String::new(),
        false => format!("These questions of yours have been answered:\n{}", told.join("\n")),
    }
}

/// That its work does not hold.
pub(super) fn failing(codex: &CodexStage, how: &Failure, output: &str) -> String {
    let command = codex.verify.as_ref().map(model::CommandLine::as_typed).unwrap_or_default();
    format!(
        "Your work was checked with `{command}`, which failed ({how}). Mend what is wrong; it is \
         checked again when you are done. The end of its output:\n\n{output}"
    )
}

/// That, and what people had to say meanwhile.
pub(super) fn with_messages(first: String, messages: &[String]) -> String {
    let all = std::iter::once(first).chain(messages.iter().cloned());
    let said: Vec<String> = all.filter(|text| !text.is_empty()).collect();
    said.join("\n\n")
}

/// What it has to know of where it is.
pub(super) fn instructions(
    spec: &RunSpec,
    run: &Run,
    paths: &RunPaths,
    parent: Option<&str>,
) -> String {
    let own = paths.relative("manifest.json");
    let mut text = format!(
        "You work on your own, in the background, as run {} of task {}. Nobody sees your terminal: \
         your last message is your report.\n\
         - What only your parent or a person can say you ask with delegate.question.enqueue, and wait \
         for with delegate.question.poll. Your own run is known there; if a path is asked for, use \
         manifest_path={own}",
        spec.run_id, spec.task_id
    );
    match parent {
        Some(parent) => {
            let _ = writeln!(text, " and parent_manifest_path={parent}.");
        }
        None => text.push_str(".\n"),
    }
    if run.tree().is_some() {
        text.push_str(
            "- This is a git work tree of your own, on a branch of its own. Do not commit, and do not \
             change branches: what you change is committed for you when you are done.\n",
        );
    }
    text.push_str("- What you may not do without asking is asked for you; go on with something else if it is refused.\n");
    text
}

/// The end of a file, as text.
pub(super) fn tail(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(LONGEST_TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let clean = |c: &char| !c.is_control() || *c == '\n' || *c == '\t';
    Some(text.chars().filter(clean).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_after_what_is_said_first() {
        let messages = ["and x".to_owned(), "and y".to_owned()];
        assert_eq!(with_messages("Do it.".to_owned(), &messages), "Do it.\n\nand x\n\nand y");
        assert_eq!(with_messages(String::new(), &messages[..1]), "and x");
        assert_eq!(with_messages("Do it.".to_owned(), &[answered(&[])]), "Do it.");
    }
}
