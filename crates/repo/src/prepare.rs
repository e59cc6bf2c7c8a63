//! What a new run is started with, as far as its repository tells: the plan of a pipeline, the
//! facts that go on record, and the task. Every door that starts runs asks here, so that all of
//! them start the same run.

mod facts;
mod plan;
mod prompt;
mod task;

pub use facts::{Facts, GIT_PATIENCE, NoCodexHome, NotText, ask_git, codex_facts, facts};
pub use plan::plan;
pub(crate) use plan::plan_without_prompts;
pub(crate) use prompt::read_prompts;
pub use prompt::{BadPrompt, Wishes, prompt_plan, tree_setup};
pub use task::{BadTask, TASK_VARIABLE, TaskFrom, task};
