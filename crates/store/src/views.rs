//! The files of a run that are derived from the journal: `events.jsonl` and `manifest.json`.
//!
//! There is one writer at a time, under a lock in the state folder. Neither file is synced to the
//! disk: after a loss of power they are made again.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use model::{Attempt, Part, Plan, Recorded, RunId, RunSpec, Seq, StageIndex, TaskId};

use crate::{Home, Journal, Manifest, StoreError, lines};

/// Where a run's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPaths {
    root: PathBuf,
    relative: String,
}

impl RunPaths {
    /// The files of that run of the repository `root`.
    #[must_use]
    pub fn new(root: &Path, task: &TaskId, run: &RunId) -> Self {
        Self { root: root.to_owned(), relative: format!(".runs/{task}/cli/{run}") }
    }

    /// The repository.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path within the repository of a file of the run; its folder for an empty name.
    #[must_use]
    pub fn relative(&self, name: &str) -> String {
        match name {
            "" => self.relative.clone(),
            name => format!("{}/{name}", self.relative),
        }
    }

    /// The absolute path of a file of the run; its folder for an empty name.
    #[must_use]
    pub fn absolute(&self, name: &str) -> PathBuf {
        self.root.join(self.relative(name))
    }

    /// The run's manifest.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.absolute("manifest.json")
    }

    /// Removes the folder of a run that never began: nothing is in it.
    pub fn remove_empty_folder(&self) {
        for folder in ["stages", ""] {
            let _ = fs::remove_dir(self.absolute(folder));
        }
    }

    /// The file, within the run's folder, of a try's output. A second try has its own.
    #[must_use]
    pub fn stage_log_name(
        &self,
        plan: &Plan,
        stage: StageIndex,
        attempt: Attempt,
        part: Part,
    ) -> String {
        let name = plan.stages[stage.get()].id.as_file_name();
        let width = plan.stages.len().to_string().len().max(2);
        let number = stage.number();
        let part = match part {
            Part::Work | Part::Nothing => "",
            Part::Verify => ".verify",
        };
        match attempt {
            Attempt::FIRST => format!("stages/{number:0width$}-{name}{part}.log"),
            Attempt(again) => format!("stages/{number:0width$}-{name}.{again}{part}.log"),
        }
    }
}

/// Makes `<repo>/.runs`, and sees to it that git never shows it.
///
/// # Errors
///
/// When the repository cannot be written.
pub fn ensure_runs_folder(root: &Path) -> Result<(), StoreError> {
    let runs = root.join(".runs");
    let ignore = runs.join(".gitignore");
    if !ignore.exists() {
        DirBuilder::new().recursive(true).create(&runs).map_err(StoreError::file(&runs))?;
        fs::write(&ignore, "*\n").map_err(StoreError::file(&ignore))?;
    }
    Ok(())
}

/// How long a writer of views waits for another. Views that were not written now are written
/// with the next event, or by whoever looks next.
const WAIT: Duration = Duration::from_millis(500);

/// The writer of one run's views.
#[derive(Debug)]
pub struct Views {
    paths: RunPaths,
    home: Home,
    lock: File,
    /// What we know of `events.jsonl`, if we wrote it last.
    events: Option<Written>,
}

#[derive(Debug)]
struct Written {
    file: File,
    inode: u64,
    size: u64,
    seq: Seq,
}

impl Views {
    /// A writer for that run of that home.
    ///
    /// # Errors
    ///
    /// When the lock cannot be made.
    pub fn new(paths: RunPaths, home: &Home, run: &RunId) -> Result<Self, StoreError> {
        let path = home.make_run_dir(run)?.join("views");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(StoreError::file(path))?;
        Ok(Self { paths, home: home.clone(), lock, events: None })
    }

    /// Where the files are.
    #[must_use]
    pub fn paths(&self) -> &RunPaths {
        &self.paths
    }

    /// Brings `events.jsonl` up to the journal. `fresh` are the newest events, if the caller has
    /// them at hand; the journal is read for what the file lacks besides. False when another
    /// writer had the lock all the time.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write_events(
        &mut self,
        spec: &RunSpec,
        journal: &Journal,
        fresh: &[Recorded],
    ) -> Result<bool, StoreError> {
        let Some(_guard) = hold(&self.lock)? else { return Ok(false) };
        let path = self.paths.absolute("events.jsonl");
        let mut written = match self.events.take() {
            Some(written) if written.still_there(&path) => written,
            _ => {
                self.make_folder()?;
                let (mut written, last) = Written::open(&path)?;
                if !follows_journal(spec, journal, written.seq, &last)? {
                    written.begin_again().map_err(StoreError::file(&path))?;
                }
                written
            }
        };
        let follows = fresh.first().is_some_and(|first| first.seq == written.seq.next());
        let read;
        let missing = if follows {
            fresh
        } else {
            read = journal.events_after(&spec.run_id, written.seq)?;
            &read
        };
        let mut text = Vec::new();
        for recorded in missing {
            lines::write_line(spec, recorded, &mut text);
        }
        if !text.is_empty() {
            // One write: a reader never sees half a line, save when the disk is full, and that
            // tail is cut by the next writer.
            written.file.write_all(&text).map_err(StoreError::file(&path))?;
            written.size += text.len() as u64;
        }
        written.seq = missing.last().map_or(written.seq, |last| last.seq);
        self.events = Some(written);
        Ok(true)
    }

    /// Replaces `manifest.json`. False when another writer had the lock all the time.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the old one is still there then.
    pub fn write_manifest(&mut self, manifest: &Manifest) -> Result<bool, StoreError> {
        self.rewrite_manifest(|| Ok(manifest.clone()))
    }

    /// The same, with a manifest that is made when nobody else writes one: what is in it is never
    /// older than what was there.
    ///
    /// # Errors
    ///
    /// When it cannot be made or written.
    pub fn rewrite_manifest(
        &mut self,
        make: impl FnOnce() -> Result<Manifest, StoreError>,
    ) -> Result<bool, StoreError> {
        let Some(_guard) = hold(&self.lock)? else { return Ok(false) };
        let manifest = &make()?;
        let path = self.paths.manifest();
        let mut text = serde_json::to_vec_pretty(manifest)?;
        text.push(b'\n');
        self.make_folder()?;
        let new = self.paths.absolute(".manifest.json.new");
        fs::write(&new, text).map_err(StoreError::file(&new))?;
        fs::rename(&new, &path).map_err(StoreError::file(path))?;
        Ok(true)
    }
}

impl Views {
    /// Makes the run's folder, and with it what belongs into the folder of all runs: somebody may
    /// have deleted any of it.
    ///
    /// # Errors
    ///
    /// When the repository cannot be written, or is full.
    pub fn make_folder(&self) -> Result<(), StoreError> {
        ensure_runs_folder(self.paths.root())?;
        self.home.tie_down();
        let stages = self.paths.absolute("stages");
        fs::create_dir_all(&stages).map_err(StoreError::file(&stages))
    }
}

impl Written {
    fn still_there(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|now| now.ino() == self.inode && now.len() == self.size)
    }

    /// Opens the file, cuts a torn tail, and finds out how far it goes, with its last line.
    fn open(path: &Path) -> Result<(Self, Vec<u8>), StoreError> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .append(true)
            .open(path)
            .map_err(StoreError::file(path))?;
        let (size, seq, last) = end_of(&mut file).map_err(StoreError::file(path))?;
        file.set_len(size).map_err(StoreError::file(path))?;
        let inode = file.metadata().map_err(StoreError::file(path))?.ino();
        Ok((Self { file, inode, size, seq }, last))
    }

    fn begin_again(&mut self) -> std::io::Result<()> {
        self.size = 0;
        self.seq = Seq(0);
        self.file.set_len(0)
    }
}

/// Whether the last line of a file says what the journal says. After a loss of power the file may
/// have kept more than the journal did, and the run may have gone on otherwise since.
fn follows_journal(
    spec: &RunSpec,
    journal: &Journal,
    seq: Seq,
    last: &[u8],
) -> Result<bool, StoreError> {
    let Some(before) = seq.0.checked_sub(1) else { return Ok(true) };
    let events = journal.events_after(&spec.run_id, Seq(before))?;
    let mut line = Vec::new();
    if let Some(recorded) = events.first() {
        lines::write_line(spec, recorded, &mut line);
    }
    Ok(line.strip_suffix(b"\n") == Some(last))
}

/// Where the last whole line of ours ends, its number, and the line. A file whose end is not ours
/// has none: it is written again from the start.
fn end_of(file: &mut File) -> std::io::Result<(u64, Seq, Vec<u8>)> {
    const PIECE: u64 = 64 * 1024;
    let length = file.metadata()?.len();
    let mut from = length.saturating_sub(PIECE);
    loop {
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut tail)?;
        let Some(end) = tail.iter().rposition(|&byte| byte == b'\n') else {
            if from == 0 {
                return Ok((0, Seq(0), Vec::new()));
            }
            from = from.saturating_sub(PIECE);
            continue;
        };
        let begin = tail[..end].iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
        match begin {
            None if from > 0 => from = from.saturating_sub(PIECE),
            begin => {
                let line = &tail[begin.unwrap_or(0)..end];
                return Ok(match lines::seq_of(line) {
                    Some(seq) => (from + end as u64 + 1, seq, line.to_owned()),
                    None => (0, Seq(0), Vec::new()),
                });
            }
        }
    }
}

/// The lock, or none when another writer had it all the time that we waited.
fn hold(lock: &File) -> Result<Option<Held<'_>>, StoreError> {
    let begun = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Some(Held(lock))),
            Err(TryLockError::WouldBlock) if begun.elapsed() < WAIT => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(StoreError::File { path: PathBuf::from("views"), source: error });
            }
        }
    }
}

struct Held<'a>(&'a File);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}
