//! What the runner hears becomes events: requests, signals, and what trees report.

use std::{collections::BTreeSet, io, os::fd::OwnedFd, time::Instant};

use model::{
    Actor, Attempt, Phase, Report, Request, StageIndex,
    caps::{Beyond, HostPattern},
};
use store::RequestRow;
use supervise::TreeReport;

use super::{Message, NOBODY, Progress, Runner, perform, record};
use crate::{
    EngineError, Interruption,
    asked::Asker,
    channel::{self, ServedId, Told, Visit},
    edge,
    live::Posture,
    signals,
};

impl Runner<'_, '_, '_> {
    pub(super) fn hear(&mut self, message: Message) -> Result<(), EngineError> {
        match message {
            Message::Knock => {
                self.hear_requests()?;
                self.check_shared_budgets()
            }
            Message::Visitor(visitor) => {
                let is_ours = self.guard.peer_is_within(&visitor);
                let holder = self.guard.holder_of_peer(&visitor).ok().flatten();
                let mut live = self.live.iter().filter(|_| holder.is_some());
                let from = live.find(|live| live.holder == holder);
                let from = from.map(|live| (live.stage, live.attempt));
                self.serve(visitor.into(), is_ours, from);
                Ok(())
            }
            Message::Caller(stage, attempt, caller) => {
                let is_ours = self.guard.caller_is_within(&caller);
                self.serve(caller.into(), is_ours, Some((stage, attempt)));
                Ok(())
            }
            Message::Told(stage, attempt, served, told) => {
                self.hear_told(stage, attempt, served, told)
            }
            Message::Proxied(stage, attempt, event) => self.hear_proxied(stage, attempt, event),
            Message::Signal(signal) => self.hear_signal(signal),
            Message::Tree(stage, attempt, report) => self.hear_tree(stage, attempt, report),
            Message::Line(stage, attempt, line) => self.hear_line(stage, attempt, line),
            Message::Tokens(stage, attempt, ask, newer) => {
                self.hear_tokens(stage, attempt, &ask, newer)
            }
            Message::Prepared(made) => self.hear_prepared(made),
            Message::Committed(stage, attempt, committed) => {
                self.hear_committed(stage, attempt, committed)
            }
        }
    }

    fn serve(
        &mut self,
        visitor: OwnedFd,
        is_ours: io::Result<bool>,
        from: Option<(StageIndex, Attempt)>,
    ) {
        let (run, root) = (&self.spec.run_id, self.engine.root());
        let visit = Visit { run, root, stage: from.map(|(stage, _)| stage) };
        match self.servers.serve(visitor, || is_ours, &visit) {
            Ok(told) => {
                let (Some((served, told)), Some((stage, attempt))) = (told, from) else { return };
                let sender = self.sender.clone();
                let live = self.live.iter().find(|it| (it.stage, it.attempt) == (stage, attempt));
                let speaker = live.map(|live| live.speakers.one_more());
                self.scope.spawn(move || {
                    for told in channel::told(told).map(Some).chain([None]) {
                        let _ = sender.send(Message::Told(stage, attempt, served, told));
                    }
                    drop(speaker);
                });
                self.say_of_tools(stage);
            }
            Err(error) => {
                let text = format!("a process of the run could not be served: {error}");
                self.saw(&Progress::Trouble(text));
            }
        }
    }

    /// What whoever serves a process of that try tells.
    fn hear_told(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        served: ServedId,
        told: Option<Told>,
    ) -> Result<(), EngineError> {
        match told {
            Some(Told::Withheld(withheld)) => self.hear_withheld(stage, attempt, withheld),
            Some(Told::Asks { server, tool }) => {
                self.hear_asked(stage, attempt, Beyond::Tool { server, tool })
            }
            Some(Told::NotStarted { server, reason }) => {
                self.hear_not_started(stage, attempt, server, reason)
            }
            Some(Told::Elicits { server, number, asked }) => {
                self.hear_elicited(stage, attempt, Asker::Server(served, number), &server, asked)
            }
            Some(Told::ElicitsNoMore { number }) => {
                self.withdraw(stage, &Asker::Server(served, number))
            }
            None => self.withdraw_all_of(stage, served),
        }
    }

    /// What a confined tree reached for and did not get, or not yet.
    fn hear_proxied(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        event: proxy::Event,
    ) -> Result<(), EngineError> {
        let why = match (event.said, &event.to) {
            (proxy::Said::Asked, Some((host, port))) => {
                let host = HostPattern::exactly(host.clone(), *port);
                return self.hear_asked(stage, attempt, Beyond::Host(host));
            }
            (proxy::Said::Denied(why), _) => why,
            (proxy::Said::Allowed | proxy::Said::Failed | proxy::Said::Asked, _) => return Ok(()),
        };
        let what = match event.to {
            Some((host, port)) => format!("{host}:{port}"),
            None => "elsewhere".to_owned(),
        };
        let (why, count) = (why.as_str().to_owned(), event.count);
        self.denied(&Report::Denied { stage, attempt, what, why, count })
    }

    fn hear_requests(&mut self) -> Result<(), EngineError> {
        let asked = self.engine.journal().asked(&self.spec.run_id)?;
        let is_question = |asked: &RequestRow| {
            matches!(asked.request, Request::Ask { .. } | Request::Resolve { .. })
        };
        // What is asked and answered at once is written down at once: each commit waits for the disk,
        // and wakes everybody who waits for any answer.
        for asked in asked.chunk_by(|one, next| is_question(one) && is_question(next)) {
            let mut foreseen = self.run.clone();
            let mut questions = BTreeSet::new();
            let (mut wishes, mut answers) = (Vec::new(), Vec::new());
            for RequestRow { id, actor, request, .. } in asked {
                let again = match request {
                    Request::Ask { question } => !questions.insert(&question.question_id),
                    _ => false,
                };
                if again || self.engine.asked_before(request)? {
                    answers.push((*id, Ok(())));
                    continue;
                }
                answers.push((
                    *id,
                    foreseen.decide(request).map(|events| {
                        record::add(&mut foreseen, &mut Vec::new(), events.clone(), *actor);
                        wishes.push((*actor, events));
                    }),
                ));
            }
            self.happen_together(wishes, &answers)?;
        }
        Ok(())
    }

    fn hear_signal(&mut self, signal: Interruption) -> Result<(), EngineError> {
        match (signal, self.setup.detached) {
            (Interruption::Interrupt, false) => self.cancel("Ctrl-C"),
            (Interruption::Terminate, false) => self.cancel("SIGTERM"),
            (Interruption::HangUp, false) => self.cancel("its terminal was closed"),
            // A run in the background can be resumed: mostly it is the machine that goes down.
            (Interruption::Terminate | Interruption::Interrupt, true) => {
                let pid = std::process::id();
                self.leaving = Some(format!("its runner (process {pid}) was asked to end"));
                self.leave()
            }
            (Interruption::Stop, false) => {
                self.stop_when_frozen = true;
                // Somebody else's pause is not for `fg` to end, also when that still waits for the
                // end of a turn.
                self.thaw_on_continue = *self.run.phase() == Phase::Live;
                // This process stops, so that nobody would hear what a thread says.
                self.request(&Request::Pause { freeze: true })?;
                self.stop_if_frozen()
            }
            // Where we stopped ourselves, that it goes on is known already.
            (Interruption::Continue, _) if std::mem::take(&mut self.continued) => Ok(()),
            (Interruption::Continue, _) => {
                self.saw(&Progress::Continued);
                Ok(())
            }
            (Interruption::Resized, _) => {
                self.saw(&Progress::Resized);
                Ok(())
            }
            (Interruption::HangUp | Interruption::Stop, true) => Ok(()),
        }
    }

    fn cancel(&mut self, reason: &str) -> Result<(), EngineError> {
        self.interrupts += 1;
        if self.interrupts > 1 {
            self.live.iter().for_each(|live| live.control.kill());
            return Ok(());
        }
        self.request(&Request::Cancel { reason: Some(reason.to_owned()) })
    }

    /// Asks the run itself; what it refuses is so already, or is over.
    fn request(&mut self, request: &Request) -> Result<(), EngineError> {
        match self.run.decide(request) {
            Ok(events) => self.happen(events, Actor::User),
            Err(_) => Ok(()),
        }
    }

    /// Stops this process once the run is frozen, and thaws the run when it goes on.
    pub(super) fn stop_if_frozen(&mut self) -> Result<(), EngineError> {
        let busy = matches!(self.run.phase(), Phase::Pausing { .. });
        if !self.stop_when_frozen || busy {
            return Ok(());
        }
        self.stop_when_frozen = false;
        self.finish_views();
        self.saw(&Progress::Stopping);
        signals::stop_here();
        self.continued = true;
        self.saw(&Progress::Continued);
        match std::mem::take(&mut self.thaw_on_continue) {
            true => self.request(&Request::Thaw),
            false => Ok(()),
        }
    }

    fn hear_tree(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        report: TreeReport,
    ) -> Result<(), EngineError> {
        let Some(at) = self.live_at(stage, attempt) else { return Ok(()) };
        match report {
            TreeReport::Wrote { last_line, .. } => {
                self.saw(&Progress::Wrote { stage, line: &last_line });
                self.live[at].last_line = Some(last_line);
                Ok(())
            }
            TreeReport::OutputLost { error } => {
                self.note(&Report::OutputLost { stage, attempt, reason: error.to_string() })
            }
            TreeReport::LogNotRestored { path, error } => {
                let reason = format!("{} was deleted meanwhile: {error}", path.display());
                self.note(&Report::OutputLost { stage, attempt, reason })
            }
            TreeReport::Frozen => {
                self.live[at].froze(Instant::now());
                self.note_if_all_frozen()
            }
            TreeReport::Thawed => {
                self.live[at].thawed(Instant::now());
                Ok(())
            }
            // What its command left behind is being stopped, and will not be there for long.
            TreeReport::FreezeFailed { .. } if self.live[at].exited => Ok(()),
            TreeReport::FreezeFailed { reason } => {
                self.live[at].not_frozen();
                self.note(&Report::FreezeFailed { reason })?;
                self.stop_if_frozen()
            }
            TreeReport::Stuck { pids, reason } => {
                let id = &self.spec.plan.stages[stage.get()].id;
                let text = format!("`{id}`: processes {pids:?} cannot be ended yet: {reason}");
                self.saw(&Progress::Trouble(text));
                Ok(())
            }
            TreeReport::Exited(_) => {
                self.live[at].exited = true;
                Ok(())
            }
            TreeReport::LogRestored { .. } => Ok(()),
            TreeReport::Ended { exit, .. } => {
                self.live[at].ended = Some(perform::exit_of(exit));
                self.part_over(at)
            }
        }
    }

    pub(super) fn live_at(&self, stage: StageIndex, attempt: Attempt) -> Option<usize> {
        self.live.iter().position(|live| (live.stage, live.attempt) == (stage, attempt))
    }

    pub(super) fn note(&mut self, report: &Report) -> Result<(), EngineError> {
        let events = self.run.note(report);
        self.happen(events, Actor::Runner)
    }

    pub(super) fn note_if_all_frozen(&mut self) -> Result<(), EngineError> {
        let waiting = matches!(self.run.phase(), Phase::Pausing { .. }) && self.todo.is_empty();
        if waiting && self.live.iter().all(|live| live.frozen) {
            self.note(&Report::Froze)?;
        }
        self.stop_if_frozen()
    }

    pub(super) fn check_overruns(&mut self) -> Result<(), EngineError> {
        let now = Instant::now();
        let over = self.live.iter().filter(|live| live.overruns_at().is_some_and(|at| at <= now));
        let over: Vec<_> = over.map(|live| (live.stage, live.attempt)).collect();
        for (stage, attempt) in over {
            self.note(&Report::Overran { stage, attempt })?;
        }
        Ok(())
    }

    /// Closes the questions whose time is up.
    pub(super) fn check_questions(&mut self) -> Result<(), EngineError> {
        let now = edge::now();
        while self.run.next_expiry().is_some_and(|at| at <= now) {
            let was_live = *self.run.phase() == Phase::Live;
            self.note(&Report::Time { now })?;
            self.unanswered |= was_live && *self.run.phase() != Phase::Live;
        }
        Ok(())
    }

    /// A run that waits for a person, where nobody is to be asked, would wait for ever.
    pub(super) fn leave_to_a_person(&mut self) -> Result<(), EngineError> {
        let waits = matches!(self.run.phase(), Phase::Paused { .. });
        if !(waits && self.unanswered && self.spec.no_input) || self.leaving.is_some() {
            return Ok(());
        }
        self.leaving = Some(NOBODY.to_owned());
        self.leave()
    }

    /// Stops everything and leaves the run to be resumed.
    pub(super) fn leave(&mut self) -> Result<(), EngineError> {
        let Some(reason) = self.leaving.clone() else { return Ok(()) };
        self.todo.clear();
        let grace = self.grace;
        self.live.iter_mut().for_each(|live| live.tell(Posture::Stopping, grace));
        if !self.live.is_empty() {
            return Ok(());
        }
        self.note(&Report::RunnerLost { reason })
    }
}
