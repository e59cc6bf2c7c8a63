//! Codex's config as a file: looked at without waiting or changing anything, and replaced whole.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, OFlags},
    io::Errno,
};

/// The largest config that we read.
const LARGEST: u64 = 4 * 1024 * 1024;

/// A config as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The path that Codex has for it.
    pub(crate) path: PathBuf,
    /// The file itself, where the path is a link to it.
    target: PathBuf,
    /// Nothing where there is no file.
    pub(crate) text: Option<String>,
    about: Option<fs::Metadata>,
}

/// Why a file cannot be read or written.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) path: PathBuf,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// It is not as it was when it was read.
    pub(crate) moved_on: bool,
}

impl Unusable {
    fn new(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into(), hint: None, moved_on: false }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path.display(), self.message)
    }
}

impl std::error::Error for Unusable {}

/// Reads the file, if there is one.
pub(crate) fn read(path: &Path) -> Result<Found, Unusable> {
    let fault = |message: &str| Unusable::new(path, message);
    let found = |target: PathBuf, text, about| Found { path: path.to_owned(), target, text, about };
    // Before it is opened, since opening a FIFO or a device can wait, or do something.
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match fs::symlink_metadata(path) {
                Ok(_) => Err(fault("it is a symbolic link to nothing")
                    .hint("remove the link, or put back what it leads to")),
                Err(_) => Ok(found(path.to_owned(), None, None)),
            };
        }
        Err(error) => return Err(fault(&format!("it cannot be read: {error}"))),
    };
    is_plain(&about).map_err(|what| fault(&what))?;
    let unreadable = |error: io::Error| fault(&format!("it cannot be read: {error}"));
    let mut options = OpenOptions::new();
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.read(true).custom_flags(flags.bits().cast_signed());
    let file = options.open(path).map_err(unreadable)?;
    // And after: it may be another one by now.
    let about = file.metadata().map_err(unreadable)?;
    is_plain(&about).map_err(|what| fault(&what))?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(fault("it is larger than 4 MiB"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let line = before.matches('\n').count() + 1;
        let path = PathBuf::from(format!("{}:{line}:{column}", path.display()));
        Unusable::new(&path, "it is not UTF-8 text").hint("save it as UTF-8")
    })?;
    let target = path.canonicalize().map_err(unreadable)?;
    Ok(found(target, Some(text), Some(about)))
}

fn is_plain(about: &fs::Metadata) -> Result<(), String> {
    let what = match about.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(format!("it is {what}, not a file"))
}

impl Found {
    fn folder(&self) -> &Path {
        self.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(".".as_ref())
    }

    /// Whether there is a folder for it.
    pub(crate) fn has_folder(&self) -> bool {
        self.folder().is_dir()
    }

    /// Other names of the same file, which a new one would not have.
    pub(crate) fn has_other_names(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.nlink() > 1)
    }

    /// Whether it can be replaced. Nothing is tried.
    pub(crate) fn may_be_replaced(&self) -> Result<(), Unusable> {
        let fault = |path: &Path, message: &str| Unusable::new(path, message);
        if let Some(about) = &self.about {
            // A new file could stand in its place; but whoever made it so, did not want that.
            let read_only = about.permissions().mode() & 0o222 == 0;
            let refused = rustix::fs::access(&self.target, Access::WRITE_OK);
            if read_only || refused == Err(Errno::ACCESS) {
                return Err(fault(&self.path, "it is read-only").hint(
                    "make it writable, or have the registration written by whatever made the file",
                ));
            }
            refused
                .map_err(|error| fault(&self.path, &format!("it cannot be written: {error}")))?;
        }
        match self.has_folder() {
            true => {
                let allowed = rustix::fs::access(self.folder(), Access::WRITE_OK | Access::EXEC_OK);
                allowed.map_err(|error| {
                    fault(self.folder(), &format!("the folder cannot be written: {error}"))
                        .hint("the file is replaced by a new one, which needs room in its folder")
                })
            }
            false if self.folder().exists() => Err(fault(self.folder(), "it is not a folder")),
            false => Ok(()),
        }
    }

    /// Puts a file with that text in its place, all at once.
    pub(crate) fn replace(&self, text: &str) -> Result<(), Unusable> {
        self.may_be_replaced()?;
        self.is_as_read()?;
        let folder = self.folder();
        let failed =
            |error: io::Error| Unusable::new(&self.path, format!("it cannot be written: {error}"));
        // Codex keeps secrets beside it.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let mut name = OsString::from(".");
        name.push(self.target.file_name().unwrap_or_default());
        name.push(format!(".codex-orch-{}", std::process::id()));
        let new = folder.join(name);
        // Of a setup that was killed, by a process of the same number.
        let _ = fs::remove_file(&new);
        let replaced = self.write(&new, text).map_err(failed);
        let replaced = replaced.and_then(|()| {
            // So short a time before that there is hardly room for another's change.
            self.is_as_read()?;
            fs::rename(&new, &self.target).map_err(failed)
        });
        if replaced.is_err() {
            let _ = fs::remove_file(&new);
        }
        replaced?;
        // It is in place; that the folder could not be synced changes nothing for a living machine.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    fn write(&self, new: &Path, text: &str) -> io::Result<()> {
        let mode = self.about.as_ref().map_or(0o600, |about| about.permissions().mode() & 0o7777);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(new)?;
        file.write_all(text.as_bytes())?;
        if let Some(about) = &self.about {
            let now = file.metadata()?;
            if (now.uid(), now.gid()) != (about.uid(), about.gid()) {
                std::os::unix::fs::fchown(&file, Some(about.uid()), Some(about.gid()))?;
            }
        }
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()
    }

    /// Removes the file, which was made by us.
    pub(crate) fn remove(&self, folder_too: bool) -> Result<(), Unusable> {
        self.is_as_read()?;
        fs::remove_file(&self.target)
            .map_err(|error| Unusable::new(&self.path, format!("it cannot be removed: {error}")))?;
        if folder_too {
            // One that has something else in it by now stays.
            let _ = fs::remove_dir(self.folder());
        }
        Ok(())
    }

    fn is_as_read(&self) -> Result<(), Unusable> {
        if read(&self.path)?.text == self.text {
            return Ok(());
        }
        let fault = Unusable::new(&self.path, "it was changed meanwhile, and is left as it is");
        Err(Unusable { moved_on: true, ..fault.hint("look at it again, then try again") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_changed_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "a = 1\n").unwrap();
        let found = read(&path).unwrap();
        fs::write(&path, "a = 2\n").unwrap();
        assert!(found.replace("a = 3\n").unwrap_err().moved_on);
        assert!(found.remove(false).unwrap_err().moved_on);
        assert_eq!(fs::read_to_string(&path).unwrap(), "a = 2\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_new_file_has_the_permissions_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        read(&path).unwrap().replace("x = 1\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    }
}
