//! What a stage wishes for that a person has allowed for the repository already.

use model::{
    Asks, Attempt, Consent, Report, StageIndex, Standing, Subject,
    caps::{Caps, HostPattern},
};

use super::Runner;
use crate::EngineError;

impl Runner<'_, '_, '_> {
    /// The approval that stands for that, or for the same without caps, written down as what lets the stage do it.
    pub(super) fn stands(
        &mut self,
        stage: StageIndex,
        subject: &Subject,
    ) -> Result<Option<Standing>, EngineError> {
        let attempt = self.live.iter().find(|live| live.stage == stage).map(|live| live.attempt);
        let journal = self.engine.journal();
        let mut stands = journal.stands(subject)?;
        if let (None, Some(more)) = (&stands, subject.clone().without_caps()) {
            stands = journal.stands(&more)?;
        }
        if let (Some(attempt), Some(standing)) = (attempt, stands.clone()) {
            self.note(&Report::Stood { stage, attempt, standing })?;
        }
        Ok(stands)
    }

    /// What of hosts is allowed for the repository and may be asked for by that stage: nothing that the
    /// settings refuse, and nothing beyond the ceiling of its caps.
    pub(super) fn standing_hosts(&self, caps: &Caps) -> Vec<(HostPattern, Standing)> {
        if !caps.asks_for_hosts() {
            return Vec::new();
        }
        let within = caps.may_be_asked_for();
        let policy = &self.spec.config.approvals;
        let may_be = |host: &HostPattern| {
            within.as_ref().is_none_or(|hosts| hosts.covers(host))
                && policy.of(&Asks::Network { host: host.clone() }) != Consent::Deny
        };
        // A journal that cannot be read allows nothing.
        let stand = self.engine.journal().standing().unwrap_or_default();
        let hosts = stand.into_iter().filter_map(|one| Some((one.subject.host()?.clone(), one)));
        hosts.filter(|(host, _)| may_be(host)).collect()
    }

    /// Writes down that a stage reaches those hosts because of that, and not because it lists them.
    pub(super) fn note_standing_hosts(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        caps: &Caps,
    ) -> Result<(), EngineError> {
        for (_, standing) in self.standing_hosts(caps) {
            self.note(&Report::Stood { stage, attempt, standing })?;
        }
        Ok(())
    }
}
