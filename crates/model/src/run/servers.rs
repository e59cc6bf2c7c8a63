//! MCP servers that threads of a run were to have, and that did not start.

use serde::{Deserialize, Serialize};

use super::Run;
use crate::{Attempt, Event, StageId, StageIndex, Step};

/// A server that did not start for the last try at a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NotStarted {
    /// The stage.
    pub stage_id: StageId,
    /// The server.
    pub server: String,
    /// Why.
    pub reason: String,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Servers(Vec<NotStarted>);

impl Servers {
    pub(super) fn add(&mut self, step: &Step, server: &str, reason: &str) {
        let (server, reason) = (server.to_owned(), reason.to_owned());
        self.0.push(NotStarted { stage_id: step.stage_id.clone(), server, reason });
    }

    /// A new try begins with new servers.
    pub(super) fn forget(&mut self, stage: &StageId) {
        self.0.retain(|one| one.stage_id != *stage);
    }
}

impl Run {
    /// The servers that did not start for the last try at a stage, the first first.
    #[must_use]
    pub fn servers_not_started(&self) -> &[NotStarted] {
        &self.servers.0
    }

    /// It is told once in a try of each server: a thread may well try again and again.
    pub(super) fn server_not_started(
        &self,
        stage: StageIndex,
        attempt: Attempt,
        server: &str,
        reason: &str,
    ) -> Option<Event> {
        let (step, _) = self.running_try(stage, attempt)?;
        let mut known = self.servers.0.iter();
        let is_known = known.any(|one| one.stage_id == step.stage_id && one.server == server);
        let (server, reason) = (server.to_owned(), reason.to_owned());
        (!is_known).then_some(Event::ServerNotStarted { step, server, reason })
    }
}
