//! `delegate.question.*`: asking the parent or a person, and answering what one's own runs ask.

mod answer;
mod enqueue;
mod list;
mod poll;

use store::{FoundQuestion, QuestionRow};

use crate::{
    desk::{Call, Target},
    fault::{Code, Fault},
};

pub(super) use answer::Answer;
pub(super) use enqueue::Enqueue;
pub(super) use list::List;
pub(super) use poll::Poll;

/// The question that a word names, in the repository that is meant.
pub(super) fn find(call: &Call<'_>, word: &str) -> Result<QuestionRow, Fault> {
    let next = "delegate.question.list shows the questions there are";
    let shown: String = word.chars().take(60).collect();
    call.here(|engine| match engine.find_question(word)? {
        FoundQuestion::One(row) => Ok(engine.question(&row.question.question_id)?),
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

/// The run that asks, as something that somebody may be tied to.
pub(super) fn asker(call: &Call<'_>, row: &QuestionRow) -> Result<Target, Fault> {
    Ok(Target { root: call.root()?.to_owned(), run: row.run_id.clone() })
}
