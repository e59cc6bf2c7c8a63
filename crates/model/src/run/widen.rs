//! Hosts that a run may reach beside those that its caps list, because somebody said so.

use serde::{Deserialize, Serialize};

use super::Run;
use crate::{
    By, Event, Question, QuestionId, Recorded, Resolution, RunSpec, Scope, StageId, StageIndex,
    Timestamp,
    caps::{HostPattern, Hosts},
};

/// A host that may be reached although it is not listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Widened {
    /// Which, and at which port.
    pub what: HostPattern,
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

/// What came of asking for hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    widened: Vec<Widened>,
    refused: Vec<HostPattern>,
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
        self.refused.extend(question.host().filter(|_| no).cloned());
    }
}

impl Run {
    /// All that was widened, the oldest first.
    #[must_use]
    pub fn widened(&self) -> &[Widened] {
        &self.reach.widened
    }

    /// The hosts that a stage may reach beside those that its caps list.
    pub fn widened_for(&self, stage: StageIndex) -> impl Iterator<Item = &HostPattern> {
        let id = &self.plan.stages[stage.get()].id;
        let all = self.reach.widened.iter();
        all.filter(move |one| one.stage_id.as_ref().is_none_or(|of| of == id)).map(|one| &one.what)
    }

    /// Whether all of its stages reach that host: by its caps, or because somebody has said so.
    #[must_use]
    pub fn reaches(&self, spec: &RunSpec, host: &HostPattern) -> bool {
        let reaches = |stage: StageIndex| {
            let caps = spec.caps_of(stage);
            let listed = caps.map_or_else(|_| Some(Hosts::default()), |found| found.caps.listed());
            listed.is_none_or(|hosts| hosts.covers(host))
                || self.widened_for(stage).any(|other| other == host)
        };
        let stages = (0..).map(StageIndex).zip(&self.plan.stages);
        stages.filter(|(_, stage)| stage.body.has_processes()).all(|(at, _)| reaches(at))
    }

    /// The hosts that were asked for in vain.
    #[must_use]
    pub fn refused(&self) -> Hosts {
        self.reach.refused.iter().cloned().collect()
    }

    /// The hosts that somebody is asked for and has not answered.
    pub fn asked_for(&self) -> impl Iterator<Item = &HostPattern> {
        self.open_questions().filter_map(|(_, question)| question.host())
    }

    /// What follows where somebody lets it reach a host.
    pub(super) fn widening(question: &Question, resolution: &Resolution) -> Option<Event> {
        let (Some(host), Resolution::Approved { by, scope }) = (question.host(), resolution) else {
            return None;
        };
        let stage_id = match scope {
            Scope::Once | Scope::Stage => question.stage_id.clone(),
            Scope::Run => None,
        };
        Some(Event::CapWidened {
            what: host.clone(),
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
