//! Files and folders as caps name them. Where they are on the disk is for whoever looks.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{
    axis::{Axis, listed},
    host::shown,
    logins::LOGINS,
};

/// `@worktree/target`, `~/.ssh`, `/srv/data`, or `.codex`, which is in the work tree.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct CapPath {
    base: Base,
    below: Vec<String>,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Base {
    Root,
    Home,
    Worktree,
    Tmp,
    Git,
    Config,
    Runs,
    Logins,
}

impl Base {
    const ALL: [(Self, &str); 8] = [
        (Self::Root, "/"),
        (Self::Home, "~"),
        (Self::Worktree, "@worktree"),
        (Self::Tmp, "@tmp"),
        (Self::Git, "@git"),
        (Self::Config, "@config"),
        (Self::Runs, "@runs"),
        (Self::Logins, "@logins"),
    ];
}

/// Where the places are for one process. Whoever fills this in has followed all links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The user's home.
    pub home: PathBuf,
    /// The work tree that it runs in.
    pub worktree: PathBuf,
    /// Its folder for temporary files.
    pub tmp: PathBuf,
    /// All that git keeps of the work tree: its pointer, its own folder, and the common one.
    pub git: Vec<PathBuf>,
    /// The config files of the repository.
    pub config: Vec<PathBuf>,
    /// The records of runs.
    pub runs: PathBuf,
}

/// The text names no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no path: {why}")]
pub struct BadPath {
    /// The text, with nothing in it for a terminal to act on.
    pub text: String,
    /// What is wrong with it, and how to write it.
    pub why: &'static str,
}

impl FromStr for CapPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        let bad = |why| Err(BadPath { text: shown(text), why });
        if text.trim().is_empty() {
            return bad("leave it out");
        }
        if text.contains('\0') {
            return bad("it has a NUL character in it");
        }
        if text.contains('*') {
            return bad("it stands for itself and all below it, and has no `*`");
        }
        let (base, rest) = if let Some(rest) = text.strip_prefix('/') {
            (Base::Root, rest)
        } else if text.starts_with(['@', '~']) {
            let (first, rest) = text.split_once('/').unwrap_or((text, ""));
            match Base::ALL.iter().find(|(_, name)| *name == first) {
                Some((Base::Logins, _)) if !rest.trim_matches('/').is_empty() => {
                    return bad(
                        "`@logins` is all of them; name the one that is meant, as `~/.ssh`",
                    );
                }
                Some((base, _)) => (*base, rest),
                None if text.starts_with('~') => return bad("`~/` is in your own home"),
                None => {
                    return bad(
                        "places are `@worktree`, `@tmp`, `@git`, `@config`, `@runs` and `@logins`",
                    );
                }
            }
        } else {
            (Base::Worktree, text)
        };
        let parts = rest.split('/').filter(|part| !matches!(*part, "" | "."));
        let below: Vec<String> = parts.map(str::to_owned).collect();
        if below.iter().any(|part| part == "..") {
            return bad("write it without `..`");
        }
        Ok(Self { base, below })
    }
}

impl CapPath {
    /// Whether it is that one, or below it. `/` has everything below it; apart from that, places that
    /// begin with different words are different places.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        match (other.base, other.below.as_slice()) {
            (Base::Root, []) => true,
            (base, below) => self.base == base && self.below.starts_with(below),
        }
    }

    /// Where it is; git, the config and logins are in more than one place.
    #[must_use]
    pub fn at(&self, places: &Places) -> Vec<PathBuf> {
        let one = |path: &Path| vec![path.to_owned()];
        let mut all = match self.base {
            Base::Root => one(Path::new("/")),
            Base::Home => one(&places.home),
            Base::Worktree => one(&places.worktree),
            Base::Tmp => one(&places.tmp),
            Base::Git => places.git.clone(),
            Base::Config => places.config.clone(),
            Base::Runs => one(&places.runs),
            Base::Logins => LOGINS.iter().map(|login| places.home.join(login)).collect(),
        };
        all.iter_mut().for_each(|path| path.extend(&self.below));
        all
    }
}

impl fmt::Display for CapPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) =
            Base::ALL.iter().find(|(base, _)| *base == self.base).unwrap_or(&Base::ALL[0]);
        match (self.base, self.below.is_empty()) {
            (_, true) => out.write_str(name),
            (Base::Root, false) => write!(out, "/{}", self.below.join("/")),
            (_, false) => write!(out, "{name}/{}", self.below.join("/")),
        }
    }
}

impl TryFrom<String> for CapPath {
    type Error = BadPath;

    fn try_from(text: String) -> Result<Self, BadPath> {
        text.parse()
    }
}

impl From<CapPath> for String {
    fn from(path: CapPath) -> Self {
        path.to_string()
    }
}

/// Paths without those that are below another one.
fn outermost(paths: impl IntoIterator<Item = CapPath>) -> BTreeSet<CapPath> {
    let all: BTreeSet<CapPath> = paths.into_iter().collect();
    let within = |one: &CapPath| all.iter().any(|two| one != two && one.is_within(two));
    all.iter().filter(|one| !within(one)).cloned().collect()
}

macro_rules! paths {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(from = "Vec<CapPath>")]
        pub struct $name(BTreeSet<CapPath>);

        impl $name {
            /// Whether a path is one of them, or below one.
            #[must_use]
            pub fn has(&self, path: &CapPath) -> bool {
                self.0.iter().any(|own| path.is_within(own))
            }

            /// The outermost of them.
            pub fn iter(&self) -> impl Iterator<Item = &CapPath> {
                self.0.iter()
            }
        }

        impl From<Vec<CapPath>> for $name {
            fn from(paths: Vec<CapPath>) -> Self {
                paths.into_iter().collect()
            }
        }

        impl FromIterator<CapPath> for $name {
            fn from_iter<I: IntoIterator<Item = CapPath>>(paths: I) -> Self {
                Self(outermost(paths))
            }
        }
    };
}

paths! {
    /// What may be done something to: the more of them, the more is allowed.
    Granted
}

paths! {
    /// What is kept from somebody: the more of them, the less is allowed.
    Withheld
}

impl Axis for Granted {
    fn meet(&self, other: &Self) -> Self {
        let inner = |one: &CapPath, two: &CapPath| match (one.is_within(two), two.is_within(one)) {
            (true, _) => Some(one.clone()),
            (_, true) => Some(two.clone()),
            (false, false) => None,
        };
        let pairs = self.0.iter().flat_map(|one| other.0.iter().map(move |two| inner(one, two)));
        pairs.flatten().collect()
    }

    fn beyond(&self, bound: &Self) -> Option<String> {
        listed(self.0.iter().filter(|own| !bound.has(own)))
    }
}

/// Whoever says less of what is withheld asks for nothing: all that anybody says is.
impl Axis for Withheld {
    fn meet(&self, other: &Self) -> Self {
        outermost(self.0.iter().chain(&other.0).cloned()).into_iter().collect()
    }

    fn beyond(&self, _: &Self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> CapPath {
        text.parse().unwrap_or_else(|bad| panic!("{bad}"))
    }

    fn shown<'a>(paths: impl Iterator<Item = &'a CapPath>) -> String {
        paths.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_path_is_shown_in_its_one_form() {
        for (written, form) in [
            (".codex/", "@worktree/.codex"),
            ("./a//b", "@worktree/a/b"),
            ("@worktree", "@worktree"),
            ("@worktree/", "@worktree"),
            ("~/.ssh", "~/.ssh"),
            ("/", "/"),
            ("//srv/./x/", "/srv/x"),
            ("@git", "@git"),
            ("@logins/", "@logins"),
        ] {
            assert_eq!(path(written).to_string(), form);
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for (text, hint) in [
            ("", "leave it out"),
            ("a/../b", "without `..`"),
            ("@work", "`@worktree`"),
            ("@logins/.ssh", "as `~/.ssh`"),
            ("~other/x", "your own home"),
            ("a*", "no `*`"),
            ("a\0", "NUL"),
        ] {
            let error = text.parse::<CapPath>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn two_grants_come_to_the_inner_ones() {
        let set = |text: &str| text.split_whitespace().map(path).collect::<Granted>();
        let meet = |one, two| shown(set(one).meet(&set(two)).iter());
        assert_eq!(meet("@worktree @tmp", "@worktree/target"), "@worktree/target");
        assert_eq!(meet("/", "@worktree ~/x"), "~/x @worktree");
        assert_eq!(meet("/srv", "/srv2 /srv/a"), "/srv/a");
        assert_eq!(meet("@tmp", "@worktree"), "");
        assert_eq!(shown(set("@worktree @worktree/a /b /b/c").iter()), "/b @worktree");
        assert_eq!(set("@worktree /etc").beyond(&set("@worktree")), Some("/etc".to_owned()));
    }

    #[test]
    fn what_is_withheld_adds_up() {
        let set = |text: &str| text.split_whitespace().map(path).collect::<Withheld>();
        assert_eq!(
            shown(set("@git .codex").meet(&set(".codex/x @runs")).iter()),
            "@worktree/.codex @git @runs"
        );
    }

    #[test]
    fn git_and_logins_are_in_more_than_one_place() {
        let places = Places {
            home: "/home/u".into(),
            worktree: "/home/u/r".into(),
            tmp: "/tmp".into(),
            git: vec!["/home/u/r/.git".into(), "/home/u/main/.git".into()],
            config: vec!["/home/u/r/.codex/orchestrator.toml".into()],
            runs: "/home/u/r/.runs".into(),
        };
        let at = |text| path(text).at(&places);
        assert_eq!(
            at("@git/hooks"),
            ["/home/u/r/.git/hooks", "/home/u/main/.git/hooks"].map(PathBuf::from)
        );
        assert_eq!(at("~/.ssh"), [PathBuf::from("/home/u/.ssh")]);
        let logins = at("@logins");
        assert_eq!(logins.len(), LOGINS.len());
        assert!(logins.contains(&PathBuf::from("/home/u/.ssh")));
        assert_eq!(at("a"), [PathBuf::from("/home/u/r/a")]);
        assert_eq!(at("/"), [PathBuf::from("/")]);
    }
}
