//! A talk as a person reads it.

use std::fmt::Write;

use super::{
    asks::granted,
    said::{CommandState, Outcome, PatchStatus, Said, Step, StepStatus, ToolStatus, Usage, Wants},
};

/// The lines of a log that tell of it, each with its line feed; none where a log is not the place
/// for it. Nothing in them makes a terminal do anything.
pub fn transcript(said: &Said) -> Option<String> {
    let text = match said {
        Said::ThreadReady { thread_id, model } => format!("[thread {thread_id}, {model}]"),
        Said::TurnBegan { turn_id } => format!("[turn {turn_id}]"),
        Said::Message { text, .. } => text.clone(),
        Said::Reasoning { summary } => prefixed("~ ", &summary.join("\n")),
        Said::Command { command, state, .. } => self::command(command, state),
        Said::Patch { paths, status, .. } => patch(paths, *status),
        Said::ToolCall { server, tool, status, error, .. } => {
            let error = error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
            match status {
                ToolStatus::Begun => format!("> {server}: {tool}"),
                ToolStatus::Completed => format!("< {server}: {tool}"),
                ToolStatus::Failed => format!("< {server}: {tool} failed{error}"),
            }
        }
        Said::Plan { steps } => steps.iter().map(step).collect(),
        Said::Usage { last, total, .. } => {
            format!("[tokens: {}, in all {}]", tokens(last), total.total)
        }
        Said::RateLimits { window, used_percent, reached, .. } if *reached => {
            format!("[{}: {used_percent}% used, and it is at its end]", window.name)
        }
        Said::Asks { wants, .. } => format!("? {}", self::wants(wants)),
        Said::Steered { text } => prefixed("» ", text),
        Said::NotSteered { text, reason } => {
            format!("{}\n[it was not taken: {reason}]", prefixed("» ", text))
        }
        Said::Trouble { message, will_retry, .. } => match will_retry {
            true => format!("! {message}; it is tried again"),
            false => format!("! {message}"),
        },
        Said::Warning { message } => format!("! {message}"),
        Said::Deed { what } => format!("* {what}"),
        Said::TurnOver { outcome, .. } => match outcome {
            Outcome::Completed { .. } => "[turn completed]".to_owned(),
            Outcome::Interrupted => "[turn interrupted]".to_owned(),
            Outcome::Failed { message, .. } => format!("[turn failed: {message}]"),
        },
        Said::Unfit { reason, .. } => format!("! {reason}"),
        // What was used of an account is told often, and a diff is in the work tree.
        Said::RateLimits { .. }
        | Said::Diff { .. }
        | Said::AskWithdrawn { .. }
        | Said::WantsTokens { .. } => return None,
    };
    Some(clean(&text))
}

fn command(command: &str, state: &CommandState) -> String {
    let CommandState::Ended { exit_code, duration, output, cut, declined } = state else {
        return prefixed("$ ", command);
    };
    let mut text = String::new();
    if *cut {
        text.push_str("  [more output before this]\n");
    }
    if !output.trim().is_empty() {
        text.push_str(&prefixed("  ", output.trim_end()));
        text.push('\n');
    }
    let took = duration.map(|took| format!(" after {:.1} s", took.as_secs_f64()));
    let took = took.unwrap_or_default();
    text.push_str(&match (declined, exit_code) {
        (true, _) => format!("  [refused: {command}]"),
        (false, Some(code)) => format!("  [exit {code}{took}]"),
        (false, None) => format!("  [ended without an exit code{took}]"),
    });
    text
}

fn patch(paths: &[String], status: PatchStatus) -> String {
    let paths = paths.join(", ");
    match status {
        PatchStatus::Applied => format!("± {paths}"),
        PatchStatus::Failed => format!("± {paths}: could not be applied"),
        PatchStatus::Declined => format!("± {paths}: refused"),
    }
}

fn step(step: &Step) -> String {
    let mark = match step.status {
        StepStatus::Pending => ' ',
        StepStatus::Begun => '-',
        StepStatus::Completed => 'x',
    };
    format!("[{mark}] {}\n", step.step)
}

fn tokens(usage: &Usage) -> String {
    let Usage { input, cached, output, .. } = usage;
    format!("{input} in ({cached} cached), {output} out")
}

fn wants(wants: &Wants) -> String {
    let why = |reason: &Option<String>| match reason {
        Some(reason) => format!(" ({reason})"),
        None => String::new(),
    };
    match wants {
        Wants::Command { command, reason, host, .. } => match (command, host) {
            (_, Some(host)) => format!("may it reach {host}?{}", why(reason)),
            (Some(command), None) => format!("may it run `{command}`?{}", why(reason)),
            (None, None) => format!("may it go on?{}", why(reason)),
        },
        Wants::Patch { paths, reason, .. } => {
            format!("may it change {}?{}", paths.join(", "), why(reason))
        }
        Wants::Permissions { what, reason } => {
            format!("may it have {}?{}", granted(what), why(reason))
        }
        Wants::Tool { server, tool, .. } => {
            format!("may it call {server}: {}?", tool.as_deref().unwrap_or("a tool"))
        }
        Wants::Input { questions } => {
            questions.iter().map(|asked| asked.question.as_str()).collect::<Vec<_>>().join("\n")
        }
        Wants::Elicitation { server, message, .. } => format!("{server} asks: {message}"),
    }
}

fn prefixed(prefix: &str, text: &str) -> String {
    text.lines().map(|line| format!("{prefix}{line}")).collect::<Vec<_>>().join("\n")
}

/// Without anything that a terminal would act on, or that would make words look like others, and
/// with a line feed at its end.
fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len() + 1);
    let mut chars = text.trim_end().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' | '\t' => cleaned.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => cleaned.push('\n'),
            c if c.is_control() || turns_text(c) => {
                let _ = write!(cleaned, "{}", c.escape_unicode());
            }
            c => cleaned.push(c),
        }
    }
    cleaned.push('\n');
    cleaned
}

/// Whether it changes the order in which others are shown.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}')
}
