//! Speaks with Codex: its app-server, its home, its login.
//!
//! Knows: the lines of the app-server protocol, what is in a CODEX_HOME.
//! Does not know: runs, journals, process trees, terminals, async.

mod briefly;
mod home;
mod installed;
mod login;
mod talk;

pub use home::{Home, HomeError, Place, Server, TheirServer, UsersHome, Wishes};
pub use installed::{Installed, NotInstalled};
pub use login::{Account, ApiKey, Login, LoginError};
pub use talk::{
    AccountTokens, Answer, Approvals, AskId, CommandState, Elicitation, ErrorClass, Form, Heard,
    LONGEST_LINE, Opening, Outcome, PatchStatus, Question, RateWindow, Said, Sandbox, Step,
    StepStatus, Talk, ToolStatus, Usage, Wanted, Wants, transcript,
};
