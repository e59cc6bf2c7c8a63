//! The folders of a work tree that may hold a project, looked through once and not for long.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// How many levels below the root a project may be.
const DEEPEST: usize = 4;
/// How many entries of folders are looked at: enough for a project of any usual size, and a
/// few hundredths of a second at most.
const ENTRIES: usize = 10_000;
/// The longest file that is read.
const LONGEST: u64 = 4 << 20;

/// Folders of results, of downloads and of other people's work.
const NOT_OURS: [&str; 13] = [
    "node_modules",
    "bower_components",
    "vendor",
    "third_party",
    "Pods",
    "site-packages",
    "__pycache__",
    "target",
    "dist",
    "build",
    "out",
    "coverage",
    "DerivedData",
];

/// The folders of a work tree, the root first and then level by level.
pub(super) struct Tree {
    pub(super) folders: Vec<Folder>,
    places: HashMap<String, usize>,
    /// Not when it was too large to look through.
    pub(super) whole: bool,
}

/// The names in one folder. Names that are not UTF-8 are passed over.
pub(super) struct Folder {
    path: PathBuf,
    /// Relative to the work tree; empty for the work tree itself.
    pub(super) at: String,
    pub(super) files: BTreeSet<String>,
    pub(super) folders: BTreeSet<String>,
}

impl Tree {
    pub(super) fn of(work_tree: &Path) -> Self {
        let mut left = ENTRIES;
        let mut folders = Vec::new();
        let mut ahead = VecDeque::from([(String::new(), 0)]);
        while let Some((at, depth)) = ahead.pop_front() {
            let Some(folder) = Folder::open(work_tree, at, &mut left) else { continue };
            // A repository within is its own, and a Python environment is not ours.
            let foreign = folder.files.contains("pyvenv.cfg")
                || folder.files.contains(".git")
                || folder.folders.contains(".git");
            if foreign && depth > 0 {
                continue;
            }
            if depth < DEEPEST {
                let inner = folder
                    .folders
                    .iter()
                    .filter(|name| !name.starts_with('.') && !NOT_OURS.contains(&name.as_str()));
                ahead.extend(inner.map(|name| (folder.below(name), depth + 1)));
            }
            folders.push(folder);
        }
        let places = folders.iter().enumerate().map(|(place, folder)| (folder.at.clone(), place));
        Self { places: places.collect(), folders, whole: left > 0 }
    }

    /// The folder at `at`, if it was looked at.
    pub(super) fn get(&self, at: &str) -> Option<&Folder> {
        self.places.get(at).map(|place| &self.folders[*place])
    }

    /// `folder` and those above it, up to the root.
    pub(super) fn upwards<'a>(&'a self, folder: &Folder) -> impl Iterator<Item = &'a Folder> {
        let mut at = Some(folder.at.clone());
        std::iter::from_fn(move || {
            let here = at.take()?;
            at = match here.rsplit_once('/') {
                Some((above, _)) => Some(above.to_owned()),
                None if here.is_empty() => None,
                None => Some(String::new()),
            };
            Some(here)
        })
        .filter_map(|at| self.get(&at))
    }

    /// `folder` and those below it.
    pub(super) fn within<'a>(&'a self, folder: &'a Folder) -> impl Iterator<Item = &'a Folder> {
        self.folders.iter().filter(|inner| is_within(&inner.at, &folder.at))
    }
}

/// Whether the folder `inner` is `outer` or below it.
pub(super) fn is_within(inner: &str, outer: &str) -> bool {
    outer.is_empty()
        || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Folder {
    fn open(work_tree: &Path, at: String, left: &mut usize) -> Option<Self> {
        if *left == 0 {
            return None;
        }
        let path = work_tree.join(&at);
        let mut folder = Self { path, at, files: BTreeSet::new(), folders: BTreeSet::new() };
        for entry in fs::read_dir(&folder.path).ok()?.flatten() {
            *left -= 1;
            let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else {
                continue;
            };
            if kind.is_dir() {
                folder.folders.insert(name);
            } else if kind.is_file()
                // A link to a folder is not followed: what it leads to is looked at in its own
                // place, and it may lead into a ring.
                || kind.is_symlink() && fs::metadata(entry.path()).is_ok_and(|about| about.is_file())
            {
                folder.files.insert(name);
            }
            if *left == 0 {
                break;
            }
        }
        Some(folder)
    }

    /// The path of `name` in this folder, relative to the work tree.
    pub(super) fn below(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}/{name}", self.at) }
    }

    pub(super) fn has(&self, file: &str) -> bool {
        self.files.contains(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something is at `path`, which may lead further down.
    pub(super) fn reaches(&self, path: &str) -> bool {
        fs::metadata(self.path.join(path)).is_ok()
    }

    /// The text of a file of this folder, or of one below it.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        text(&self.path.join(path))
    }
}

/// The text of a file; `None` when it is no regular file, or one that no person wrote.
pub(super) fn text(path: &Path) -> Option<String> {
    // Looked at first: to open a pipe would wait for its other end.
    let about = fs::metadata(path).ok()?;
    if !about.is_file() || about.len() > LONGEST {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // Some editors begin a file with a mark of its encoding, which no parser likes.
    Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
