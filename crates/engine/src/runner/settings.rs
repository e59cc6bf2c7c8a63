//! What package managers are told of settings that are in hidden files beside secrets: where their
//! packages are, by variables, and without the passwords.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// Where to look, as the user has it.
pub(super) struct Users<'a, F> {
    pub(super) home: &'a Path,
    pub(super) worktree: &'a Path,
    pub(super) variable: F,
}

/// What the names of these variables are like.
pub(super) const NAMES: [&str; 2] = ["npm_config_*", "PIP_*"];

/// Keys of pip that say where packages are and whom to believe.
const PIP: &[&str] = &["index-url", "extra-index-url", "trusted-host", "cert"];

/// Variables for what is said in those of the files that are `hidden`.
pub(super) fn variables<F: Fn(&str) -> Option<OsString>>(
    users: &Users<'_, F>,
    hidden: impl Fn(&Path) -> bool,
) -> Vec<(String, OsString)> {
    let read = |path: PathBuf| hidden(&path).then(|| fs::read_to_string(path).ok()).flatten();
    let said = |name: &str| (users.variable)(name).map(PathBuf::from);
    let config = said("XDG_CONFIG_HOME").unwrap_or_else(|| users.home.join(".config"));
    // What is read later holds.
    let pips = [
        Some(users.home.join(".pip/pip.conf")),
        Some(config.join("pip/pip.conf")),
        said("PIP_CONFIG_FILE"),
    ];
    let mut told = Vec::new();
    for text in pips.into_iter().flatten().filter_map(read) {
        told.extend(of_pip(&text));
    }
    let npms = said("npm_config_userconfig").or_else(|| said("NPM_CONFIG_USERCONFIG"));
    let npm = read(npms.unwrap_or_else(|| users.home.join(".npmrc"))).unwrap_or_default();
    // A variable would hold before what the repository says.
    let own = fs::read_to_string(users.worktree.join(".npmrc")).unwrap_or_default();
    let own: Vec<&str> = entries(&own).map(|(key, _)| key).collect();
    told.extend(
        of_npm(&npm)
            .filter(|(key, _)| !own.contains(key))
            .map(|(key, value)| (format!("npm_config_{key}"), OsString::from(value))),
    );
    told
}

/// What pip's file says for everything, or for installing.
fn of_pip(text: &str) -> Vec<(String, OsString)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    let (mut is_meant, mut open) = (false, false);
    for line in text.lines().filter(|line| !line.trim().starts_with(['#', ';'])) {
        let inner = line.trim();
        if let Some(section) = inner.strip_prefix('[') {
            is_meant = ["global]", "install]"].contains(&section);
            open = false;
        } else if line.starts_with([' ', '\t']) && open {
            // A value goes on.
            found.last_mut().into_iter().for_each(|(_, values)| values.push(inner));
        } else if let Some((key, value)) = inner.split_once(['=', ':']).filter(|_| is_meant) {
            let known = PIP.iter().find(|known| **known == key.trim().replace('_', "-"));
            open = known.is_some();
            found.extend(known.map(|known| (*known, vec![value.trim()])));
        } else {
            open = false;
        }
    }
    let told = found.into_iter().map(|(key, values)| {
        let words = values.iter().flat_map(|value| value.split_whitespace());
        let value = words.map(without_password).collect::<Vec<_>>().join(" ");
        (format!("PIP_{}", key.to_uppercase().replace('-', "_")), OsString::from(value))
    });
    told.filter(|(_, value)| !value.is_empty()).collect()
}

/// Where npm's file says that packages are, and whom to believe. The registries of scopes cannot be
/// told: shells do not pass variables on whose names have an `@`.
fn of_npm(text: &str) -> impl Iterator<Item = (&str, String)> {
    let is_told = |key| ["registry", "cafile"].contains(&key);
    // What stands for something else might stand for a secret.
    let told = entries(text).filter(move |(key, value)| is_told(key) && !value.contains("${"));
    told.map(|(key, value)| (key, without_password(value)))
}

fn entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter(|line| !line.trim().starts_with(['#', ';']));
    let entries = lines.filter_map(|line| line.split_once('='));
    entries.map(|(key, value)| (key.trim(), value.trim().trim_matches(['"', '\''])))
}

/// An address without the name and password that may be in it.
fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (place, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], told: &[(&str, &str)]) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, said) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, said).expect("a file");
        }
        let worktree = folder.path().join("repo");
        let users = Users { home: folder.path(), worktree: &worktree, variable: |_: &str| None };
        let all = variables(&users, |_| true);
        let told: Vec<(String, OsString)> =
            told.iter().map(|(key, value)| ((*key).to_owned(), value.into())).collect();
        assert_eq!(all, told);
        assert_eq!(variables(&users, |_| false), [], "what is seen is read by the tools");
    }

    #[test]
    fn pip_is_told_its_index_without_the_password() {
        let said = "[global]\n# index-url = http://no.example\n\
                    index-url = https://me:p@ss@pip.example/simple\n\
                    extra_index_url =\n    https://one.example/a@b\n    https://t@two.example\n\
                    client-cert = /secret\n[install]\ntrusted-host: pip.example\n\
                    [search]\nindex = https://x.example\n";
        check(
            &[(".config/pip/pip.conf", said)],
            &[
                ("PIP_INDEX_URL", "https://pip.example/simple"),
                ("PIP_EXTRA_INDEX_URL", "https://one.example/a@b https://two.example"),
                ("PIP_TRUSTED_HOST", "pip.example"),
            ],
        );
    }

    #[test]
    fn npm_is_told_its_registries_unless_the_repository_says_them() {
        let said = "registry=https://u:p@npm.example/\n@corp:registry = \"https://corp.example\"\n\
                    //npm.example/:_authToken=secret\n_auth=c2VjcmV0\ncafile=/etc/ca.pem\n\
                    registry=https://${TOKEN}@odd.example\n";
        let registry = ("npm_config_registry", "https://npm.example/");
        let authority = ("npm_config_cafile", "/etc/ca.pem");
        check(&[(".npmrc", said)], &[registry, authority]);
        let own = ("repo/.npmrc", "registry=https://own.example");
        check(&[(".npmrc", said), own], &[authority]);
    }
}
