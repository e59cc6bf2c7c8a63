//! Hosts and tools that a run may reach beside those that its caps name, because somebody said so.

use serde::{Deserialize, Serialize};

use super::Run;
use crate::{
    By, Event, Question, QuestionId, Recorded, Resolution, RunSpec, Scope, StageId, StageIndex,
    Timestamp, caps::Beyond,
};

/// What may be reached although no cap names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Widened {
    /// Which host at which port, or which tool of which server.
    pub what: Beyond,
    /// The stage that may; all of the run where none is said.
    #[serde(default)]
    pub stage_id: Option<StageId>,
    /// Who said so, and by which door; the settings where it is nobody.
    #[serde(default)]
    pub by: Option<By>,
    /// What they were asked.
    #[serde(default)]
    pub question_id: Option<QuestionId>,
    /// Since when.
    pub at: Timestamp,
}

/// What came of asking for more than its caps name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    widened: Vec<Widened>,
    refused: Vec<Beyond>,
}

impl Reach {
    /// What nobody has allowed in time is not asked for again.
    pub(super) fn resolved(&mut self, question: &Question, resolution: &Resolution) {
        let no = match resolution {
            Resolution::Denied { .. }
            | Resolution::Dismissed { .. }
            | Resolution::Expired { .. } => true,
            Resolution::Answered { .. }
            | Resolution::Approved { .. }
            | Resolution::RunEnded
            | Resolution::Withdrawn => false,
        };
        let what = question.beyond().filter(|what| no && !self.refused.contains(what));
        self.refused.extend(what);
    }
}

impl Run {
    /// All that was widened, the oldest first.
    #[must_use]
    pub fn widened(&self) -> &[Widened] {
        &self.reach.widened
    }

    /// What a stage may reach beside what its caps name.
    pub fn widened_for(&self, stage: StageIndex) -> impl Iterator<Item = &Beyond> {
        let id = &self.plan.stages[stage.get()].id;
        let all = self.reach.widened.iter();
        all.filter(move |one| one.stage_id.as_ref().is_none_or(|of| of == id)).map(|one| &one.what)
    }

    /// Whether all of its stages reach that: by their caps, or because somebody has said so.
    #[must_use]
    pub fn reaches(&self, spec: &RunSpec, what: &Beyond) -> bool {
        let named = |stage: StageIndex| {
            let Ok(found) = spec.caps_of(stage) else { return false };
            match what {
                Beyond::Host(host) => found.caps.listed().is_none_or(|hosts| hosts.covers(host)),
                Beyond::Tool { server, tool } => found.caps.tools.mcp.of(server).has(tool),
            }
        };
        let reaches =
            |stage: StageIndex| named(stage) || self.widened_for(stage).any(|it| it == what);
        let stages = (0..).map(StageIndex).zip(&self.plan.stages);
        stages.filter(|(_, stage)| stage.body.has_processes()).all(|(at, _)| reaches(at))
    }

    /// What was asked for in vain.
    #[must_use]
    pub fn refused(&self) -> &[Beyond] {
        &self.reach.refused
    }

    /// What somebody is asked for and has not answered.
    pub fn asked_for(&self) -> impl Iterator<Item = Beyond> {
        self.open_questions().filter_map(|(_, question)| question.beyond())
    }

    /// What follows where somebody lets it reach something.
    pub(super) fn widening(question: &Question, resolution: &Resolution) -> Option<Event> {
        let (Some(what), Resolution::Approved { by, scope }) = (question.beyond(), resolution)
        else {
            return None;
        };
        let stage_id = match scope {
            Scope::Once | Scope::Stage => question.stage_id.clone(),
            Scope::Run | Scope::Repo => None,
        };
        Some(Event::CapWidened {
            what,
            stage_id,
            by: Some(by.clone()),
            question_id: Some(question.question_id.clone()),
        })
    }

    pub(super) fn widened_by(&mut self, recorded: &Recorded) {
        if let Event::CapWidened { what, stage_id, by, question_id } = &recorded.event {
            self.reach.widened.push(Widened {
                what: what.clone(),
                stage_id: stage_id.clone(),
                by: by.clone(),
                question_id: question_id.clone(),
                at: recorded.at,
            });
        }
    }
}
