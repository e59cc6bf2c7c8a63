//! Memory: the journal of every run, and the files derived from it.
//!
//! Knows: the SQLite journal of a repository, with what runs ask, the news of them, and what a person
//! is to be told of those; the state folder it lives in, the manifest and the event file of a run,
//! and the bell that tells waiters to look.
//! Does not know: processes, async, terminals, what a run should do next.
//!
//! The journal is the truth; `manifest.json` and `events.jsonl` are views of it, replaced or
//! appended whole and made again when they are lost.

mod bell;
mod error;
mod home;
mod journal;
mod lines;
mod manifest;
mod patience;
mod schema;
mod trust;
mod turn;
mod views;

pub use bell::Bell;
pub use error::StoreError;
pub use home::{Home, HomeError, Tie};
pub use journal::{
    Admission, Durability, FarChild, Filter, Found, FoundQuestion, Household, Journal, Mode, News,
    NewsKind, NoticeRow, QuestionFilter, QuestionRow, RequestId, RequestRow, RunRow, Sort, Telling,
    Tidings, Untold, WayRow,
};
pub use lines::EventLine;
pub use manifest::{
    ChildRun, CodexThread, CommandEntry, Config, Host, Manifest, Questions, ResumeEvent,
    Supervision, manifest_of,
};
pub use patience::{Wake, on_stuck_writer};
pub use trust::{distrust, is_trusted, trust};
pub use views::{RunPaths, Views, ensure_runs_folder};
