//! What can go wrong with the journal and its views.

use std::{error::Error, io, path::PathBuf};

use model::{RunId, Seq};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote to the run in between.
    #[error("run {run} has moved on to event {}", .head.0)]
    Stale {
        /// Which run.
        run: RunId,
        /// Its last event.
        head: Seq,
    },
    /// The run is not in this journal.
    #[error("run {0} is not in this journal")]
    NoSuchRun(RunId),
    /// The database was made by a newer version of this program.
    #[error("the journal {path} is of version {found}, and this program knows versions up to {known}", path = .path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// That run was asked for before.
    #[error("run {run} is what was started for that key")]
    KeyTaken {
        /// The run that came of it.
        run: RunId,
    },
    /// Somebody else has made the run of that session.
    #[error("run {run} stands for that session")]
    SessionTaken {
        /// The run.
        run: RunId,
    },
    /// The parent has started as many runs as it may.
    #[error(
        "run {parent} has started {limit} runs, which is as many as it may (`limits.children`)"
    )]
    TooMany {
        /// The parent.
        parent: RunId,
        /// How many it may.
        limit: u32,
    },
    /// As many of the parent's runs are at work as may be.
    #[error(
        "{limit} runs of run {parent} are at work, which is as many as may be at once (`limits.at_once`)"
    )]
    TooManyAtOnce {
        /// The parent.
        parent: RunId,
        /// How many may be.
        limit: u32,
    },
    /// There is no room left for it.
    #[error("no space is left where the journal is kept")]
    Full,
    /// The journal could not be read or written.
    #[error("the journal could not be used: {0}")]
    Storage(#[source] Box<dyn Error + Send + Sync>),
    /// A file or folder could not be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// A file's trouble.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Whether somebody else has the database.
    pub(crate) fn is_busy(&self) -> bool {
        let Self::Storage(source) = self else { return false };
        let error = source.downcast_ref::<rusqlite::Error>();
        let code = error.and_then(rusqlite::Error::sqlite_error_code);
        code == Some(rusqlite::ErrorCode::DatabaseBusy)
    }

    /// Whether it is about room on the disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full => true,
            Self::File { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Storage(Box::new(error)),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Storage(Box::new(error))
    }
}
