//! `delegate.question.list`: what the caller's runs ask.

use std::{collections::BTreeSet, path::Path};

use model::{Act, Mode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{QuestionFilter, QuestionRow};

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
        let limit = input.limit.unwrap_or(20).clamp(1, 50) as usize;
        let mut filter = QuestionFilter {
            open: !input.all,
            parent,
            limit: Some(limit),
            ..QuestionFilter::default()
        };
        let of = |root: &Path, filter: &QuestionFilter, wanted: &dyn Fn(&QuestionRow) -> bool| {
            let listed = call.at(root, |engine| {
                let rows = engine.questions(filter)?.into_iter().filter(wanted);
                Ok(rows.map(|row| QuestionShown::of(row, call, engine)).collect())
            });
            match listed {
                // Nothing was ever run there.
                Err(Fault { code: Code::NotFound, .. }) => Ok(Vec::new()),
                listed => listed,
            }
        };
        // What it asked itself is not for it to answer.
        let mut questions = of(&root, &filter, &|row| Some(&row.run_id) != own.as_ref())?;
        // Of another repository, where others have runs as well, only what its own ask.
        let kin = call.far_kin()?;
        let far: BTreeSet<&Path> = kin.iter().map(|kin| kin.root.as_path()).collect();
        filter.limit = None;
        for far in far.into_iter().filter(|far| *far != root) {
            let below = |row: &QuestionRow| kin.iter().any(|kin| kin.run_id == row.run_id);
            questions.extend(of(far, &filter, &below)?);
        }
        questions.sort_by_key(|question| question.asked_at);
        questions.drain(..questions.len().saturating_sub(limit));
        Ok(Output { questions })
    }
}
