//! The Python that a project would be run with, and what is installed in it; found without
//! starting it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::super::{
    finding::quoted,
    tools::{Tools, is_program},
    tree::{Folder, Tree, text},
};

/// A Python.
pub(super) struct Interpreter {
    /// How it is called from the project's folder.
    pub(super) command: String,
    /// The folder of the programs that are installed with it; only of a project's own.
    pub(super) bin: Option<PathBuf>,
    /// Where its packages are; empty when that could not be found out.
    sites: Vec<PathBuf>,
    /// Where its own library is.
    library: Option<PathBuf>,
    /// The installed distributions by normal names, with the folders that tell of them.
    distributions: BTreeMap<String, PathBuf>,
    /// What can be imported from the sites.
    modules: BTreeSet<String>,
}

/// Modules that are in the interpreter itself and have no file.
const BUILT_IN: [&str; 34] = [
    "__future__",
    "array",
    "atexit",
    "binascii",
    "builtins",
    "cmath",
    "errno",
    "faulthandler",
    "fcntl",
    "gc",
    "grp",
    "itertools",
    "marshal",
    "math",
    "mmap",
    "msvcrt",
    "posix",
    "pwd",
    "pyexpat",
    "readline",
    "resource",
    "select",
    "sys",
    "syslog",
    "termios",
    "time",
    "tomllib",
    "unicodedata",
    "winreg",
    "zlib",
    "_thread",
    "_io",
    "_winapi",
    "audioop",
];

impl Interpreter {
    /// The environment beside the project or above it, else the `python3` of the PATH.
    pub(super) fn of(folder: &Folder, tree: &Tree, tools: &Tools) -> Option<Self> {
        for above in tree.upwards(folder) {
            for name in [".venv", "venv", "env", ".env"] {
                let home = above.path().join(name);
                if is_program(&home.join("bin/python")) && home.join("pyvenv.cfg").is_file() {
                    return Some(Self::of_project(folder, above, name, &home));
                }
            }
        }
        let (command, found) =
            ["python3", "python"].into_iter().find_map(|name| Some((name, tools.find(name)?)))?;
        let mut python = Self::bare(command.to_owned());
        if let Some(root) = pyenv(&found) {
            if let Some(home) = pyenv_version(folder, tree, &root) {
                python.take_home(&home);
            }
        } else {
            let home = found.parent().and_then(Path::parent).map(Path::to_owned);
            if let Some(home) = home.filter(|home| home.join("pyvenv.cfg").is_file()) {
                python.take_environment(&home);
            } else if let Some(home) =
                fs::canonicalize(&found).ok().as_deref().and_then(|file| file.parent()?.parent())
            {
                python.take_home(home);
            }
            // `pip install --user` puts its programs into `~/.local/bin`, and that on the PATH.
            for bin in tools.folders().filter(|bin| bin.ends_with(".local/bin")) {
                python.take_libraries(&bin.join("../lib"), false);
            }
        }
        python.list_installed();
        Some(python)
    }

    fn bare(command: String) -> Self {
        Self {
            command,
            bin: None,
            sites: Vec::new(),
            library: None,
            distributions: BTreeMap::new(),
            modules: BTreeSet::new(),
        }
    }

    /// The Python of an environment in the work tree.
    fn of_project(folder: &Folder, above: &Folder, name: &str, home: &Path) -> Self {
        let below = folder.at.strip_prefix(&above.at).unwrap_or_default();
        let up = "../".repeat(below.split('/').filter(|part| !part.is_empty()).count());
        let mut python = Self::bare(quoted(&format!("{up}{name}/bin/python")));
        python.bin = Some(home.join("bin"));
        python.take_environment(home);
        python.list_installed();
        python
    }

    fn take_environment(&mut self, home: &Path) {
        self.take_libraries(&home.join("lib"), false);
        let about = text(&home.join("pyvenv.cfg")).unwrap_or_default();
        let says = |key: &str| {
            about.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == key).then(|| value.trim().to_owned())
            })
        };
        let base = fs::canonicalize(home.join("bin/python")).ok();
        if let Some(base) = base.as_deref().and_then(|file| file.parent()?.parent()) {
            if says("include-system-site-packages").as_deref() == Some("true") {
                self.take_home(base);
            } else {
                self.library = library(base);
            }
        }
    }

    fn take_home(&mut self, home: &Path) {
        self.library = library(home);
        self.take_libraries(&home.join("lib"), true);
        // Debian's own places.
        self.take_libraries(&home.join("local/lib"), true);
        self.take_site(home.join("lib/python3/dist-packages"));
        if home == Path::new("/usr") {
            self.take_libraries(Path::new("/usr/local/lib"), true);
        }
    }

    /// The places for packages below a `lib` folder.
    fn take_libraries(&mut self, lib: &Path, debian: bool) {
        let versions = fs::read_dir(lib).into_iter().flatten().flatten();
        let versions =
            versions.filter(|entry| entry.file_name().to_string_lossy().starts_with("python3."));
        let own =
            self.library.as_ref().and_then(|library| library.file_name().map(ToOwned::to_owned));
        for version in versions {
            // Another version's packages are nothing to this one.
            if own.as_ref().is_none_or(|own| *own == version.file_name()) {
                self.take_site(version.path().join("site-packages"));
                if debian {
                    self.take_site(version.path().join("dist-packages"));
                }
            }
        }
    }

    fn take_site(&mut self, site: PathBuf) {
        if site.is_dir() && !self.sites.contains(&site) {
            self.sites.push(site);
        }
    }

    fn list_installed(&mut self) {
        for entry in
            self.sites.iter().filter_map(|site| fs::read_dir(site).ok()).flatten().flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            let about = [".dist-info", ".egg-info", ".egg-link"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            match about {
                Some(about) => {
                    let name = normal(about.split('-').next().unwrap_or_default());
                    self.distributions.insert(name, entry.path());
                }
                // `name`, `name.py`, or `name.cpython-312-x86_64-linux-gnu.so`.
                None => {
                    self.modules.extend(name.split('.').next().map(str::to_owned));
                }
            }
        }
    }

    /// Whether a module can be imported, besides those of the project; `None` when that could
    /// not be found out.
    pub(super) fn has(&self, module: &str) -> Option<bool> {
        (!self.sites.is_empty()).then(|| self.modules.contains(module))
    }

    /// Whether a module comes with Python itself; `None` when that could not be found out.
    pub(super) fn comes_with(&self, module: &str) -> Option<bool> {
        let library = self.library.as_ref()?;
        let file = library.join(format!("{module}.py"));
        let compiled = || {
            let entries = fs::read_dir(library.join("lib-dynload")).into_iter().flatten().flatten();
            let start = format!("{module}.");
            entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&start))
        };
        Some(
            BUILT_IN.contains(&module)
                || file.is_file()
                || library.join(module).is_dir()
                || compiled(),
        )
    }

    /// Whether a distribution is installed; `None` when that could not be found out.
    pub(super) fn has_distribution(&self, name: &str) -> Option<bool> {
        (!self.sites.is_empty()).then(|| self.distributions.contains_key(&normal(name)))
    }

    /// How a distribution was installed from `folder`, if it was. One of the same name from
    /// elsewhere may well be another version of it, also in the project's own environment:
    /// pytest brings some of the projects that are tested with it.
    pub(super) fn installed_from(&self, name: &str, folder: &Path) -> Option<Installed> {
        let about = self.distributions.get(&normal(name))?;
        let from = |path: &str| fs::canonicalize(path).is_ok_and(|path| path.starts_with(folder));
        if let Some(link) = text(about) {
            return link.lines().next().is_some_and(from).then_some(Installed::Linked);
        }
        let direct: serde_json::Value =
            serde_json::from_str(&text(&about.join("direct_url.json"))?).ok()?;
        let path = decoded(direct.get("url")?.as_str()?.strip_prefix("file://")?)?;
        let linked = direct.pointer("/dir_info/editable").and_then(|value| value.as_bool());
        from(&path).then_some(match linked {
            Some(true) => Installed::Linked,
            _ => Installed::Copied,
        })
    }
}

/// What an installation of a project has of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Installed {
    /// Its sources themselves.
    Linked,
    /// What they were at that time.
    Copied,
}

/// The path in a URL, where `%20` stands for a space.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut parts = path.split('%');
    bytes.extend(parts.next()?.bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).ok()
}

/// A distribution's name as it is compared: `Foo.Bar_baz` and `foo-bar-baz` are one.
pub(super) fn normal(name: &str) -> String {
    let mut normal = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.extend(c.to_lowercase()),
        }
    }
    normal
}

/// The standard library below a Python's folder; of several the one the folder's `python3` is.
fn library(home: &Path) -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir(home.join("lib"))
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("os.py").is_file())
        .collect();
    let named = fs::canonicalize(home.join("bin/python3")).ok();
    let named =
        named.as_deref().and_then(|file| file.file_name()).map(|name| home.join("lib").join(name));
    versions.sort();
    match named {
        Some(named) if versions.contains(&named) => Some(named),
        _ => versions.pop(),
    }
}

/// The folder of pyenv, when `found` is one of its stand-ins.
fn pyenv(found: &Path) -> Option<PathBuf> {
    let shims = found.parent()?;
    let root = shims.parent()?;
    (shims.ends_with("shims") && root.join("versions").is_dir()).then(|| root.to_owned())
}

/// The Python that pyenv would choose in a folder.
fn pyenv_version(folder: &Folder, tree: &Tree, root: &Path) -> Option<PathBuf> {
    let local = tree.upwards(folder).find_map(|above| above.text(".python-version"));
    let chosen = local.or_else(|| text(&root.join("version")))?;
    let versions = root.join("versions");
    let first = chosen.split_whitespace().next()?;
    if versions.join(first).is_dir() {
        return Some(versions.join(first));
    }
    // `3.12` stands for the newest 3.12.
    let start = format!("{first}.");
    let installed = fs::read_dir(&versions).ok()?.flatten().map(|entry| entry.file_name());
    let fitting = installed.filter_map(|name| {
        let rest = name.to_str()?.strip_prefix(&start)?;
        Some((rest.parse::<u32>().ok()?, name.clone()))
    });
    fitting.max().map(|(_, name)| versions.join(name))
}
