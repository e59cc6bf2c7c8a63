//! The task that a new run belongs to.

use model::{BadTaskId, TaskId};

use crate::{git, locate::Place};

/// The variable that names the task once for many commands.
pub const TASK_VARIABLE: &str = "MCP_RUNNER_TASK_ID";

/// Who said what the task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskFrom {
    /// Whoever starts the run, in so many words.
    Said,
    /// [`TASK_VARIABLE`].
    Variable,
    /// The branch that is checked out.
    Branch,
    /// The commit that is checked out, where there is no branch.
    Commit,
    /// The repository's folder, where there is no git.
    Folder,
    /// Nobody: nothing had a name that could be one.
    Nothing,
}

impl TaskFrom {
    /// For people: `the task came from ...`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Said => "whoever started it",
            Self::Variable => TASK_VARIABLE,
            Self::Branch => "the branch name",
            Self::Commit => "the commit",
            Self::Folder => "the folder's name",
            Self::Nothing => "nothing: nothing had a name",
        }
    }
}

/// A task was named that cannot be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct BadTask {
    /// Who named it.
    pub from: TaskFrom,
    /// What is wrong with it.
    pub fault: BadTaskId,
}

/// The task: the one that was `said`, else the one in the `variable` unless that is empty, else
/// one that the repository gives a name.
pub fn task(
    place: &Place,
    said: Option<&str>,
    variable: Option<&str>,
) -> Result<(TaskId, TaskFrom), BadTask> {
    let parse = |text: &str, from| match text.parse() {
        Ok(task) => Ok((task, from)),
        Err(fault) => Err(BadTask { from, fault }),
    };
    if let Some(text) = said {
        return parse(text, TaskFrom::Said);
    }
    if let Some(text) = variable.filter(|text| !text.is_empty()) {
        return parse(text, TaskFrom::Variable);
    }
    let head = place.git.as_ref().and_then(git::head);
    let branch = head.as_ref().and_then(git::Head::branch).and_then(TaskId::from_words);
    if let Some(task) = branch {
        return Ok((task, TaskFrom::Branch));
    }
    let commit = head.as_ref().and_then(git::Head::commit);
    if let Some(task) = commit.and_then(|commit| TaskId::from_words(commit.get(..10)?)) {
        return Ok((task, TaskFrom::Commit));
    }
    let folder = place.root.file_name().unwrap_or_default().to_string_lossy();
    match TaskId::from_words(&folder) {
        Some(task) => Ok((task, TaskFrom::Folder)),
        None => parse("task", TaskFrom::Nothing),
    }
}
