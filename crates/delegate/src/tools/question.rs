//! `delegate.question.*`: asking the parent or a person, and answering what one's own runs ask.

mod answer;
mod consent;
mod enqueue;
mod list;
mod poll;

use std::path::{Path, PathBuf};

use store::{FoundQuestion, QuestionRow};

use crate::{
    desk::{Call, Target},
    fault::{Code, Fault},
};

pub(super) use answer::Answer;
pub(super) use consent::options;
pub(super) use enqueue::Enqueue;
pub(super) use list::List;
pub(super) use poll::Poll;

/// A question, and the repository in whose journal it is: that of the run that asks.
pub(super) struct Asked {
    pub(super) root: PathBuf,
    pub(super) row: QuestionRow,
}

impl Asked {
    /// The run that asks, as something that somebody may be tied to.
    pub(super) fn by(&self) -> Target {
        Target { root: self.root.clone(), run: self.row.run_id.clone() }
    }
}

/// The question that a word names, in the repository that is meant, or in one to which the caller's
/// own runs lead.
pub(super) fn find(call: &Call<'_>, word: &str) -> Result<Asked, Fault> {
    let near = call.root()?.to_owned();
    let unknown = match find_at(call, &near, word) {
        Err(fault) if fault.code == Code::NotFound => fault,
        found => return found,
    };
    for root in call.far_roots()? {
        match find_at(call, &root, word) {
            Err(fault) if fault.code == Code::NotFound => {}
            found => return found,
        }
    }
    Err(unknown)
}

fn find_at(call: &Call<'_>, root: &Path, word: &str) -> Result<Asked, Fault> {
    let next = "delegate.question.list shows the questions there are";
    let shown: String = word.chars().take(60).collect();
    call.at(root, |engine| match engine.find_question(word)? {
        FoundQuestion::One(row) => {
            let row = engine.question(&row.question.question_id)?;
            Ok(Asked { root: root.to_owned(), row })
        }
        FoundQuestion::None => {
            let text = format!("there is no question `{}` here", shown.escape_debug());
            Err(Fault::new(Code::NotFound, text, next))
        }
        FoundQuestion::Many(_) => {
            let text = format!("`{}` may be any of several questions", shown.escape_debug());
            Err(Fault::invalid(text, "give all of its id"))
        }
    })
}
