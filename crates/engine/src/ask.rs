//! Asking a run for something, from any process.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::{Actor, Phase, Refusal, Request, Run, RunId, RunStatus};
use store::RequestId;
use supervise::Hold;

use crate::{Ear, Engine, EngineError, door, edge, recover};

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the runner to answer at all.
    pub answer: Duration,
    /// For what was asked to be done, beyond that.
    pub done: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(10), done: Duration::from_secs(30) }
    }
}

/// How often somebody looks who waits to decide alone.
const TURN: Duration = Duration::from_millis(20);

/// Is held by the thread of this process that decides alone.
static ALONE: Mutex<()> = Mutex::new(());

/// For a runner that is stopped to answer all the same.
const STOPPED: Duration = Duration::from_millis(500);

/// What became of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is done.
    Done,
    /// It is being done, and takes longer than the asker wanted to wait.
    Begun,
    /// It was so already.
    Already,
    /// The runner did not answer; it was killed, and what it ran was ended.
    Forced,
}

impl Engine {
    /// Asks a run to pause, to go on, or to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// `Refused` when the run is not in a state for it; `Silent` when its runner does not answer
    /// (a cancel kills such a runner instead); and when the journal cannot be used.
    pub fn ask(
        &mut self,
        run: &RunId,
        request: &Request,
        actor: Actor,
        patience: Patience,
    ) -> Result<Asked, EngineError> {
        self.refresh(run)?;
        // Others may hold the lock of a run that has no runner, for as long as they decide alone.
        let deadline = Instant::now() + patience.answer;
        while !self.is_alive(run)? || !self.journal().row(run)?.status.wants_runner() {
            match self.decide_alone(run, request, actor) {
                Err(EngineError::Alive { .. }) if Instant::now() < deadline => {
                    let lock = self.locks(run).runner;
                    let soon = Instant::now() + TURN;
                    supervise::wait_until_free(&lock, soon).map_err(EngineError::Supervision)?;
                }
                decided => return decided,
            }
        }
        let id = self.journal_mut().ask(run, edge::now(), actor, request)?;
        let locks = self.locks(run);
        door::knock(&locks.door);
        let ear = self.take_ear();
        let wait = match self.runner_is_stopped(run)? {
            // It may be on its way out of that, and mostly is not: somebody pressed Ctrl-Z.
            true => patience.answer.min(STOPPED),
            false => patience.answer,
        };
        let answer = self.await_answer(run, id, &ear, Instant::now() + wait)?;
        if let Answer::Granted = answer {
            let done = self.await_done(run, request, &ear, Instant::now() + patience.done);
            self.give_ear(ear);
            return done;
        }
        self.give_ear(ear);
        match answer {
            Answer::Granted => Ok(Asked::Done),
            Answer::Refused(refusal) => {
                match is_so_already(request, &refusal, self.journal().row(run)?.status) {
                    true => Ok(Asked::Already),
                    false => Err(EngineError::Refused { run: run.clone(), refusal }),
                }
            }
            // It may have answered just before.
            Answer::Died | Answer::Silence if !self.journal_mut().withdraw(id)? => {
                match self.journal().answer(id)? {
                    Some(Err(refusal)) => Err(EngineError::Refused { run: run.clone(), refusal }),
                    _ => Ok(Asked::Begun),
                }
            }
            Answer::Died => self.ask(run, request, actor, patience),
            Answer::Silence => self.without_answer(run, request, actor),
        }
    }

    fn runner_is_stopped(&self, run: &RunId) -> Result<bool, EngineError> {
        Ok(self.journal().row(run)?.runner_pid.is_some_and(supervise::is_stopped))
    }

    /// Nobody runs the run, so whoever asks decides, while holding its lock.
    fn decide_alone(
        &mut self,
        run: &RunId,
        request: &Request,
        actor: Actor,
    ) -> Result<Asked, EngineError> {
        // One after the other: of many threads that each try the lock, most would try in vain.
        let _turn = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, before) = self.replayed(run)?;
        let refused = |refusal| EngineError::Refused { run: run.clone(), refusal };
        // The answer is mostly no, for which nothing need be locked or written.
        if let Err(refusal) = before.decide(request) {
            return match is_so_already(request, &refusal, before.status()) {
                true => Ok(Asked::Already),
                false => Err(refused(refusal)),
            };
        }
        self.make_run_dir(run)?;
        let hold = Hold::take(&self.locks(run).runner).map_err(EngineError::Supervision)?;
        let Some(_hold) = hold else { return Err(EngineError::Alive { run: run.clone() }) };
        let (spec, before) = self.replayed(run)?;
        if self.asked_before(request)? {
            return Ok(Asked::Already);
        }
        let events = before.decide(request).map_err(refused)?;
        let after = self.write_down(&spec, &before, events, actor)?;
        self.tell(&spec, &after);
        Ok(Asked::Done)
    }

    fn await_answer(
        &self,
        run: &RunId,
        id: RequestId,
        ear: &Ear,
        deadline: Instant,
    ) -> Result<Answer, EngineError> {
        loop {
            match self.journal().answer(id)? {
                Some(Ok(())) => return Ok(Answer::Granted),
                Some(Err(refusal)) => return Ok(Answer::Refused(refusal)),
                None if !self.is_alive(run)? => return Ok(Answer::Died),
                None if Instant::now() >= deadline => return Ok(Answer::Silence),
                None => ear.wait(Some(deadline)),
            }
        }
    }

    fn await_done(
        &mut self,
        run: &RunId,
        request: &Request,
        ear: &Ear,
        deadline: Instant,
    ) -> Result<Asked, EngineError> {
        // What is asked and answered is done with the word of the runner.
        if let Request::Ask { .. } | Request::Resolve { .. } | Request::Message { .. } = request {
            return Ok(Asked::Done);
        }
        loop {
            let (_, now) = self.replayed(run)?;
            let refused = |refusal| EngineError::Refused { run: run.clone(), refusal };
            match (request, now.phase()) {
                (Request::Cancel { .. }, Phase::Ended { .. })
                | (Request::Pause { .. }, Phase::Paused { .. }) => return Ok(Asked::Done),
                // A turn may take as long as it likes.
                (Request::Pause { freeze: false }, Phase::Pausing { freeze: false })
                    if now.mid_turn().next().is_some() =>
                {
                    return Ok(Asked::Begun);
                }
                (Request::Cancel { .. }, _) | (Request::Pause { .. }, Phase::Pausing { .. }) => {}
                (Request::Pause { .. }, Phase::Live) => {
                    let reason = refused_freeze(&self.journal().load(run)?.1);
                    return Err(EngineError::NotFrozen { run: run.clone(), reason });
                }
                (_, Phase::Interrupted { .. }) => return Err(refused(Refusal::Interrupted)),
                (Request::Pause { .. }, Phase::Ended { .. }) => {
                    return Err(refused(Refusal::Ended));
                }
                (Request::Pause { .. }, Phase::Cancelling { .. }) => {
                    return Err(refused(Refusal::AlreadyCancelling));
                }
                (Request::Pause { .. }, Phase::Failing { .. }) => {
                    return Err(refused(Refusal::Failing));
                }
                (Request::Pause { .. }, Phase::Queued)
                | (
                    Request::Thaw
                    | Request::Message { .. }
                    | Request::Run { .. }
                    | Request::Ask { .. }
                    | Request::Resolve { .. },
                    _,
                ) => return Ok(Asked::Done),
            }
            if !self.is_alive(run)? {
                self.refresh(run)?;
                // For a cancel that is the end it wanted, for anything else an interruption.
                return match request {
                    Request::Cancel { .. } => Ok(Asked::Done),
                    _ => {
                        let refusal = Refusal::Interrupted;
                        Err(EngineError::Refused { run: run.clone(), refusal })
                    }
                };
            }
            if Instant::now() >= deadline {
                return Ok(Asked::Begun);
            }
            ear.wait(Some(deadline));
        }
    }

    /// The runner is alive and says nothing: stopped, or hung. Cancel does not need it.
    fn without_answer(
        &mut self,
        run: &RunId,
        request: &Request,
        actor: Actor,
    ) -> Result<Asked, EngineError> {
        let (spec, events) = self.journal().load(run)?;
        let now = Run::replay(Arc::new(spec.plan.clone()), &events);
        let pid = now.runner().map_or(0, |runner| runner.pid);
        let silent =
            || EngineError::Silent { run: run.clone(), pid, stopped: supervise::is_stopped(pid) };
        let Request::Cancel { .. } = request else { return Err(silent()) };
        let lock = self.locks(run).runner;
        let killed = supervise::kill_holder(&lock, pid).map_err(EngineError::Supervision)?;
        let deadline = Instant::now() + Duration::from_secs(5);
        let free = supervise::wait_until_free(&lock, deadline).map_err(EngineError::Supervision)?;
        if !killed || !free {
            return Err(silent());
        }
        recover::sweep(self, run, &events)?;
        self.refresh(run)?;
        match self.decide_alone(run, request, actor)? {
            Asked::Already | Asked::Done | Asked::Begun | Asked::Forced => Ok(Asked::Forced),
        }
    }
}

enum Answer {
    Granted,
    Refused(Refusal),
    Died,
    Silence,
}

/// Whether a refusal only says that what was asked for is so.
fn is_so_already(request: &Request, refusal: &Refusal, status: RunStatus) -> bool {
    match (request, refusal) {
        (Request::Pause { .. }, Refusal::AlreadyPaused)
        | (Request::Cancel { .. }, Refusal::AlreadyCancelling) => true,
        (Request::Cancel { .. }, Refusal::Ended) => status == RunStatus::Cancelled,
        _ => false,
    }
}

fn refused_freeze(events: &[model::Recorded]) -> String {
    let reason = events.iter().rev().find_map(|recorded| match &recorded.event {
        model::Event::PauseFailed { reason } => Some(reason.clone()),
        _ => None,
    });
    reason.unwrap_or_else(|| "it was resumed at the same moment".to_owned())
}
