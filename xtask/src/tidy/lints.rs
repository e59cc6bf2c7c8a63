//! What may not be said in Rust, or only where it belongs.

use super::{Complaint, File, code};

/// The one crate that makes system calls.
const UNSAFE_BELONGS: &str = "crates/supervise/";

pub(super) fn check(files: &[File]) -> Vec<Complaint> {
    files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .flat_map(|file| {
            let code = code::only(&file.text);
            let mut found = silent_allows(file, &code);
            if !file.path.starts_with(UNSAFE_BELONGS) {
                found.extend(unsafe_words(file, &code));
            }
            found
        })
        .collect()
}

fn unsafe_words(file: &File, code: &str) -> Vec<Complaint> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.lines()
        .enumerate()
        .filter(|(_, line)| line.split(|c| !is_word(c)).any(|word| word == "unsafe"))
        .map(|(index, _)| Complaint {
            path: file.path.clone(),
            line: index + 1,
            words: format!("`unsafe` belongs in {UNSAFE_BELONGS}"),
        })
        .collect()
}

fn silent_allows(file: &File, code: &str) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (at, _) in code.match_indices('#') {
        let rest = &code[at + 1..];
        let Some(attribute) = rest.strip_prefix("![").or_else(|| rest.strip_prefix('[')) else {
            continue;
        };
        let attribute = &attribute[..attribute.find(']').unwrap_or(attribute.len())];
        if attribute.trim_start().starts_with("allow(") && !attribute.contains("reason") {
            complaints.push(Complaint {
                path: file.path.clone(),
                line: code[..at].matches('\n').count() + 1,
                words: "`allow` without a reason; say `#[expect(.., reason = \"..\")]`".to_owned(),
            });
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::complaints;

    fn check(path: &str, source: &str, expected: &str) {
        assert_eq!(complaints(super::check, &[(path, source)]), expected);
    }

    #[test]
    fn unsafe_belongs_to_the_crate_that_makes_system_calls() {
        let source = "fn f() {\n    unsafe { g() }\n}\n";
        check("crates/supervise/src/cgroup.rs", source, "");
        check(
            "crates/store/src/lib.rs",
            source,
            "crates/store/src/lib.rs:2: `unsafe` belongs in crates/supervise/\n",
        );
    }

    #[test]
    fn talking_of_unsafe_is_safe() {
        check(
            "crates/store/src/lib.rs",
            "#![deny(unsafe_code)]\n// unsafe\nconst WORD: &str = \"unsafe\";\n",
            "",
        );
    }

    #[test]
    fn an_allow_gives_its_reason() {
        check(
            "crates/store/src/lib.rs",
            "#[allow(\n    dead_code,\n    reason = \"kept for the upgrade\"\n)]\nfn f() {}\n\n#[allow(dead_code)]\nfn g() {}\n",
            "crates/store/src/lib.rs:7: `allow` without a reason; say `#[expect(.., reason = \"..\")]`\n",
        );
    }
}
