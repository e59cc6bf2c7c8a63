//! Where what is hidden lies when a variable of its tool puts it elsewhere.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Variables that say where something is, and where it is below the home otherwise.
const MOVED: &[(&str, &str)] = &[
    ("AWS_CONFIG_FILE", ".aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
    ("AZURE_CONFIG_DIR", ".azure"),
    ("CARGO_HOME", ".cargo"),
    ("CLOUDSDK_CONFIG", ".config/gcloud"),
    ("CODEX_HOME", ".codex"),
    ("DOCKER_CONFIG", ".docker"),
    ("GH_CONFIG_DIR", ".config/gh"),
    ("GNUPGHOME", ".gnupg"),
    ("GRADLE_USER_HOME", ".gradle"),
    ("KUBECONFIG", ".kube/config"),
    ("NETRC", ".netrc"),
    ("NPM_CONFIG_USERCONFIG", ".npmrc"),
    ("npm_config_userconfig", ".npmrc"),
    ("PASSWORD_STORE_DIR", ".password-store"),
    ("PIP_CONFIG_FILE", ".config/pip/pip.conf"),
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_DATA_HOME", ".local/share"),
];

/// Where `path` is for tools that are told to look elsewhere than in `home`.
pub(super) fn elsewhere(
    path: &Path,
    home: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<PathBuf> {
    let moved = |(name, usual): &(&str, &str)| {
        let usual = home.join(usual);
        // Some name several files.
        let places = variable(name).map(|said| env::split_paths(&said).collect::<Vec<_>>());
        let places = places.unwrap_or_default().into_iter().filter(|place| place.is_absolute());
        let is_within = path.starts_with(home) && path != home && usual.starts_with(path);
        let found: Vec<PathBuf> = match path.strip_prefix(&usual) {
            // Joining nothing would leave a slash, which no file has.
            Ok(rest) if rest.as_os_str().is_empty() => places.collect(),
            Ok(rest) => places.map(|place| place.join(rest)).collect(),
            Err(_) if is_within => places.collect(),
            Err(_) => Vec::new(),
        };
        found
    };
    MOVED.iter().flat_map(moved).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, variables: &[(&str, &str)], found: &[&str]) {
        let variable = |name: &str| {
            let said = variables.iter().find(|(other, _)| *other == name);
            said.map(|(_, value)| OsString::from(value))
        };
        let at = elsewhere(Path::new(path), Path::new("/home/u"), variable);
        assert_eq!(at, found.iter().map(PathBuf::from).collect::<Vec<_>>(), "{path}");
    }

    #[test]
    fn what_is_hidden_is_followed_to_where_a_variable_puts_it() {
        let cargo = &[("CARGO_HOME", "/srv/cargo")][..];
        check("/home/u/.cargo/credentials.toml", cargo, &["/srv/cargo/credentials.toml"]);
        check("/home/u/.npmrc", cargo, &[]);
        check("/home/u/.npmrc", &[("NPM_CONFIG_USERCONFIG", "/srv/rc")], &["/srv/rc"]);
        check("/home/u/.kube", &[("KUBECONFIG", "/srv/a:/srv/b")], &["/srv/a", "/srv/b"]);
        check("/home/u/.config/gh", &[("XDG_CONFIG_HOME", "/srv/c")], &["/srv/c/gh"]);
        check("/home/u/.config/pip", &[("PIP_CONFIG_FILE", "/srv/pip.ini")], &["/srv/pip.ini"]);
    }

    #[test]
    fn who_hides_the_home_hides_nothing_elsewhere() {
        check("/home/u", &[("CARGO_HOME", "/srv/cargo")], &[]);
        check("/home", &[("CARGO_HOME", "/srv/cargo")], &[]);
        check("/home/u/.cargo/credentials", &[("CARGO_HOME", "relative")], &[]);
    }
}
