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
pub(super) const NAMES: [&str; 4] = ["npm_config_*", "pnpm_config_*", "PIP_*", "YARN_*"];

/// How variables begin that npm and pnpm read; pnpm reads only the second from its version 11 on.
const NPM: [&str; 2] = ["npm_config_", "pnpm_config_"];

/// What names the file of npm that is the user's.
pub(super) const NPMRC: &str = "npm_config_userconfig";

/// What they are told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) variables: Vec<(String, OsString)>,
    /// What npm and its like are to read in the place of the user's file: the registries of scopes. They
    /// cannot be told by variables, since shells pass none on whose names have an `@`.
    pub(super) npmrc: String,
}

/// Keys of pip that say where packages are and whom to believe.
const PIP: &[&str] = &["index-url", "extra-index-url", "trusted-host", "cert"];

/// Keys of newer versions of Yarn that do, and their variables.
const YARN: &[(&str, &str)] = &[
    ("npmRegistryServer", "YARN_NPM_REGISTRY_SERVER"),
    ("httpsCaFilePath", "YARN_HTTPS_CA_FILE_PATH"),
];

/// What is said in those of the files that are `hidden`.
pub(super) fn told<F: Fn(&str) -> Option<OsString>>(
    users: &Users<'_, F>,
    hidden: impl Fn(&Path) -> bool,
) -> Told {
    let read = |path: PathBuf| hidden(&path).then(|| fs::read_to_string(path).ok()).flatten();
    let said = |name: &str| (users.variable)(name).map(PathBuf::from);
    let config = said("XDG_CONFIG_HOME").unwrap_or_else(|| users.home.join(".config"));
    // What is read later holds.
    let pips = [
        Some(users.home.join(".pip/pip.conf")),
        Some(config.join("pip/pip.conf")),
        said("PIP_CONFIG_FILE"),
    ];
    let mut variables = Vec::new();
    for text in pips.into_iter().flatten().filter_map(read) {
        variables.extend(of_pip(&text));
    }
    let npms = said(NPMRC).or_else(|| said("NPM_CONFIG_USERCONFIG"));
    let npm = read(npms.unwrap_or_else(|| users.home.join(".npmrc"))).unwrap_or_default();
    let yarn = read(users.home.join(".yarnrc.yml")).unwrap_or_default();
    // A variable would hold before what the repository says.
    let own = |name| fs::read_to_string(users.worktree.join(name)).unwrap_or_default();
    let (own_npm, own_yarn) = (own(".npmrc"), own(".yarnrc.yml"));
    let said = |key: &str| entries(&own_npm, '=').any(|(own, _)| own == key);
    variables.extend(
        of_npm(&npm, |key| ["registry", "cafile"].contains(&key) && !said(key)).flat_map(
            |(key, value)| NPM.map(|name| (format!("{name}{key}"), value.clone().into())),
        ),
    );
    let said = |key: &str| top_level(&own_yarn).any(|(own, _)| own == key);
    variables.extend(of_yarn(&yarn).filter(|(key, _)| !said(key)).map(|(_, told)| told));
    let scopes = of_npm(&npm, |key| key.starts_with('@') && key.ends_with(":registry"));
    Told { variables, npmrc: scopes.map(|(key, value)| format!("{key}={value}\n")).collect() }
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

/// What npm's file says of such keys.
fn of_npm(text: &str, is_told: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, String)> {
    // What stands for something else might stand for a secret.
    let told = entries(text, '=').filter(move |(key, value)| is_told(key) && !value.contains("${"));
    told.map(|(key, value)| (key, without_password(value)))
}

/// Keys of Yarn's file, with the variables for what it says of them.
fn of_yarn(text: &str) -> impl Iterator<Item = (&str, (String, OsString))> {
    let all = top_level(text).filter(|(_, value)| !value.is_empty() && !value.contains("${"));
    all.filter_map(|(key, value)| {
        let (_, name) = YARN.iter().find(|(known, _)| *known == key)?;
        Some((key, ((*name).to_owned(), OsString::from(without_password(value)))))
    })
}

/// Entries of YAML that are no part of others.
fn top_level(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with([' ', '\t']));
    lines.flat_map(|line| entries(line, ':'))
}

fn entries(text: &str, between: char) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter(|line| !line.trim().starts_with(['#', ';']));
    let entries = lines.filter_map(move |line| line.split_once(between));
    entries.map(|(key, value)| {
        let value = value.split_once(" #").map_or(value, |(value, _)| value);
        (key.trim(), value.trim().trim_matches(['"', '\'']))
    })
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
    fn check(files: &[(&str, &str)], variables: &[(&str, &str)], npmrc: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, said) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, said).expect("a file");
        }
        let worktree = folder.path().join("repo");
        let users = Users { home: folder.path(), worktree: &worktree, variable: |_: &str| None };
        let variables =
            variables.iter().map(|(key, value)| ((*key).to_owned(), value.into())).collect();
        assert_eq!(told(&users, |_| true), Told { variables, npmrc: npmrc.to_owned() });
        let nothing = Told::default();
        assert_eq!(told(&users, |_| false), nothing, "what is seen is read by the tools");
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
            "",
        );
    }

    #[test]
    fn npm_is_told_its_registries_unless_the_repository_says_them() {
        let said = "registry=https://u:p@npm.example/\n@corp:registry = \"https://corp.example\"\n\
                    //npm.example/:_authToken=secret\n_auth=c2VjcmV0\ncafile=/etc/ca.pem\n\
                    registry=https://${TOKEN}@odd.example\n@odd:registry=https://${TOKEN}/\n\
                    @two:registry=https://u:p@two.example/npm/ # ours\n@two:_authToken=secret\n";
        let scopes =
            "@corp:registry=https://corp.example\n@two:registry=https://two.example/npm/\n";
        let told = [
            ("npm_config_registry", "https://npm.example/"),
            ("pnpm_config_registry", "https://npm.example/"),
            ("npm_config_cafile", "/etc/ca.pem"),
            ("pnpm_config_cafile", "/etc/ca.pem"),
        ];
        check(&[(".npmrc", said)], &told, scopes);
        let own = ("repo/.npmrc", "registry=https://own.example");
        check(&[(".npmrc", said), own], &told[2..], scopes);
    }

    #[test]
    fn yarn_is_told_its_registry_unless_the_repository_says_it() {
        let said = "npmRegistryServer: \"https://u:p@yarn.example/\"\nnpmAuthToken: secret\n\
                    npmScopes:\n  corp:\n    npmRegistryServer: https://corp.example\n\
                    httpsCaFilePath: /etc/ca.pem\n";
        let registry = ("YARN_NPM_REGISTRY_SERVER", "https://yarn.example/");
        let authority = ("YARN_HTTPS_CA_FILE_PATH", "/etc/ca.pem");
        check(&[(".yarnrc.yml", said)], &[registry, authority], "");
        let own = ("repo/.yarnrc.yml", "npmRegistryServer: https://own.example\n");
        check(&[(".yarnrc.yml", said), own], &[authority], "");
    }
}
