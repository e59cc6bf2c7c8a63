//! Where package managers keep what they have downloaded, and what a confined stage has of it.
//!
//! What is there, a cage lays its own over. What is not there yet gets a place in the stage's own
//! folder, and the tool is told by its variable.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use supervise::{Cache, Caches};

/// One cache of a tool.
struct Known {
    /// The variables that say where it is. The first that is set holds, and all are set.
    variables: &'static [&'static str],
    /// Where it is below the home otherwise.
    usual: &'static str,
    /// What in it is on a search path or a setting, and stays as it is.
    keep: &'static [&'static str],
    /// What is covered where nothing can be laid over the whole; where nothing is named, the whole.
    instead: &'static [&'static str],
}

const fn known(variables: &'static [&'static str], usual: &'static str) -> Known {
    Known { variables, usual, keep: &[], instead: &[] }
}

const KNOWN: &[Known] = &[
    Known {
        variables: &["CARGO_HOME"],
        usual: ".cargo",
        keep: &["bin"],
        instead: &["registry", "git"],
    },
    known(&["npm_config_cache"], ".npm"),
    // pnpm knows only the first of each before its version 11, and only the second from then on. npm
    // warns of the first, which it takes for its own.
    known(&["npm_config_store_dir", "pnpm_config_store_dir"], ".local/share/pnpm/store"),
    known(&["npm_config_cache_dir", "pnpm_config_cache_dir"], ".cache/pnpm"),
    known(&["YARN_CACHE_FOLDER"], ".cache/yarn"),
    known(&["BUN_INSTALL_CACHE_DIR"], ".bun/install/cache"),
    known(&["PIP_CACHE_DIR"], ".cache/pip"),
    known(&["UV_CACHE_DIR"], ".cache/uv"),
    known(&["GOMODCACHE"], "go/pkg/mod"),
    known(&["GOCACHE"], ".cache/go-build"),
];

impl Known {
    /// Where it is, or would be.
    fn place(&self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let said = self.variables.iter().find_map(|name| variable(name)).map(PathBuf::from);
        let usual = || {
            let home = PathBuf::from(variable("HOME")?);
            match (self.usual.strip_prefix(".cache/"), variable("XDG_CACHE_HOME")) {
                (Some(inner), Some(caches)) => Some(PathBuf::from(caches).join(inner)),
                _ => Some(home.join(self.usual)),
            }
        };
        said.or_else(usual).filter(|path| path.is_absolute())
    }

    /// The folder, if there is one of that user.
    fn folder(&self, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let path = fs::canonicalize(self.place(variable)?).ok()?;
        // Nothing can be laid over the root.
        (path.is_dir() && path.parent().is_some()).then_some(path)
    }
}

/// What there is, with `variable` as the user has it.
pub(super) fn found(store: PathBuf, variable: impl Fn(&str) -> Option<OsString>) -> Caches {
    let below = |path: &Path, names: &[&str]| names.iter().map(|name| path.join(name)).collect();
    let folders = KNOWN.iter().filter_map(|known| {
        let path = known.folder(&variable)?;
        let instead = match known.instead {
            [] => vec![path.clone()],
            names => below(&path, names),
        };
        Some(Cache { keep: below(&path, known.keep), instead, path })
    });
    let mut folders: Vec<Cache> = folders.collect();
    folders.sort_by(|one, two| one.path.cmp(&two.path));
    folders.dedup_by(|one, two| one.path == two.path);
    Caches { store, folders }
}

/// What tells each tool where its cache is inside.
pub(super) fn variables(
    caches: &Caches,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<(&'static str, OsString)> {
    let told = |known: &'static Known| {
        let place = match known.folder(&variable) {
            Some(path) => path,
            None => caches.own().join(known.variables[0]),
        };
        known.variables.iter().map(move |name| (*name, place.clone().into_os_string()))
    };
    KNOWN.iter().flat_map(told).collect()
}

/// The names of these variables.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().flat_map(|known| known.variables).copied()
}

/// The folders that can be written inside because of them.
pub(super) fn writable(caches: &Caches) -> Vec<PathBuf> {
    let folders = caches.folders.iter().map(|cache| cache.path.clone());
    folders.chain([caches.own()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_shown_and_what_is_not_has_a_place_of_its_own() {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path().canonicalize().expect("it is there");
        for folder in [".cargo/registry", "elsewhere/pip"] {
            fs::create_dir_all(home.join(folder)).expect("a folder");
        }
        let variable = |name: &str| match name {
            "HOME" => Some(home.clone().into_os_string()),
            "XDG_CACHE_HOME" => Some(home.join("elsewhere").into_os_string()),
            _ => None,
        };
        let caches = found(PathBuf::from("/store"), variable);
        let paths: Vec<&Path> = caches.folders.iter().map(|cache| cache.path.as_path()).collect();
        assert_eq!(paths, [home.join(".cargo"), home.join("elsewhere/pip")]);
        assert_eq!(caches.folders[0].keep, [home.join(".cargo/bin")]);
        let told = variables(&caches, variable);
        let of =
            |name: &str| told.iter().find(|(other, _)| *other == name).map(|(_, at)| at.clone());
        assert_eq!(of("CARGO_HOME"), Some(home.join(".cargo").into_os_string()));
        assert_eq!(of("npm_config_cache"), Some("/store/own/npm_config_cache".into()));
        for name in ["npm_config_store_dir", "pnpm_config_store_dir"] {
            assert_eq!(of(name), Some("/store/own/npm_config_store_dir".into()), "{name}");
        }
    }
}
