//! What has grown long, and what is so small that it may not need a file: for a person to look at.

use std::fmt::Write;

use super::{File, code};

/// How many of each are shown.
const SHOWN: usize = 5;

pub(super) fn report(files: &[File]) -> String {
    let sources: Vec<_> = files.iter().filter(|file| file.path.ends_with(".rs")).collect();
    let mut report = String::new();

    let mut lengths: Vec<_> =
        sources.iter().map(|file| (file.text.lines().count(), file.path.clone())).collect();
    section(&mut report, "longest files", &mut lengths);

    let mut functions: Vec<_> = sources.iter().flat_map(|file| functions(file)).collect();
    section(&mut report, "longest functions", &mut functions);

    report.push_str("used by only one other file:\n");
    for (used, by) in lonely(&sources) {
        let _ = writeln!(report, "  {used}  by {by}");
    }
    report
}

fn section(report: &mut String, title: &str, rows: &mut Vec<(usize, String)>) {
    rows.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    rows.truncate(SHOWN);
    let _ = writeln!(report, "{title}:");
    for (lines, what) in rows {
        let _ = writeln!(report, "{lines:>6}  {what}");
    }
}

/// Each function's length. The code is formatted, so that a function ends at the first brace
/// that stands where its first line began.
fn functions(file: &File) -> Vec<(usize, String)> {
    let code = code::only(&file.text);
    let lines: Vec<_> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let end = lines[start..]
            .iter()
            .position(|line| line.trim_end() == format!("{}}}", " ".repeat(indent)));
        // A function on one line, and one without a body, are not long.
        if let Some(length) = end.filter(|_| !line.trim_end().ends_with([';', '}'])) {
            found.push((length + 1, format!("{}:{} {name}", file.path, start + 1)));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let name = loop {
        match words.next()? {
            "fn" => break words.next()?,
            "const" | "async" | "unsafe" | "extern" | "pub" => {}
            word if word.starts_with("pub(") || word.ends_with(')') || word.starts_with("in") => {}
            _ => return None,
        }
    };
    name.split(['(', '<']).next()
}

/// Files whose module only one other file of the crate speaks of.
fn lonely(sources: &[&File]) -> Vec<(String, String)> {
    let codes: Vec<_> = sources.iter().map(|file| (file, code::only(&file.text))).collect();
    let mut lonely = Vec::new();
    for (file, _) in &codes {
        let Some((source, module)) = module(&file.path) else { continue };
        let mut users = codes.iter().filter(|(other, code)| {
            other.path != file.path && other.path.starts_with(source) && speaks_of(code, module)
        });
        if let (Some((user, _)), None) = (users.next(), users.next())
            && !belongs_to(&file.path, &user.path)
        {
            lonely.push((file.path.clone(), user.path.clone()));
        }
    }
    lonely
}

/// Whether a file is where it should be although only one uses it: in the folder that is its
/// user's, or offered to everybody by the root of its crate.
fn belongs_to(file: &str, user: &str) -> bool {
    let folder = user.strip_suffix("mod.rs").or_else(|| user.strip_suffix(".rs"));
    let in_folder = folder.is_some_and(|folder| {
        file.strip_prefix(folder).is_some_and(|rest| folder.ends_with('/') || rest.starts_with('/'))
    });
    in_folder || user.ends_with("/src/lib.rs") || user.ends_with("/src/main.rs")
}

/// The source folder and module name of a file that is a module of its own.
fn module(path: &str) -> Option<(&str, &str)> {
    let at = path.find("/src/")? + "/src/".len();
    let name = path.rsplit('/').next()?.strip_suffix(".rs")?;
    let is_root = matches!(name, "lib" | "main" | "mod") || path[at..].starts_with("bin/");
    (!is_root).then(|| (&path[..at], name))
}

/// Whether code uses a module: `module::..` or `..::module`. Declaring it is not using it.
fn speaks_of(code: &str, module: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(module).any(|(at, _)| {
        let before = &code[..at];
        let after = &code[at + module.len()..];
        let whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        let listed = before.trim_end().ends_with(['{', ',']) && in_use(before);
        whole && (after.starts_with("::") || before.ends_with("::") || listed)
    })
}

/// Whether the statement that this ends in is a `use`.
fn in_use(before: &str) -> bool {
    let statement = before.rsplit(';').next().unwrap_or(before);
    statement.split_whitespace().any(|word| word == "use")
}

#[cfg(test)]
mod tests {
    use super::super::File;

    fn check(files: &[(&str, &str)], expected: &str) {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        assert_eq!(super::report(&files), expected);
    }

    #[test]
    fn a_function_is_as_long_as_it_looks() {
        check(
            &[(
                "crates/model/src/lib.rs",
                "pub(crate) fn long(\n    a: u8,\n) {\n    if a {\n    }\n}\n\nfn short() {}\n\nimpl A {\n    async fn inner() {\n        \"fn no() {\";\n    }\n}\n",
            )],
            "longest files:\n\
             \u{20}   14  crates/model/src/lib.rs\n\
             longest functions:\n\
             \u{20}    6  crates/model/src/lib.rs:1 long\n\
             \u{20}    3  crates/model/src/lib.rs:11 inner\n\
             used by only one other file:\n",
        );
    }

    #[test]
    fn a_file_in_its_users_folder_is_where_it_should_be() {
        use super::belongs_to;
        assert!(belongs_to("crates/a/src/run/story.rs", "crates/a/src/run.rs"));
        assert!(belongs_to("crates/a/src/run/story.rs", "crates/a/src/run/mod.rs"));
        assert!(belongs_to("crates/a/src/run.rs", "crates/a/src/lib.rs"));
        assert!(!belongs_to("crates/a/src/runner.rs", "crates/a/src/run.rs"));
        assert!(!belongs_to("crates/a/src/run.rs", "crates/a/src/plan.rs"));
    }

    #[test]
    fn a_file_that_one_other_uses_is_shown() {
        check(
            &[
                ("crates/model/src/caps.rs", "pub fn meet() {}\n"),
                ("crates/model/src/lib.rs", "mod caps;\nmod run;\nmod stage;\n"),
                ("crates/model/src/run.rs", "use crate::{caps, stage::Stage};\n"),
                (
                    "crates/model/src/stage.rs",
                    "fn f() { crate::run::go() }\nfn g() { super::caps::meet() }\n",
                ),
            ],
            "longest files:\n\
             \u{20}    3  crates/model/src/lib.rs\n\
             \u{20}    2  crates/model/src/stage.rs\n\
             \u{20}    1  crates/model/src/caps.rs\n\
             \u{20}    1  crates/model/src/run.rs\n\
             longest functions:\n\
             used by only one other file:\n\
             \u{20} crates/model/src/run.rs  by crates/model/src/stage.rs\n\
             \u{20} crates/model/src/stage.rs  by crates/model/src/run.rs\n",
        );
    }
}
