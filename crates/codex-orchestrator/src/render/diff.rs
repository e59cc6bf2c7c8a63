//! What a change does to a text, in lines.

use super::screen::{Screen, Tone, harmless};

/// More comparisons of lines than this are not worth it to anybody.
const MOST: usize = 4_000_000;

/// The lines that go and come, each marked with `-` or `+`, below the header of their table.
pub(crate) fn lines(before: &str, after: &str) -> Vec<String> {
    let old: Vec<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().collect();
    let same = |one: &[&str], two: &[&str]| one.iter().zip(two).take_while(|(a, b)| a == b).count();
    let first = same(&old, &new);
    let (mut end_old, mut end_new) = (old.len(), new.len());
    while end_old > first && end_new > first && old[end_old - 1] == new[end_new - 1] {
        (end_old, end_new) = (end_old - 1, end_new - 1);
    }
    let steps = steps(&old[first..end_old], &new[first..end_new]);
    let is_header = |line: &&str| line.trim_start().starts_with('[');
    let mut header = old[..first].iter().rfind(|line| is_header(line)).copied();
    let mut shown = Vec::new();
    for (mark, line) in steps {
        if is_header(&line) {
            // It is to be shown above what follows, unless that happens anyway.
            header = Some(line).filter(|_| mark == ' ');
        }
        if mark == ' ' {
            continue;
        }
        let stands_alone = line.trim().is_empty() || line.trim_start().starts_with(['[', '#']);
        if let Some(header) = header.take_if(|_| !stands_alone) {
            shown.push(format!("  {header}"));
        }
        shown.push(format!("{mark} {line}").trim_end().to_owned());
    }
    shown
}

/// The shortest way from one to the other: lines that stay, go and come.
fn steps<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let all = |mark, lines: &[&'a str]| lines.iter().map(|line| (mark, *line)).collect::<Vec<_>>();
    if old.len().saturating_mul(new.len()) > MOST {
        return [all('-', old), all('+', new)].concat();
    }
    // How many lines are common to what is left of both.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            steps.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if common[i + 1][j] >= common[i][j + 1] {
            steps.push(('-', old[i]));
            i += 1;
        } else {
            steps.push(('+', new[j]));
            j += 1;
        }
    }
    [steps, all('-', &old[i..]), all('+', &new[j..])].concat()
}

/// Shows them.
pub(crate) fn show(screen: Screen, lines: &[String]) {
    for line in lines {
        let tone = match line.chars().next() {
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            _ => Tone::Faint,
        };
        screen.line(&screen.paint(tone, &harmless(line)));
    }
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(before: &str, after: &str, expected: &[&str]) {
        assert_eq!(super::lines(before, after), expected);
    }

    #[test]
    fn only_what_changes_is_shown_with_the_table_it_is_in() {
        check("a\nb\n", "a\nb\n", &[]);
        check("[t]\na\nb\nc\n", "[t]\na\nx\nc\nd\n", &["  [t]", "- b", "+ x", "+ d"]);
        check("a = 1", "a = 1\n\n[t]\nb = 2\n", &["+", "+ [t]", "+ b = 2"]);
        check("[s]\na\n\n[t]\nb\n", "[s]\na\n", &["-", "- [t]", "- b"]);
        check(
            "[s]\na\n[t]\nb\n",
            "[s]\nx\n[t]\ny\n",
            &["  [s]", "- a", "+ x", "  [t]", "- b", "+ y"],
        );
    }
}
