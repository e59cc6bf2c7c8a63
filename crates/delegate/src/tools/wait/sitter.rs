//! Whoever sits at the session: shown what its runs ask before its agent is told, where the settings
//! say so and the client has forms for it.

use std::path::PathBuf;

use engine::{Engine, Nudge};
use model::{Act, By, Door, Matter, QuestionId, Resolution};
use store::{News, NewsKind, QuestionRow};

use crate::{
    caller::Station,
    desk::{Call, Target},
    fault::Fault,
    forms::{Form, Reply, Shown},
    tools::shown::cut,
};

/// Forms that are open during one wait. They are taken away with it.
#[derive(Debug)]
pub(super) struct Sitter<'a> {
    call: &'a Call<'a>,
    nudge: Option<Nudge>,
    open: Vec<Open>,
}

#[derive(Debug)]
struct Open {
    root: PathBuf,
    question: QuestionId,
    form: Shown,
}

impl<'a> Sitter<'a> {
    pub(super) fn new(call: &'a Call<'a>, nudge: Option<Nudge>) -> Self {
        Self { call, nudge, open: Vec::new() }
    }

    /// Shows what is asked there, if that is a question which the session may answer.
    pub(super) fn show(&mut self, engine: &Engine, news: &News) -> Result<(), Fault> {
        let (Station::Session, Some(forms), NewsKind::Question, Some(id)) =
            (&self.call.caller.station, &self.call.forms, news.kind, &news.question_id)
        else {
            return Ok(());
        };
        let Some(row) = engine.journal().question(id)?.filter(|row| row.resolved.is_none()) else {
            return Ok(());
        };
        if row.question.thread_id.is_some() && row.question.thread_id == self.call.caller.thread {
            return Ok(());
        }
        let target = Target { root: engine.root().to_owned(), run: row.run_id.clone() };
        let Some(form) = form(&row).filter(|_| self.call.allowed(Act::Answer, &target).is_ok())
        else {
            return Ok(());
        };
        let nudge = self.nudge.clone();
        let replied = move || nudge.iter().for_each(Nudge::now);
        if let Some(form) = forms.show(id, form, replied) {
            self.open.push(Open { root: target.root, question: id.clone(), form });
        }
        Ok(())
    }

    /// Writes down what was answered to forms about that repository, and takes away those whose
    /// question is settled.
    pub(super) fn hear(&mut self, engine: &mut Engine) -> Result<(), Fault> {
        for at in (0..self.open.len()).rev() {
            if self.open[at].root != engine.root() {
                continue;
            }
            let id = self.open[at].question.clone();
            let reply = self.open[at].form.reply();
            let settled = engine.journal().question(&id)?.is_none_or(|row| row.resolved.is_some());
            if settled || reply != Reply::Open {
                self.open.swap_remove(at);
            }
            if let (false, Reply::Answer(answer)) = (settled, reply) {
                let by = By::Person { door: Door::Form };
                // Somebody else may have been quicker.
                if let Ok(row) = engine.resolve(&id, Resolution::Answered { answer, by }) {
                    engine.take_up_again(self.call.desk.runner(), &row.run_id)?;
                }
            }
        }
        Ok(())
    }

    /// Whether somebody may still answer it.
    pub(super) fn may_answer(&self, news: &News) -> bool {
        self.open.iter().any(|open| Some(&open.question) == news.question_id.as_ref())
    }
}

fn form(row: &QuestionRow) -> Option<Form> {
    let Matter::Question { options, default, shape, .. } = &row.question.matter else {
        return None;
    };
    let run = row.run_id.tail();
    let message = format!("Run {run} of task {} asks: {}", row.task_id, row.question.prompt);
    // More than one of them may be an answer, or something else.
    let (message, options) = match shape {
        Some(_) if !options.is_empty() => {
            (format!("{message}\n{}", options.join(", ")), Vec::new())
        }
        _ => (message, options.clone()),
    };
    let (default, shape) = (default.clone(), shape.clone());
    let message = message.replace(|c: char| c.is_control() && c != '\n', " ");
    Some(Form { message: cut(&message, 4000), options, default, shape })
}
