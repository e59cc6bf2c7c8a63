//! Hosts and tools that a stage reaches for and that a person may be asked for: what is asked, how much
//! of it, and how an answer takes effect.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use model::{
    Asks, Attempt, Consent, Event, Matter, Recorded, Report, Scope, StageIndex, Subject, Urgency,
    caps::{Beyond, Caps, HostPattern},
};
use store::QuestionFilter;

use super::Runner;
use crate::{
    EngineError,
    channel::SaidOfTools,
    gate::{Gate, Said},
};

/// For how much of one run somebody is asked at one time.
const MOST_OPEN: usize = 5;

/// For how much of all runs of a repository.
const MOST_OPEN_IN_ALL: usize = 20;

/// How much is asked for by one run within a while.
const MOST_IN_A_WHILE: usize = 10;
const A_WHILE: Duration = Duration::from_secs(600);

/// When it is looked again whether those of other runs have become fewer.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// How much a person was asked for of late.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// When, the oldest first; never more than may be asked for in a while.
    recent: VecDeque<Instant>,
    /// Until when the other runs ask for too much.
    crowded: Option<Instant>,
    /// What the settings refuse, or could not be asked for.
    refused: Vec<Beyond>,
    /// The trees were told that enough is asked, for a time.
    told_full: bool,
}

/// What was said of hosts and tools.
struct SaidOfAll {
    widened: Vec<Beyond>,
    asked: Vec<Beyond>,
    refused: Vec<Beyond>,
}

impl Asked {
    fn is_full(&self, now: Instant) -> bool {
        self.full_until().is_some_and(|until| until > now)
    }

    fn full_until(&self) -> Option<Instant> {
        let many = self.recent.len() >= MOST_IN_A_WHILE;
        let by_time = self.recent.front().filter(|_| many).map(|oldest| *oldest + A_WHILE);
        by_time.max(self.crowded)
    }

    /// When more may be asked for because time has passed.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.full_until().filter(|_| self.told_full)
    }

    fn count(&mut self, now: Instant) {
        if self.recent.len() >= MOST_IN_A_WHILE {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }
}

impl Runner<'_, '_, '_> {
    /// Whether more may be reached while it runs than its caps list.
    pub(super) fn may_widen(&self, caps: &Caps) -> bool {
        self.may_ask(caps) || !self.standing_hosts(caps).is_empty()
    }

    fn may_ask(&self, caps: &Caps) -> bool {
        caps.asks_for_hosts() && !self.spec.no_input
    }

    /// The rules by which a stage is let out.
    pub(super) fn gate(&self, stage: StageIndex, caps: &Caps, also: &[HostPattern]) -> Gate {
        let said = self.said_of_hosts(stage, Instant::now());
        let stand = self.standing_hosts(caps).into_iter().map(|(host, _)| host);
        let also: Vec<HostPattern> = also.iter().cloned().chain(stand).collect();
        Gate::new(caps, &also, self.may_widen(caps), &said)
    }

    /// Whether more tools may be had while it runs than its caps name.
    pub(super) fn may_grant(&self, caps: &Caps) -> bool {
        caps.ask && !self.spec.no_input
    }

    fn said_of_hosts(&self, stage: StageIndex, now: Instant) -> Said {
        let hosts = |all: &[Beyond]| all.iter().filter_map(Beyond::host).cloned().collect();
        let said = self.said_of(stage);
        Said {
            widened: hosts(&said.widened),
            refused: hosts(&said.refused),
            full: self.is_full(now),
            asked: hosts(&said.asked),
        }
    }

    fn said_of_tools(&self, stage: StageIndex, now: Instant) -> SaidOfTools {
        let tools = |all: Vec<Beyond>| {
            let tools = all.iter().filter(|one| one.host().is_none());
            tools.map(ToString::to_string).collect()
        };
        let said = self.said_of(stage);
        SaidOfTools {
            widened: tools(said.widened),
            refused: tools(said.refused),
            full: self.is_full(now),
            asked: tools(said.asked),
        }
    }

    fn said_of(&self, stage: StageIndex) -> SaidOfAll {
        SaidOfAll {
            widened: self.run.widened_for(stage).cloned().collect(),
            refused: self.run.refused().iter().chain(&self.asked.refused).cloned().collect(),
            asked: self.run.asked_for().collect(),
        }
    }

    fn is_full(&self, now: Instant) -> bool {
        self.run.asked_for().count() >= MOST_OPEN || self.asked.is_full(now)
    }

    /// Tells those who serve that stage what somebody has said of its tools.
    pub(super) fn say_of_tools(&mut self, stage: StageIndex) {
        let said = self.said_of_tools(stage, Instant::now());
        self.servers.say(stage, &said);
    }

    fn renew_gates(&mut self) {
        let now = Instant::now();
        self.asked.told_full = self.asked.is_full(now);
        for live in &self.live {
            if let Some(gate) = &live.gate {
                gate.renew(&self.said_of_hosts(live.stage, now));
            }
        }
        let stages: Vec<StageIndex> = self.live.iter().map(|live| live.stage).collect();
        stages.into_iter().for_each(|stage| self.say_of_tools(stage));
    }

    /// A tree reaches for something that may be asked for.
    pub(super) fn hear_asked(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        what: Beyond,
    ) -> Result<(), EngineError> {
        let known = self.run.widened_for(stage).any(|other| *other == what)
            || self.run.refused().contains(&what)
            || self.run.asked_for().any(|other| other == what);
        if known || self.live_at(stage, attempt).is_none() {
            return Ok(());
        }
        let asks = match what.clone() {
            Beyond::Host(host) => Asks::Network { host },
            Beyond::Tool { server, tool } => Asks::Grant { server, tool },
        };
        match self.spec.config.approvals.of(&asks) {
            Consent::Allow => self.note(&Report::Widened { stage, attempt, what }),
            Consent::Deny => {
                self.asked.refused.push(what);
                self.renew_gates();
                Ok(())
            }
            Consent::Ask => self.ask_for(stage, what, asks),
        }
    }

    fn ask_for(&mut self, stage: StageIndex, what: Beyond, asks: Asks) -> Result<(), EngineError> {
        let now = Instant::now();
        if self.open_in_all()? >= MOST_OPEN_IN_ALL {
            self.asked.crowded = Some(now + LOOK_AGAIN);
        }
        if self.is_full(now) {
            self.renew_gates();
            return Ok(());
        }
        let id = &self.spec.plan.stages[stage.get()].id;
        let prompt = format!("stage `{id}`: {}", asks.sentence(true));
        let standing = Subject::of(&asks, &self.work_tree(), true);
        let mut scopes = vec![Scope::Stage, Scope::Run];
        scopes.extend(standing.is_some().then_some(Scope::Repo));
        let matter = Matter::Approval { asks, scopes, standing };
        let mut question = self.question(stage, prompt, matter);
        question.urgency = Urgency::Normal;
        self.asked.count(now);
        if !self.put(vec![question])? {
            self.asked.refused.push(what);
            self.renew_gates();
        }
        Ok(())
    }

    /// For how much somebody is asked by all runs of the repository.
    fn open_in_all(&self) -> Result<usize, EngineError> {
        let open = QuestionFilter { open: true, ..QuestionFilter::default() };
        let open = self.engine.journal().questions(&open)?;
        Ok(open.iter().filter(|row| row.question.beyond().is_some()).count())
    }

    /// What is written down of that holds at once for those that are at work.
    pub(super) fn widen(&mut self, fresh: &[Recorded]) {
        let about_that = |recorded: &Recorded| {
            matches!(
                recorded.event,
                Event::CapWidened { .. }
                    | Event::ApprovalRequired { .. }
                    | Event::ApprovalResolved { .. }
            )
        };
        if fresh.iter().any(about_that) {
            self.renew_gates();
        }
    }

    /// More may be asked for because time has passed.
    pub(super) fn check_asked(&mut self) {
        if self.asked.again_at().is_some_and(|at| at <= Instant::now()) {
            self.asked.crowded = None;
            self.renew_gates();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ten_of_them_somebody_is_left_alone_until_the_first_is_old() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut asked = Asked::default();
        for secs in 0..9 {
            asked.count(at(secs));
        }
        assert!(!asked.is_full(at(9)));
        asked.count(at(9));
        assert!(asked.is_full(at(10)) && asked.is_full(at(599)));
        assert!(!asked.is_full(at(600)));
        asked.count(at(600));
        assert!(asked.is_full(at(600)) && !asked.is_full(at(601)), "the second is the oldest now");
    }

    #[test]
    fn who_was_told_that_others_ask_for_too_much_is_told_when_it_is_looked_again() {
        let start = Instant::now();
        let mut asked = Asked { crowded: Some(start + LOOK_AGAIN), ..Asked::default() };
        assert!(asked.is_full(start) && !asked.is_full(start + LOOK_AGAIN));
        assert_eq!(asked.again_at(), None, "nobody was told");
        asked.told_full = true;
        assert_eq!(asked.again_at(), Some(start + LOOK_AGAIN));
        for _ in 0..10 {
            asked.count(start);
        }
        assert_eq!(asked.again_at(), Some(start + A_WHILE), "the later of the two");
    }
}
