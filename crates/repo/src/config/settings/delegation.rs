//! What agents may do by themselves.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use model::{Budget, ConfirmCancel, Limits, Mode, WhenReached};

use super::choices::{PipelineTrust, WhenFull, WhenLimited};

/// `[delegate]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegateSettings {
    /// What a session may do.
    pub mode: Mode,
    /// What a delegated run may do.
    pub child_mode: Mode,
    /// What a sandboxed session may start without a person's consent.
    pub pipelines: PipelineTrust,
    /// Folders of other repositories in which runs may be started, as they are written; see
    /// [`DelegateSettings::allows_repo`].
    pub allowed_repos: Vec<String>,
}

impl DelegateSettings {
    /// Whether whoever is in the repository at `root` may start a run in the one at `wanted`:
    /// that is `root`, or in one of the allowed folders, once symlinks are followed. What is
    /// written as `~` needs the `home` folder.
    #[must_use]
    pub fn allows_repo(&self, root: &Path, home: Option<&Path>, wanted: &Path) -> bool {
        let Ok(wanted) = fs::canonicalize(wanted) else { return false };
        let allowed = self.allowed_repos.iter().filter_map(|text| folder(text, root, home));
        std::iter::once(root.to_owned())
            .filter_map(|own| fs::canonicalize(own).ok().filter(|own| *own == wanted))
            .chain(allowed.filter(|allowed| wanted.starts_with(allowed)))
            .next()
            .is_some()
    }
}

fn folder(text: &str, root: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let path = match text.strip_prefix('~') {
        // A `join` with what begins with a slash would leave the home folder behind.
        Some(rest) => home?.join(rest.trim_start_matches('/')),
        None => root.join(text),
    };
    fs::canonicalize(path).ok()
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// How deep runs may be below the session that began.
    pub depth: usize,
    /// How many runs a session or a run may start in all.
    pub children: usize,
    /// How many of them may go on at one time; at least 1.
    pub at_once: usize,
    /// What happens to one more.
    pub when_full: WhenFull,
    /// How many tokens the threads of a run and of those below it may use.
    pub tokens: Option<u64>,
    /// How many turns they may take.
    pub turns: Option<u64>,
    /// How long they may be at work in all.
    pub work_time: Option<Duration>,
    /// What becomes of a run that has used that up.
    pub when_spent: WhenReached,
    /// What a run does when the account's own limit is lifted again.
    pub on_usage_limit: WhenLimited,
    /// How long a run may do and print nothing before whoever waits for it is told; none for ever.
    pub stalled_after: Option<Duration>,
}

impl LimitSettings {
    /// What the threads of a run may use up.
    #[must_use]
    pub fn of_run(&self) -> Limits {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Limits {
            budget: Budget {
                tokens: self.tokens,
                turns: self.turns,
                work_ms: self.work_time.map(millis),
            },
            then: self.when_spent,
            stays_limited: self.on_usage_limit == WhenLimited::Wait,
        }
    }
}

/// `[confirm]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmSettings {
    /// Which cancels of an agent a person has to allow.
    pub cancel: ConfirmCancel,
    /// How long a person may be asked.
    pub expires_in: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_repositories_are_allowed_by_the_folder_they_are_really_in() {
        let kept = tempfile::tempdir().unwrap();
        let ground = fs::canonicalize(kept.path()).unwrap();
        for name in ["home/open/x", "home/shut", "own", "beside", "beside-not"] {
            fs::create_dir_all(ground.join(name)).unwrap();
        }
        std::os::unix::fs::symlink("../../shut", ground.join("home/open/x/way-out")).unwrap();
        let home = ground.join("home");
        let check = |allowed: &[&str], wanted: &str| {
            let settings = DelegateSettings {
                mode: Mode::Full,
                child_mode: Mode::Full,
                pipelines: PipelineTrust::Committed,
                allowed_repos: allowed.iter().map(|&text| text.to_owned()).collect(),
            };
            settings.allows_repo(&ground.join("own"), Some(&home), &ground.join(wanted))
        };
        assert!(check(&[], "own"));
        assert!(!check(&[], "beside"));
        assert!(check(&["../beside"], "beside") && !check(&["../beside"], "beside-not"));
        assert!(check(&["~/open"], "home/open/x") && !check(&["~/open"], "home/shut"));
        assert!(check(&["~"], "home/shut") && !check(&["~//shut"], "home"));
        assert!(!check(&["~/open"], "home/open/x/way-out"), "a symlink that leads out");
        assert!(check(&[ground.join("home").to_str().unwrap()], "home/shut"));
        assert!(!check(&["nowhere"], "own/nowhere"));
    }
}
