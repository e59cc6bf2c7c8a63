//! Where a repository's journal lives, and how the two find each other again.
//!
//! ```text
//! <state>/places.lock                                 held while a repository gets its place
//! <state>/places/<hash of the repository's path>      the id of the journal of that path
//! <state>/repos/<id>/root                             the repository's path
//!                    journal.db
//!                    news                             the bell of all runs
//!                    notify.lock                      held by whoever tells people of them
//!                    runs/<run>/                      locks, bell, the runner's own log, what npm is told
//!                    open/<run>                       the run has a runner, or had one that died
//! <state>/trust/<path's hash>-<digest>                a plan that a person trusts there
//! <repo>/.runs/.journal-<id>                          says that the journal is this one
//! ```
//!
//! A repository that was moved still carries its mark, and nobody else does: its journal follows
//! it. One that was copied carries the mark of a journal whose own repository is still there: it
//! gets a journal of its own, and the copied records are foreign to it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use model::RunId;

use crate::{StoreError, patience::GIVE_UP};

const MARK: &str = ".journal-";

/// A repository's part of the state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
    id: String,
    root: PathBuf,
}

/// What became of the tie between a repository and its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tie {
    /// It is as it was.
    Known,
    /// The repository had no journal before.
    New,
    /// The repository was moved here from there.
    Moved(PathBuf),
    /// The repository's records were copied from that one, whose journal keeps them.
    Copied(PathBuf),
}

/// Why a repository's part of the state folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// There is no journal for the repository yet.
    #[error("nothing has been run in {} yet", .0.display())]
    Unknown(PathBuf),
    /// This process sees nothing of the state folder, as one that is confined does not.
    #[error("the state folder {} is shut to this process", .0.display())]
    Shut(PathBuf),
    /// Its path cannot be kept as text.
    #[error("the path {} is not UTF-8, and records are", .0.display())]
    NotText(PathBuf),
    /// The state folder could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Home {
    /// Finds or makes the place of the repository `root`, whose path is absolute and has no
    /// links in it. `random` becomes the id of a new journal.
    ///
    /// # Errors
    ///
    /// `HomeError`, when the state folder cannot be written.
    pub fn open(state: &Path, root: &Path, random: u128) -> Result<(Self, Tie), HomeError> {
        let text = root.to_str().ok_or_else(|| HomeError::NotText(root.to_owned()))?;
        if let Some(home) = Self::known(state, root) {
            home.tie_down();
            return Ok((home, Tie::Known));
        }
        if is_shut(state) {
            return Err(HomeError::Shut(state.to_owned()));
        }
        // Two that come at once to a new repository must find the same journal.
        let _alone = alone(state)?;
        if let Some(home) = Self::known(state, root) {
            home.tie_down();
            return Ok((home, Tie::Known));
        }
        let (home, tie) = match Self::by_mark(state, root) {
            Some((home, from)) if still_tied(&from, &home.id) => {
                let id = format!("{random:032x}");
                (Self::place(state, &id, root), Tie::Copied(from))
            }
            Some((home, from)) => (home, Tie::Moved(from)),
            None => (Self::place(state, &format!("{random:032x}"), root), Tie::New),
        };
        private_dir(&home.dir.join("runs"))?;
        replace(&home.dir.join("root"), text)?;
        private_dir(&state.join("places"))?;
        replace(&state.join("places").join(place_name(text)), &home.id)?;
        home.tie_down();
        Ok((home, tie))
    }

    /// The place of the repository, if it has one, without writing anything.
    ///
    /// # Errors
    ///
    /// `HomeError::Unknown`, when nothing was ever run there.
    pub fn find(state: &Path, root: &Path) -> Result<Self, HomeError> {
        let found = Self::known(state, root).or_else(|| {
            let (home, from) = Self::by_mark(state, root)?;
            (!still_tied(&from, &home.id)).then_some(home)
        });
        found.ok_or_else(|| match is_shut(state) {
            true => HomeError::Shut(state.to_owned()),
            false => HomeError::Unknown(root.to_owned()),
        })
    }

    /// Every repository that has a place in the state folder.
    ///
    /// # Errors
    ///
    /// When the state folder is there and cannot be read.
    pub fn all(state: &Path) -> Result<Vec<Self>, HomeError> {
        let repos = state.join("repos");
        let entries = match fs::read_dir(&repos) {
            Ok(entries) => entries,
            Err(_) if is_shut(state) => return Err(HomeError::Shut(state.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::file(repos)(error).into()),
        };
        let mut homes: Vec<Self> = entries
            .filter_map(|entry| {
                let id = entry.ok()?.file_name().into_string().ok()?;
                let root = fs::read_to_string(repos.join(&id).join("root")).ok()?;
                Some(Self::place(state, &id, Path::new(&root)))
            })
            .collect();
        homes.sort_by(|one, other| one.root.cmp(&other.root));
        Ok(homes)
    }

    /// The repository's path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The database.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal.db")
    }

    /// The bell that is rung with news of any run.
    #[must_use]
    pub fn news_bell(&self) -> PathBuf {
        self.dir.join("news")
    }

    /// The lock of whoever tells people what they are to be told.
    #[must_use]
    pub fn notify_lock(&self) -> PathBuf {
        self.dir.join("notify.lock")
    }

    /// The id of the journal: the same wherever the repository is moved.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder for a run's locks and bell.
    #[must_use]
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        self.dir.join("runs").join(run.as_str())
    }

    /// The same, made when it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn make_run_dir(&self, run: &RunId) -> Result<PathBuf, StoreError> {
        let dir = self.run_dir(run);
        private_dir(&dir)?;
        Ok(dir)
    }

    /// The runs that have a runner, or whose runner died before it had finished with them: the
    /// ones that somebody who looks may have to see to.
    #[must_use]
    pub fn open_runs(&self) -> Vec<RunId> {
        let Ok(entries) = fs::read_dir(self.dir.join("open")) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| name.parse().ok()).collect()
    }

    /// Says that a run has a runner now.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn open_run(&self, run: &RunId) -> Result<(), StoreError> {
        let open = self.dir.join("open");
        private_dir(&open)?;
        let mark = open.join(run.as_str());
        fs::write(&mark, "").map_err(StoreError::file(mark))
    }

    /// Says that everything about the run is written, views and all.
    pub fn close_run(&self, run: &RunId) {
        // A mark that stays is only looked at once more.
        let _ = fs::remove_file(self.dir.join("open").join(run.as_str()));
    }

    /// Whether somebody has to see to the run, or does.
    #[must_use]
    pub fn is_open(&self, run: &RunId) -> bool {
        self.dir.join("open").join(run.as_str()).exists()
    }

    fn place(state: &Path, id: &str, root: &Path) -> Self {
        Self { dir: state.join("repos").join(id), id: id.to_owned(), root: root.to_owned() }
    }

    fn known(state: &Path, root: &Path) -> Option<Self> {
        let name = place_name(root.to_str()?);
        let id = fs::read_to_string(state.join("places").join(name)).ok()?;
        let home = Self::place(state, id.trim(), root);
        let recorded = fs::read_to_string(home.dir.join("root")).ok()?;
        // A hash that two paths share, or a repository that has moved on and left its old path.
        (Path::new(&recorded) == root).then_some(home)
    }

    fn by_mark(state: &Path, root: &Path) -> Option<(Self, PathBuf)> {
        let entries = fs::read_dir(root.join(".runs")).ok()?;
        entries.filter_map(Result::ok).find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let id = name.strip_prefix(MARK)?;
            let home = Self::place(state, id, root);
            let from = fs::read_to_string(home.dir.join("root")).ok()?;
            Some((home, PathBuf::from(from)))
        })
    }

    /// Marks the repository's records as those of this journal. A repository that cannot be
    /// written has no records there either, so nothing depends on it.
    pub(crate) fn tie_down(&self) {
        let runs = self.root.join(".runs");
        if runs.is_dir() {
            let mark = runs.join(format!("{MARK}{}", self.id));
            let _ = fs::OpenOptions::new().create_new(true).write(true).open(mark);
        }
    }
}

/// Whether the repository that was at `root` is still there.
fn still_tied(root: &Path, id: &str) -> bool {
    root.join(".runs").join(format!("{MARK}{id}")).exists()
}

/// A file name for a path. Equal names of different paths are noticed by whoever reads `root`,
/// so the hash need not be a strong one; FNV-1a keeps its value over every version.
pub(crate) fn place_name(path: &str) -> String {
    let hash = path.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}

pub(crate) fn private_dir(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::file(path))
}

/// The file in the state folder on which a lock is held while a repository gets its place.
const PLACES: &str = "places.lock";

/// A lock on the places of a state folder, let go with the value.
fn alone(state: &Path) -> Result<File, StoreError> {
    private_dir(state)?;
    alone_at(state.join(PLACES))
}

/// Whether the folder, or what is in it, may not even be read.
fn is_shut(state: &Path) -> bool {
    let refused = |path: &Path| {
        File::open(path).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    refused(state) || refused(&state.join(PLACES))
}

/// A lock that nobody holds for long, let go with the value.
pub(crate) fn alone_at(path: PathBuf) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(&path).map_err(StoreError::file(&path))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < GIVE_UP => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(StoreError::file(path)(error.into())),
        }
    }
}

/// Replaces a small file whole, and so that it outlives a loss of power: the journal does, and
/// nobody would find it without.
fn replace(path: &Path, text: &str) -> Result<(), StoreError> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(StoreError::file(&new))?;
    fs::rename(&new, path).map_err(StoreError::file(path))?;
    let folder = path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all());
    folder.map_err(StoreError::file(path))
}
