//! What stays the same of an output when it is printed again: everything but times, ids, sizes
//! and the width of columns.

use regex_lite::Regex;

/// What differs from one run to the next, and what stands for it.
const PASSING: [(&str, &str); 10] = [
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}-[0-9]{3}Z-[0-9a-f]{8}", "RUN"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "BOOT"),
    (r"\b([0-9a-f]{64}|[0-9a-f]{40})\b", "HASH"),
    (r"\b[0-9a-f]{8}\b", "TAIL"),
    (r"\bq[0-9a-f]{10}\b", "QUESTION"),
    (r"\b(now|[0-9]+(\.[0-9]+)? ?(ms|s|m|h|d)( ?[0-9]+ ?(s|m|h))*( ago)?)\b", "SPAN"),
    (r"\b[0-9]+(\.[0-9]+)? (B|[kMG]B|[KMG]iB)\b", "SIZE"),
    (r#"("pid": ?|process )[0-9]+"#, "PROCESS"),
    (r#""hostname": ?"[^"]*""#, "HOST"),
];

/// A line without what differs from one run to the next.
fn lasting(line: &str) -> String {
    let mut line = line.to_owned();
    for (passing, stands_for) in PASSING {
        if let Ok(passing) = Regex::new(passing) {
            line = passing.replace_all(&line, stands_for).into_owned();
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether `printed` is what a page shows. A shown line `...` stands for any lines, and a shown
/// line that ends in ` ...` for any that begin like it.
pub(super) fn same(shown: &[String], printed: &[String]) -> bool {
    let lasting = |lines: &[String]| lines.iter().map(|line| lasting(line)).collect::<Vec<_>>();
    fits(&lasting(shown), &lasting(printed))
}

fn fits(shown: &[String], printed: &[String]) -> bool {
    match (shown, printed) {
        ([], []) => true,
        ([any, shown @ ..], _) if any == "..." => {
            (0..=printed.len()).any(|skipped| fits(shown, &printed[skipped..]))
        }
        ([first, shown @ ..], [line, printed @ ..]) => {
            let begins = first.strip_suffix(" ...").is_some_and(|begin| line.starts_with(begin));
            (begins || first == line) && fits(shown, printed)
        }
        _ => false,
    }
}

/// What was printed, as much like what the page shows as it can be: with its times and ids where
/// a line is as it was, and with its three dots as far as they still have a place.
pub(super) fn redrawn(shown: &[String], printed: &[String]) -> Vec<String> {
    // A row of a table is drawn as wide as the rows around it are now.
    let row = |line: &str| line.trim_start().contains("  ");
    let indent = |line: &str| line.len() - line.trim_start().len();
    let as_it_was = |line: &String| {
        let like = |old: &&String| indent(old) == indent(line) && lasting(old) == lasting(line);
        shown.iter().filter(|_| !row(line)).find(like)
    };
    let mut lines: Vec<String> =
        printed.iter().map(|line| as_it_was(line).unwrap_or(line).clone()).collect();
    for line in shown {
        let Some(begin) = line.strip_suffix(" ...").map(lasting) else { continue };
        if let Some(whole) = lines.iter_mut().find(|whole| lasting(whole).starts_with(&begin)) {
            whole.clone_from(line);
        }
    }
    for (at, _) in shown.iter().enumerate().filter(|(_, line)| *line == "...") {
        let place = |line: &String| lines.iter().position(|other| lasting(other) == lasting(line));
        let before = at.checked_sub(1).map(|at| place(&shown[at]));
        let after = shown.get(at + 1).map(place);
        let begin = before.map_or(Some(0), |place| place.map(|place| place + 1));
        let end = after.unwrap_or(Some(lines.len()));
        if let (Some(begin), Some(end)) = (begin, end)
            && begin <= end
        {
            lines.splice(begin..end, ["...".to_owned()]);
        }
    }
    lines
}

/// The ids of runs and questions that lines have, and the tails of ids.
pub(super) fn ids(lines: &[String]) -> Vec<String> {
    let id = [r"\b(", PASSING[0].0, r"|q[0-9a-f]{10}|[0-9a-f]{8})\b"].concat();
    let Ok(id) = Regex::new(&id) else { return Vec::new() };
    let all = lines.iter().flat_map(|line| id.find_iter(line));
    all.map(|found| found.as_str().to_owned()).collect()
}

/// The tail of an id.
pub(super) fn tail(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    fn check(shown: &str, printed: &str, expected: bool) {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(super::same(&lines(shown), &lines(printed)), expected, "{shown} / {printed}");
    }

    #[test]
    fn times_ids_and_columns_do_not_matter_and_words_do() {
        check("9dc81c45  failed  1m 2s ago  0.1s", "4434ba01   failed    now  2.0s", true);
        check("in 2.8s: 3 of 3", "in 950 ms: 3 of 3", true);
        check("in 2.8s: 3 of 3", "in 2.8s: 2 of 3", false);
        check("9dc81c45 failed", "9dc81c45 succeeded", false);
        check("freed 12 KiB", "freed 8.0 KiB", true);
        check("q4f9a2c1b77 is answered", "q0123456789 is answered", true);
        let run = "2026-11-23T08-24-00-935Z-4434ba01";
        check(
            ".runs/a/cli/2026-11-22T10-15-00-123Z-4f9a2c1b/",
            &format!(".runs/a/cli/{run}/"),
            true,
        );
    }

    #[test]
    fn what_is_printed_anew_stays_near_to_what_was_shown() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let shown = lines("a 2s\n...\nd\ne f ...\ng");
        let printed = lines("new\na 1s\nb\nc\nd\ne f 1\nh");
        assert_eq!(super::redrawn(&shown, &printed), lines("new\na 2s\n...\nd\ne f ...\nh"));
        assert_eq!(super::redrawn(&lines("  x"), &lines("x\n  x")), lines("x\n  x"));
    }

    #[test]
    fn three_dots_stand_for_any_lines() {
        check("a\n...\nd", "a\nb\nc\nd", true);
        check("a\n...\nd", "a\nd", true);
        check("a\n...\nd", "a\nb", false);
        check("a b ...", "a b c", true);
        check("a b ...", "a c", false);
    }
}
