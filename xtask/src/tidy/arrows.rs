//! Arrows point down: which crate of the workspace may use which.

use super::manifest::{crate_of, dependencies};
use super::{Complaint, File};

/// Who may use whom. A new crate gets its row here before it gets its first dependency.
const BELOW: [(&str, &[&str]); 14] = [
    ("model", &[]),
    ("supervise", &[]),
    ("worktree", &[]),
    ("store", &["model"]),
    ("repo", &["model"]),
    ("notify", &["model"]),
    ("afar", &[]),
    ("web", &[]),
    ("codex", &[]),
    ("proxy", &["model"]),
    ("engine", &["model", "store", "supervise", "codex", "worktree", "proxy"]),
    ("delegate", &["model", "store", "repo", "engine", "worktree"]),
    (
        "codex-orchestrator",
        &[
            "model",
            "store",
            "supervise",
            "repo",
            "notify",
            "afar",
            "web",
            "codex",
            "worktree",
            "engine",
            "delegate",
        ],
    ),
    ("xtask", &[]),
];

pub(super) fn check(files: &[File]) -> Vec<Complaint> {
    let members: Vec<_> = files.iter().filter_map(|file| crate_of(&file.path)).collect();
    let mut complaints = Vec::new();
    for file in files {
        let Some(user) = crate_of(&file.path) else { continue };
        let complain = |line, words| Complaint { path: file.path.clone(), line, words };
        let Some((_, below)) = BELOW.iter().find(|(name, _)| *name == user) else {
            let words = format!("`{user}` has no place yet: give it a row in xtask's `BELOW`");
            complaints.push(complain(1, words));
            continue;
        };
        // A manifest that cannot be read is complained about where manifests are checked.
        for used in dependencies(&file.text).unwrap_or_default() {
            let name = used.name.as_str();
            if members.contains(&name) && !below.contains(&name) {
                let words = format!("`{user}` may not use `{name}`, which is not below it");
                complaints.push(complain(used.line, words));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::complaints;

    fn check(user: &str, used: &str, expected: &str) {
        let path = format!("crates/{user}/Cargo.toml");
        let manifest = format!("[dependencies]\n{used}.workspace = true\n");
        let files = [
            (path.as_str(), manifest.as_str()),
            ("crates/model/Cargo.toml", ""),
            ("crates/supervise/Cargo.toml", ""),
            ("crates/engine/Cargo.toml", ""),
        ];
        assert_eq!(complaints(super::check, &files), expected);
    }

    #[test]
    fn an_arrow_may_point_down() {
        check("store", "model", "");
    }

    #[test]
    fn an_arrow_may_not_point_up() {
        check(
            "store",
            "engine",
            "crates/store/Cargo.toml:2: `store` may not use `engine`, which is not below it\n",
        );
    }

    #[test]
    fn an_arrow_may_not_point_sideways() {
        check(
            "store",
            "supervise",
            "crates/store/Cargo.toml:2: `store` may not use `supervise`, which is not below it\n",
        );
    }

    #[test]
    fn crates_from_elsewhere_are_not_arrows() {
        check("store", "serde", "");
    }

    #[test]
    fn a_crate_without_a_row_is_told_to_get_one() {
        check(
            "fleet",
            "model",
            "crates/fleet/Cargo.toml:1: `fleet` has no place yet: give it a row in xtask's `BELOW`\n",
        );
    }

    #[test]
    fn every_arrow_in_the_table_leads_to_a_row_above_it() {
        for (at, (user, below)) in super::BELOW.iter().enumerate() {
            for used in *below {
                let row = super::BELOW.iter().position(|(name, _)| name == used);
                assert!(row.is_some_and(|row| row < at), "`{user}` uses `{used}`");
            }
        }
    }
}
