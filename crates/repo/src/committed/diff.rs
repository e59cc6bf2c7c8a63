//! What has changed, for a person to look at who has to decide on it.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};

/// A text before and after.
pub(super) struct Change {
    pub(super) name: String,
    /// `None`: it was not there.
    pub(super) before: Option<String>,
    /// `None`: it is not there any more.
    pub(super) after: Option<String>,
}

/// What is shown at most, in bytes.
const MOST: usize = 8 * 1024;

/// Kept for the line that says how much is missing.
const FOR_THE_REST: usize = 80;

/// Characters of a line that are shown. A command could else stand behind a thousand blanks, and
/// one line fill everything.
const LONGEST: usize = 400;

/// How long one comparison may take. What it has not found by then it takes for changed.
const PATIENCE: Duration = Duration::from_millis(500);

/// A unified diff of the files. Comments could make that as long as one likes; where it is too
/// long, the diff of the plans, which have none.
pub(super) fn of(files: &[Change], plans: &Change) -> String {
    let lines: Vec<String> = files.iter().flat_map(lines).collect();
    let length: usize = lines.iter().map(|line| line.len() + 1).sum();
    match length {
        1..=MOST => cut(&lines),
        // Nothing: a file that could not be read then, or what the files are read beside.
        _ => cut(&self::lines(plans)),
    }
}

fn lines(change: &Change) -> Vec<String> {
    let rows = |text: &Option<String>| -> Vec<String> {
        let text = text.as_deref().unwrap_or_default();
        text.lines().map(ToOwned::to_owned).collect()
    };
    let (before, after) = (rows(&change.before), rows(&change.after));
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.iter().map(String::as_str).collect(), after.iter().map(String::as_str).collect());
    let diff = TextDiff::configure().timeout(PATIENCE).diff_slices(&before, &after);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        if lines.is_empty() {
            let name = |side: &str, text: &Option<String>| match text {
                Some(_) => format!("{side}/{}", harmless(&change.name)),
                None => "/dev/null".to_owned(),
            };
            lines.push(format!("--- {}", name("a", &change.before)));
            lines.push(format!("+++ {}", name("b", &change.after)));
        }
        lines.push(hunk.header().to_string().trim_end().to_owned());
        for change in hunk.iter_changes() {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push(format!("{sign}{}", harmless(change.value())));
        }
    }
    lines
}

/// A line of somebody else's, so that it is what it looks like: nothing that moves the cursor,
/// turns the direction of writing or is not seen at all.
fn harmless(line: &str) -> String {
    let mut shown = String::new();
    let mut letters = line.chars();
    for c in letters.by_ref().take(LONGEST) {
        match c {
            '\t' => shown.push(c),
            c if c.is_control() || is_unseen(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    match letters.count() {
        0 => shown,
        more => format!("{shown}… ({more} more characters)"),
    }
}

fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn cut(lines: &[String]) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let rest = lines.len() - at;
        let room = if rest == 1 { MOST } else { MOST - FOR_THE_REST };
        if text.len() + line.len() + 1 > room {
            text.push_str(&format!("… and {rest} more lines that are not shown here\n"));
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &str, after: &str) -> Change {
        let text = |text: &str| (text != "-").then(|| text.to_owned());
        Change { name: "f".to_owned(), before: text(before), after: text(after) }
    }

    fn check(before: &str, after: &str, expected: &str) {
        assert_eq!(of(&[change(before, after)], &change("old plan", "new plan")), expected);
    }

    #[test]
    fn a_change_is_shown_as_people_know_it() {
        check(
            "a\nb\nc\nd\ne\n",
            "a\nb\nc\nd\nx\n",
            "--- a/f\n+++ b/f\n@@ -2,4 +2,4 @@\n b\n c\n d\n-e\n+x\n",
        );
        check("-", "a\n", "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n");
        check("a\r\nb\r\n", "a\nc\n", "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
        check("a", "a", "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-old plan\n+new plan\n");
    }

    #[test]
    fn a_line_is_what_it_looks_like() {
        check(
            "-",
            "a\x1b[2Jb\u{202e}c\rd\te\u{200b}\u{9b}é",
            "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\\u{1b}[2Jb\\u{202e}c\\u{d}d\te\\u{200b}\\u{9b}é\n",
        );
        let long = format!("{}rm", " ".repeat(399));
        let shown = of(&[change("-", &long)], &change("", ""));
        assert!(shown.ends_with("r… (1 more characters)\n"), "{shown}");
    }

    #[test]
    fn comments_do_not_push_a_change_out_of_sight() {
        let padding = "# nothing to see here\n".repeat(10_000);
        check(
            "a\n",
            &format!("{padding}b\n"),
            "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-old plan\n+new plan\n",
        );
    }

    #[test]
    fn what_is_cut_says_so() {
        let many: String = (0..100_000).map(|at| format!("{at}\n")).collect();
        for lines in [&many[..], "é".repeat(400).repeat(30).as_str()] {
            let plan = change("-", lines);
            let shown = of(&[change("-", lines)], &plan);
            assert!(shown.len() <= MOST, "{}", shown.len());
        }
        let shown = of(&[change("-", &many)], &change("-", &many));
        assert!(
            shown.len() > MOST - 200 && shown.ends_with("more lines that are not shown here\n")
        );
        // Many lines that have nothing in common are compared in bounded time.
        let other: String = (0..100_000).map(|at| format!("x{at}\n")).collect();
        assert!(of(&[change(&many, &other)], &change(&many, &other)).len() <= MOST);
    }
}
