//! `delegate.question.list`: what the caller's runs ask.

use model::{Act, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::QuestionFilter;

use crate::{
    caller::Station,
    desk::Call,
    fault::{Code, Fault},
    tools::{Offer, shown::QuestionShown},
};

pub(crate) struct List;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The run that is asked: the path of its manifest, or its id. Without it: everything
    /// that you may answer.
    manifest_path: Option<String>,
    /// The same; either of the two names will do.
    parent_manifest_path: Option<String>,
    /// Also those that are answered or closed.
    #[serde(default)]
    all: bool,
    /// The newest so many: 1 to 50; 20 when not said.
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The oldest first.
    questions: Vec<QuestionShown>,
}

impl Offer for List {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.question.list";
    const TITLE: &'static str = "List what your runs ask";
    const ABOUT: &'static str = "The open questions that you may answer, the oldest first; with \
        manifest_path only those of the runs that this run started. Answer them with \
        delegate.question.answer. limit: 1 to 50, 20 when not said.";
    const READ_ONLY: bool = true;
    const IDEMPOTENT: bool = true;
    const LEAST: Mode = Mode::Full;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        let named = input.manifest_path.as_deref().or(input.parent_manifest_path.as_deref());
        let parent = match named {
            Some(text) => {
                let target = call.find(text)?;
                call.allowed(Act::Look, &target)?;
                Some(target)
            }
            None => None,
        };
        let root = parent.as_ref().map_or(call.root()?, |target| &target.root).to_owned();
        let own = call.own()?;
        let parent = match (parent, &call.caller.station) {
            (Some(target), _) => Some(target.run),
            (None, Station::Run(own)) => Some(own.clone()),
            // A session acts for its user, whose runs all of these are.
            (None, Station::Session) => None,
        };
        let filter = QuestionFilter {
            open: !input.all,
            parent,
            limit: Some(input.limit.unwrap_or(20).clamp(1, 50) as usize),
            ..QuestionFilter::default()
        };
        let listed = call.at(&root, |engine| {
            let rows = engine.questions(&filter)?.into_iter();
            // What it asked itself is not for it to answer.
            let others = rows.filter(|row| Some(&row.run_id) != own.as_ref());
            Ok(others.map(|row| QuestionShown::of(row, call, engine)).collect())
        });
        match listed {
            Ok(questions) => Ok(Output { questions }),
            Err(Fault { code: Code::NotFound, .. }) => Ok(Output { questions: Vec::new() }),
            Err(fault) => Err(fault),
        }
    }
}
