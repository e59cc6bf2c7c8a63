//! Files and folders that others may have filled: looked at, copied and removed without following
//! a link.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStringExt,
        fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Component, Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::fs::OFlags;

use crate::WorktreeError;

/// A file that git reads wherever it lies, and that is a pipe or the like: to open it waits for
/// its other end.
pub(crate) fn plug(folder: &Path) -> Option<PathBuf> {
    let read = ["", ".gitignore", ".gitattributes", ".gitmodules", ".git"].map(OsStr::new);
    let mut ahead = vec![folder.to_owned()];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                ahead.push(entry.path());
            } else if read.contains(&entry.file_name().as_os_str()) {
                // What a link leads to is opened as well.
                let about = fs::metadata(entry.path());
                if about.is_ok_and(|about| !about.is_file() && !about.is_dir()) {
                    return Some(entry.path());
                }
            }
        }
    }
    None
}

/// How much room a folder takes on the disk, in bytes. A file with many names counts each time.
pub(crate) fn size(folder: &Path) -> u64 {
    const BLOCK: u64 = 512;
    let mut sum = 0;
    let mut ahead = vec![folder.to_owned()];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else { continue };
            sum += about.blocks() * BLOCK;
            if about.is_dir() {
                ahead.push(entry.path());
            }
        }
    }
    sum
}

/// Removes a folder and all in it, also what was made unwritable; not there is fine.
pub(crate) fn remove(folder: &Path) -> Result<(), WorktreeError> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    if fs::symlink_metadata(folder).is_ok_and(|about| !about.is_dir()) {
        return gone(fs::remove_file(folder)).map_err(WorktreeError::file(folder));
    }
    if gone(fs::remove_dir_all(folder)).is_ok() {
        return Ok(());
    }
    open_up(folder);
    gone(fs::remove_dir_all(folder)).map_err(WorktreeError::file(folder))
}

/// Lets us remove what is in a folder: some tools take the right to write from their caches.
fn open_up(folder: &Path) {
    let mut ahead = vec![folder.to_owned()];
    while let Some(folder) = ahead.pop() {
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                ahead.push(entry.path());
            }
        }
    }
}

/// Puts a file in the place of another, or where there was none: whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), WorktreeError> {
    let mut new = path.to_owned().into_os_string();
    new.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new);
    let write = || {
        // What is there already is not ours, and may lead elsewhere.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::create_new(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(WorktreeError::file(path))
}

/// The text of a file that is a file and not a link.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// Copies a file with its rights and its time, to where nothing may be yet.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = open(from)?;
    let about = source.metadata()?;
    let mut options = OpenOptions::new();
    let mut target = options.write(true).create_new(true).mode(about.mode() & 0o777).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.set_permissions(fs::Permissions::from_mode(about.mode() & 0o777))?;
    target.set_modified(about.modified()?)
}

/// Whether `path`, relative to `folder`, leads to its place through folders only.
pub(crate) fn is_plain(folder: &Path, path: &Path) -> bool {
    let inner = path.components().all(|part| matches!(part, Component::Normal(_)));
    let mut above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
    inner
        && above.all(|above| match fs::symlink_metadata(folder.join(above)) {
            Ok(about) => about.is_dir(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        })
}

/// A path as git prints it between zero bytes.
pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.to_vec()))
}

/// The parts of what git prints with `-z`.
pub(crate) fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|&byte| byte == 0).filter(|part| !part.is_empty())
}

/// A folder that goes away with its owner: at once, or with the next one's when its process died.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    /// Held as long as the folder is used.
    _lock: File,
}

const SCRATCH: &[u8] = b"scratch-";

impl Scratch {
    pub(crate) fn within(folder: &Path) -> Result<Self, WorktreeError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep(folder);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let scratch = folder.join(format!("scratch-{}-{number}", std::process::id()));
            match fs::create_dir(&scratch) {
                // Of a process that has our number elsewhere.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.map_err(WorktreeError::file(&scratch))?,
            }
            let lock = File::create_new(scratch.join("lock")).and_then(|lock| {
                lock.lock()?;
                Ok(lock)
            });
            match lock {
                // Swept by somebody who came between the file and its lock.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(_) if !scratch.join("lock").exists() => {}
                other => {
                    let lock = other.map_err(WorktreeError::file(&scratch))?;
                    return Ok(Self { folder: scratch, _lock: lock });
                }
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.folder.join("index")
    }
}

/// Removes what those left that did not live to do it.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(SCRATCH) {
            continue;
        }
        // Held until all is gone, so that whoever makes one just now sees that it is.
        if let Ok(lock) = File::open(entry.path().join("lock"))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("elsewhere"), "not ours").unwrap();
        symlink("elsewhere", at("file")).unwrap();
        symlink("elsewhere", at(&format!("file.new-{}", std::process::id()))).unwrap();
        assert!(read(&at("file")).is_err() && copy(&at("elsewhere"), &at("file")).is_err());
        replace(&at("file"), b"ours").unwrap();
        assert_eq!(read(&at("file")).unwrap(), b"ours");
        assert_eq!(read(&at("elsewhere")).unwrap(), b"not ours");
        fs::create_dir(at("folder")).unwrap();
        symlink("folder", at("link")).unwrap();
        assert!(is_plain(folder.path(), Path::new("folder/new/x")));
        assert!(!is_plain(folder.path(), Path::new("link/x")));
        assert!(
            !is_plain(folder.path(), Path::new("../x"))
                && !is_plain(folder.path(), Path::new("/x"))
        );
        remove(&at("link")).unwrap();
        assert!(at("folder").is_dir() && !at("link").exists());
    }

    #[test]
    fn what_a_dead_process_left_is_swept_and_what_is_used_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let used = Scratch::within(folder.path()).unwrap();
        fs::create_dir(folder.path().join("scratch-1-1")).unwrap();
        fs::write(folder.path().join("scratch-1-1/lock"), "").unwrap();
        let other = Scratch::within(folder.path()).unwrap();
        assert!(used.path().is_dir() && other.path().is_dir());
        assert!(!folder.path().join("scratch-1-1").exists());
    }

    #[test]
    fn many_at_once_do_not_sweep_each_other() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let scratch = Scratch::within(folder.path()).unwrap();
                        fs::write(scratch.index(), "x").unwrap();
                        assert!(scratch.path().join("lock").exists());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
