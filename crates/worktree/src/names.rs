//! The names of what is made: branches, and references that people do not see.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::WorktreeError;

/// What all branches of runs begin with.
pub(crate) const BRANCHES: &str = "refs/heads/codex-orch/";
/// What all other references begin with.
pub(crate) const REFS: &str = "refs/codex-orch/";

/// The branch of a run, `codex-orch/fix-login/2026-11-22T10-15-00-123Z-4f9a2c1b`.
pub(crate) fn branch(task: &str, run: &str) -> Result<String, WorktreeError> {
    Ok(format!("codex-orch/{}/{}", part(task), checked(run)?))
}

pub(crate) fn snapshot(run: &str) -> String {
    format!("{REFS}snapshots/{run}")
}

/// What a checkout was before a run's changes were applied to it.
pub(crate) fn before(run: &str) -> String {
    format!("{REFS}before-apply/{run}")
}

/// What it became by them.
pub(crate) fn applied(run: &str) -> String {
    format!("{REFS}applied/{run}")
}

/// What it is becoming: there only while it is written to, or after that was cut short.
pub(crate) fn applying(run: &str) -> String {
    format!("{REFS}applying/{run}")
}

/// A run's name, if it can be a part of a branch's as it is.
pub(crate) fn checked(run: &str) -> Result<&str, WorktreeError> {
    if !run.is_empty() && part(run) == run {
        Ok(run)
    } else {
        Err(WorktreeError::BadName(run.to_owned()))
    }
}

/// The nearest to `text` that git takes between two slashes, and for no other text the same.
fn part(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut part = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
        if !(c == '.' && part.ends_with('.')) {
            part.push(c);
        }
    }
    part.truncate(LONGEST);
    let mut near = part.trim_start_matches(['-', '.']).trim_end_matches('.');
    while let Some(rest) = near.strip_suffix(".lock") {
        near = rest;
    }
    if near == text && !near.is_empty() {
        return near.to_owned();
    }
    let mut near = if near.is_empty() { "task".to_owned() } else { near.to_owned() };
    let hash = Sha256::digest(text.as_bytes());
    near.push('-');
    for byte in &hash[..4] {
        let _ = write!(near, "{byte:02x}");
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_keeps_its_name_where_git_takes_it() {
        for name in ["1203", "fix-login", "feature_x.2", "a--b"] {
            assert_eq!(part(name), name);
        }
    }

    #[test]
    fn tasks_that_git_does_not_take_stay_different() {
        let odd =
            ["a b", "a/b", "a:b", "x.lock", "x", ".x", "x.", "a..b", "-x", "", "@{", "é", "..."];
        let parts: std::collections::BTreeSet<_> = odd.iter().map(|text| part(text)).collect();
        assert_eq!(parts.len(), odd.len(), "{parts:?}");
        assert!(parts.iter().all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric())));
    }

    #[test]
    fn a_run_has_the_name_it_has_or_none() {
        assert!(checked("2026-11-22T10-15-00-123Z-4f9a2c1b").is_ok());
        for name in ["", "../x", "a/b", "x.lock", "a b", "-f"] {
            assert!(checked(name).is_err(), "{name}");
        }
    }
}
