//! A document as what it asks to be done.

/// What a page says, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// The folder of this repository that the story begins with a copy of.
    pub(super) begins_with: Option<String>,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A file with that text.
    File { path: String, text: String },
    /// A command with what it prints.
    Command(Shown),
}

/// A command as a page shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The line of the page that it stands on, from 1.
    pub(super) line: usize,
    pub(super) command: String,
    /// The lines below it.
    pub(super) output: Vec<String>,
}

/// A command that printed something else than its page shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) line: usize,
    pub(super) command: String,
    /// How many lines the page shows below it.
    pub(super) shown: usize,
    pub(super) printed: Vec<String>,
}

const BEGINS_WITH: &str = "<!-- begins with ";

/// Reads a page.
pub(super) fn read(text: &str) -> Result<Page, String> {
    let begins_with = text.lines().find_map(|line| {
        Some(line.strip_prefix(BEGINS_WITH)?.strip_suffix(" -->")?.trim().to_owned())
    });
    let mut page = Page { begins_with, steps: Vec::new() };
    let mut lines = text.lines().zip(1..);
    while let Some((line, at)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<(&str, usize)> =
            lines.by_ref().take_while(|(line, _)| *line != "```").collect();
        match info.split_once(' ') {
            None if info == "console" => page.steps.extend(commands(&block)?),
            None => {}
            Some((_, path)) if path.starts_with('/') || path.contains("..") => {
                return Err(format!("{at}: `{path}` is not within the repository"));
            }
            Some((_, path)) => {
                let text = block.iter().map(|(line, _)| format!("{line}\n")).collect();
                page.steps.push(Step::File { path: path.to_owned(), text });
            }
        }
    }
    Ok(page)
}

fn commands(block: &[(&str, usize)]) -> Result<Vec<Step>, String> {
    let mut all: Vec<Shown> = Vec::new();
    for (line, at) in block {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => {
                let command = command.to_owned();
                all.push(Shown { line: *at, command, output: Vec::new() });
            }
            (None, Some(shown)) => shown.output.push((*line).to_owned()),
            (None, None) => return Err(format!("{at}: no command stands before `{line}`")),
        }
    }
    Ok(all.into_iter().map(Step::Command).collect())
}

/// The page with what was printed in the place of what it shows.
pub(super) fn with(text: &str, differences: &[Difference]) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for difference in differences.iter().rev() {
        let printed = difference.printed.iter().map(String::as_str);
        lines.splice(difference.line..difference.line + difference.shown, printed);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<!-- begins with examples/c -->\n# A page\n\n```toml a/b.toml\nx = 1\n```\n\n\
                        ```sh\nnot run\n```\n\n```console\n$ one\n1\n2\n$ two\n```\n";

    #[test]
    fn a_page_is_files_and_commands_in_order() {
        let shown = |line, command: &str, output: &[&str]| {
            let output = output.iter().map(|line| (*line).to_owned()).collect();
            Step::Command(Shown { line, command: command.to_owned(), output })
        };
        let file = Step::File { path: "a/b.toml".to_owned(), text: "x = 1\n".to_owned() };
        let steps = vec![file, shown(13, "one", &["1", "2"]), shown(16, "two", &[])];
        let begins_with = Some("examples/c".to_owned());
        assert_eq!(read(PAGE), Ok(Page { begins_with, steps }));
    }

    #[test]
    fn what_was_printed_takes_the_place_of_what_was_shown() {
        let difference = |line, shown, printed: &[&str]| Difference {
            line,
            shown,
            command: String::new(),
            printed: printed.iter().map(|line| (*line).to_owned()).collect(),
        };
        let text = "```console\n$ one\n1\n2\n$ two\n```\nend\n";
        let mended = with(text, &[difference(2, 2, &["3"]), difference(5, 0, &["4", "5"])]);
        assert_eq!(mended, "```console\n$ one\n3\n$ two\n4\n5\n```\nend\n");
    }
}
