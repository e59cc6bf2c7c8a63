//! The folder answers first: each crate's `lib.rs` opens with a map of what it knows.

use super::{Complaint, File};

pub(super) fn check(files: &[File]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| is_lib(&file.path)) {
        let map: Vec<_> = file.text.lines().filter_map(|line| line.strip_prefix("//!")).collect();
        for heading in ["Knows:", "Does not know:"] {
            if !map.iter().any(|line| line.trim_start().starts_with(heading)) {
                complaints.push(Complaint {
                    path: file.path.clone(),
                    line: 1,
                    words: format!("the map lacks a line `//! {heading} ...`"),
                });
            }
        }
    }
    complaints
}

fn is_lib(path: &str) -> bool {
    path.strip_prefix("crates/").and_then(|rest| rest.strip_suffix("/src/lib.rs")).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::complaints;

    fn check(lib: &str, expected: &str) {
        assert_eq!(complaints(super::check, &[("crates/store/src/lib.rs", lib)]), expected);
    }

    #[test]
    fn a_map_says_what_is_known_and_what_is_not() {
        check("//! The journal.\n//!\n//! Knows: SQL.\n//! Does not know: processes.\n", "");
    }

    #[test]
    fn half_a_map_is_not_enough() {
        check(
            "//! The journal.\n//! Knows: SQL.\n",
            "crates/store/src/lib.rs:1: the map lacks a line `//! Does not know: ...`\n",
        );
    }

    #[test]
    fn an_ordinary_comment_is_no_map() {
        check(
            "// Knows: SQL.\n// Does not know: processes.\n",
            "crates/store/src/lib.rs:1: the map lacks a line `//! Knows: ...`\n\
             crates/store/src/lib.rs:1: the map lacks a line `//! Does not know: ...`\n",
        );
    }
}
