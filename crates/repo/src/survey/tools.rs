//! Which programs are installed, told from a `PATH` without running any of them.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The programs on a `PATH`.
pub(super) struct Tools {
    path: OsString,
}

impl Tools {
    pub(super) fn on(path: &OsStr) -> Self {
        Self { path: path.to_owned() }
    }

    /// The file that a shell would run for `name`.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.folders().map(|folder| folder.join(name)).find(|file| is_program(file))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The absolute folders of the `PATH`; a relative one means another place in every folder.
    pub(super) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        std::env::split_paths(&self.path).filter(|folder| folder.is_absolute())
    }
}

/// Whether `file` is a file that may be run.
pub(super) fn is_program(file: &Path) -> bool {
    const ANY_MAY_RUN: u32 = 0o111;
    fs::metadata(file)
        .is_ok_and(|about| about.is_file() && about.permissions().mode() & ANY_MAY_RUN != 0)
}
