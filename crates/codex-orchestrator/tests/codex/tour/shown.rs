//! What a page says is typed, and what it shows below that.

/// A step of a tour.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The repository has that file.
    File { path: String, text: String },
    /// Somebody types a command.
    Command(Shown),
}

/// A command, and what it prints.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Where it stands, from 1.
    pub(super) line: usize,
    pub(super) command: String,
    pub(super) output: Vec<String>,
}

/// Reads the section that begins with that heading, or a whole page.
pub(super) fn steps(page: &str, heading: Option<&str>) -> Vec<Step> {
    let all = page.lines().zip(1..);
    let lines: Vec<_> = match heading {
        None => all.collect(),
        Some(heading) => all
            .skip_while(|(line, _)| *line != heading)
            .skip(1)
            .take_while(|(line, _)| !line.starts_with("## "))
            .collect(),
    };
    let mut lines = lines.into_iter();
    let mut steps = Vec::new();
    while let Some((line, _)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|(line, _)| *line != "```").collect();
        match info.split_once(' ') {
            None if info == "shellsession" => {
                steps.extend(commands(&block).into_iter().map(Step::Command));
            }
            None => {}
            Some((_, path)) => {
                let text = block.iter().map(|(line, _)| format!("{line}\n")).collect();
                steps.push(Step::File { path: path.to_owned(), text });
            }
        }
    }
    steps
}

/// A command begins with `$ `, and goes on in lines that begin with `> `, as a shell has it.
fn commands(block: &[(&str, usize)]) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for &(text, line) in block {
        if let Some(command) = text.strip_prefix("$ ") {
            all.push(Shown { line, command: command.to_owned(), output: Vec::new() });
            continue;
        }
        let last = all.last_mut().expect("a block begins with a command");
        match text.strip_prefix("> ") {
            Some(more) if last.output.is_empty() => last.command += &format!("\n{more}"),
            _ => last.output.push(text.to_owned()),
        }
    }
    all
}

#[test]
fn a_tour_is_its_commands_and_files_and_ends_with_its_section() {
    let page = "## One\n```shellsession\n$ no\n```\n## Two\n```toml .codex/orchestrator.toml\nx = 1\n```\n\
                Text\n```shellsession\n$ a \\\n> b\n1\n> 2\n$ c\n```\n```sh\n$ no\n```\n## Three\n";
    let shown = |line, command: &str, output: &[&str]| {
        let output = output.iter().map(|line| (*line).to_owned()).collect();
        Step::Command(Shown { line, command: command.to_owned(), output })
    };
    let expected = [
        Step::File { path: ".codex/orchestrator.toml".to_owned(), text: "x = 1\n".to_owned() },
        shown(11, "a \\\nb", &["1", "> 2"]),
        shown(15, "c", &[]),
    ];
    assert_eq!(steps(page, Some("## Two")), expected);
    assert_eq!(steps(page, None)[1..], expected);
}
