//! What a call names: runs by the paths of their manifests, by their ids and by parts of those.
//!
//! A path is read and not followed: it says which repository, task and run are meant, and the
//! journal of that repository says whether there is such a run. So nothing that lies at the path,
//! a FIFO, a link, somebody else's file, is ever opened.

use std::path::{Component, Path, PathBuf};

use model::{RunId, TaskId};

/// The longest name anybody gives.
const LONGEST: usize = 4096;

/// How a run is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// By its manifest, or the folder of that.
    Path {
        /// The repository; none where the path is relative to the one that is meant anyway.
        root: Option<PathBuf>,
        /// The task, as the path says it.
        task: TaskId,
        /// The run.
        run: RunId,
    },
    /// By its id, its tail, or the beginning of one of them.
    Word(String),
}

/// Why a text names no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadName {
    #[error("the name of a run is empty")]
    Empty,
    #[error("the name of a run has {0} bytes, which is too long")]
    TooLong(usize),
    #[error(
        "`{}` is no path of a manifest; they look like `.runs/<task-id>/cli/<run-id>/manifest.json`",
        .0.escape_debug()
    )]
    NoManifest(String),
}

/// What the text names.
pub(crate) fn named(text: &str) -> Result<Named, BadName> {
    if text.trim().is_empty() {
        return Err(BadName::Empty);
    }
    if text.len() > LONGEST {
        return Err(BadName::TooLong(text.len()));
    }
    if !text.contains('/') && !text.ends_with(".json") {
        return Ok(Named::Word(text.to_owned()));
    }
    let bad = || BadName::NoManifest(text.chars().take(200).collect());
    let mut parts: Vec<Component<'_>> = Path::new(text).components().collect();
    if parts.iter().any(|part| matches!(part, Component::ParentDir)) {
        return Err(bad());
    }
    if parts.last() == Some(&Component::Normal("manifest.json".as_ref())) {
        parts.pop();
    }
    let word = |part: Option<Component<'_>>| match part {
        Some(Component::Normal(word)) => word.to_str().map(ToOwned::to_owned),
        _ => None,
    };
    let run = word(parts.pop()).and_then(|word| word.parse().ok()).ok_or_else(bad)?;
    if word(parts.pop()).as_deref() != Some("cli") {
        return Err(bad());
    }
    let task = word(parts.pop()).and_then(|word| word.parse().ok()).ok_or_else(bad)?;
    if word(parts.pop()).as_deref() != Some(".runs") {
        return Err(bad());
    }
    let root: PathBuf = parts.into_iter().filter(|part| *part != Component::CurDir).collect();
    let root = match root.as_os_str().is_empty() {
        true => None,
        // A relative path leads on from the repository and from nowhere else.
        false if root.is_relative() => return Err(bad()),
        false => Some(root),
    };
    Ok(Named::Path { root, task, run })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "2026-11-22T10-15-00-123Z-4f9a2c1b";

    fn path(root: Option<&str>) -> Result<Named, BadName> {
        let (task, run) = ("demo".parse().unwrap(), RUN.parse().unwrap());
        Ok(Named::Path { root: root.map(PathBuf::from), task, run })
    }

    #[test]
    fn a_manifest_is_named_from_the_repository_or_from_the_root() {
        let inner = format!(".runs/demo/cli/{RUN}");
        assert_eq!(named(&format!("{inner}/manifest.json")), path(None));
        assert_eq!(named(&format!("./{inner}/")), path(None));
        assert_eq!(named(&format!("/a b/c/{inner}/manifest.json")), path(Some("/a b/c")));
    }

    #[test]
    fn a_word_is_left_to_the_journal() {
        assert_eq!(named("4f9a2c1b"), Ok(Named::Word("4f9a2c1b".to_owned())));
        assert_eq!(named(RUN), Ok(Named::Word(RUN.to_owned())));
    }

    #[test]
    fn what_leads_elsewhere_names_nothing() {
        for bad in [
            "/dev/stdin",
            "/proc/self/fd/0",
            "manifest.json",
            ".runs/demo/cli/x/manifest.json",
            &format!("../other/.runs/demo/cli/{RUN}/manifest.json"),
            &format!("/r/.runs/../.runs/demo/cli/{RUN}/manifest.json"),
            &format!("sub/.runs/demo/cli/{RUN}/manifest.json"),
            &format!(".runs/../cli/{RUN}"),
            &format!(".runs/demo/cli/{RUN}/events.jsonl"),
        ] {
            assert!(matches!(named(bad), Err(BadName::NoManifest(_))), "{bad}");
        }
        assert_eq!(named(" "), Err(BadName::Empty));
        assert_eq!(named(&"x".repeat(10_000)), Err(BadName::TooLong(10_000)));
    }
}
