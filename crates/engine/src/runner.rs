//! The runner of a run: the one loop in which everything about it happens, in order.
//!
//! Everything that the runner hears of arrives as a message: a tree that ended, a knock, a signal.
//! Each becomes events; they are committed together with the launches that they make due, then
//! shown, then performed.

mod astray;
mod caches;
mod confine;
mod converse;
mod elicited;
mod forms;
mod hear;
mod hidden;
mod input;
mod outfit;
mod perform;
mod record;
mod settings;
mod standing;
mod tools;
mod tree;
mod widen;
mod wishes;
mod withheld;

use std::{
    collections::VecDeque,
    ffi::OsString,
    net::TcpStream,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::Scope,
    time::{Duration, Instant},
};

use codex::{AccountTokens, AskId};
use model::{
    Actor, Attempt, Event, Limits, Part, Phase, Recorded, Refusal, Request, Run, RunId, RunSpec,
    RunStatus, Seq, StageIndex,
};
use serde::{Deserialize, Serialize};
use store::{Admission, Bell, RunPaths, StoreError, Views};
use supervise::{Guard, Hold, Rung, RungChoice, TreeReport};

use crate::{
    Engine, EngineError, Interruption, Signals,
    channel::{self, Channel, ServedId, Servers, Told},
    door::Door,
    edge,
    live::Live,
    recover, stage_env,
};

/// What a runner is to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undertaking {
    /// A new run.
    Start(Box<RunSpec>),
    /// A new run that counts among those of its parent.
    Spawn {
        /// What to run.
        spec: Box<RunSpec>,
        /// How many its parent may have.
        admission: Admission,
        /// Whether it waits for its turn when as many are at work as may be.
        queue: bool,
    },
    /// One that was interrupted, that failed, or that was cancelled.
    Resume(RunId),
}

impl Undertaking {
    /// Which run it is about.
    #[must_use]
    pub fn run_id(&self) -> &RunId {
        match self {
            Self::Start(spec) | Self::Spawn { spec, .. } => &spec.run_id,
            Self::Resume(run) => run,
        }
    }
}

/// What a runner runs with.
#[derive(Debug)]
pub struct RunnerSetup {
    /// What every stage inherits.
    pub env: Vec<(OsString, OsString)>,
    /// What the stages read; nothing when there is none.
    pub stdin: Option<OwnedFd>,
    /// Where the stages' standard output and standard error are shown as they come.
    pub echo: Option<(OwnedFd, OwnedFd)>,
    /// It has no terminal, and outlives whoever started it.
    pub detached: bool,
    /// How often the watcher is to be woken when nothing happens.
    pub tick: Option<Duration>,
    /// What serves the run's own processes over its channel, with its first words; it is told the
    /// run and the repository. Nothing where they are not to be served.
    pub server: Vec<OsString>,
}

/// Whoever watches a runner at work.
pub trait Watcher {
    /// Something has happened, and is written down.
    fn saw(&mut self, spec: &RunSpec, run: &Run, progress: &Progress<'_>);
}

/// Something to show.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Events were written down.
    Happened(&'a [Recorded]),
    /// A stage wrote.
    Wrote {
        /// Which.
        stage: StageIndex,
        /// Its last line, without control characters.
        line: &'a str,
    },
    /// Something is not as it should be, and the run goes on.
    Trouble(String),
    /// Ctrl-Z: the run is frozen, and this process stops itself next.
    Stopping,
    /// The process goes on after having been stopped.
    Continued,
    /// The terminal has another size.
    Resized,
    /// Nothing happened.
    Tick,
}

pub use confine::remedy;
pub(crate) use outfit::OURS;
pub(crate) use withheld::Speakers;
use withheld::Untold;

/// Anything that the runner hears of.
enum Message {
    Tree(StageIndex, Attempt, TreeReport),
    /// A line of a thread's; none at their end.
    Line(StageIndex, Attempt, Option<Vec<u8>>),
    /// Newer tokens of the account, for a thread that asked.
    Tokens(StageIndex, Attempt, AskId, Result<AccountTokens, String>),
    /// The work tree of its own is there, or cannot be.
    Prepared(Result<tree::Made, String>),
    /// What a thread changed is committed, if it changed anything.
    Committed(StageIndex, Attempt, Result<Option<String>, String>),
    Knock,
    Visitor(UnixStream),
    /// The same from a tree that has a network of its own.
    Caller(StageIndex, Attempt, TcpStream),
    /// What whoever serves a process of that try tells; none at the end of that.
    Told(StageIndex, Attempt, ServedId, Option<Told>),
    /// What became of a connection of a confined tree's.
    Proxied(StageIndex, Attempt, proxy::Event),
    Signal(Interruption),
}

/// How long views may lag behind while stages come and go; the run's own status never does.
const MANIFEST_EVERY: Duration = Duration::from_millis(200);

/// Why a runner leaves a run that waits for somebody where nobody is to be asked.
pub const NOBODY: &str = "it waits for a person, and nobody is to be asked";

/// How often a run that waits for its turn looks whether it has come.
const TURN: Duration = Duration::from_millis(100);

/// How often it looks whether those who are before it are alive.
const LOOK_AT_OTHERS: Duration = Duration::from_secs(1);

/// How long the runner sleeps towards a time of day: the clock may be set meanwhile.
const CLOCK_TRUST: Duration = Duration::from_secs(30);

/// Takes a run up and runs it until it is over, or until this process has to leave it.
///
/// # Errors
///
/// `Alive` when another process runs it, `Refused` when there is nothing to run, and when the
/// journal or the processes cannot be handled; then everything of the run is stopped.
pub fn run(
    engine: &mut Engine,
    undertaking: Undertaking,
    setup: RunnerSetup,
    watcher: &mut dyn Watcher,
) -> Result<(RunSpec, Run), EngineError> {
    let run_id = undertaking.run_id().clone();
    if let Undertaking::Resume(run_id) = &undertaking {
        refuse_what_is_done(engine, run_id)?;
    }
    let folder = match &undertaking {
        Undertaking::Start(spec) | Undertaking::Spawn { spec, .. } => {
            Some(engine.paths(&spec.task_id, &run_id))
        }
        Undertaking::Resume(_) => None,
    };
    let outcome = run_to_its_end(engine, &run_id, undertaking, setup, watcher);
    if let Some(folder) = folder.filter(|_| outcome.is_err())
        && engine.journal().row(&run_id).is_err()
        && !engine.is_alive(&run_id)?
    {
        // It never began, and nobody else is beginning it, so that there is nothing to see to.
        folder.remove_empty_folder();
        let _ = std::fs::remove_dir_all(engine.run_dir(&run_id));
        engine.home().close_run(&run_id);
    }
    outcome
}

fn run_to_its_end(
    engine: &mut Engine,
    run_id: &RunId,
    undertaking: Undertaking,
    setup: RunnerSetup,
    watcher: &mut dyn Watcher,
) -> Result<(RunSpec, Run), EngineError> {
    engine.make_run_dir(run_id)?;
    let locks = engine.locks(run_id);
    let _hold = take_lock(engine, run_id, &locks.runner)?;
    engine.home().open_run(run_id)?;
    let (sender, inbox) = channel();
    // From here on a Ctrl-C is a message, so that there is never a run that nobody ends.
    let to_inbox = sender.clone();
    let _signals = Signals::catch(move |signal| {
        let _ = to_inbox.send(Message::Signal(signal));
    })
    .map_err(EngineError::Supervision)?;
    let (admission, queue) = match &undertaking {
        Undertaking::Spawn { admission, queue, .. } => (Some(admission.clone()), *queue),
        Undertaking::Start(_) | Undertaking::Resume(_) => (None, false),
    };
    let (spec, before) = match undertaking {
        Undertaking::Start(spec) | Undertaking::Spawn { spec, .. } => {
            // A run whose record cannot be kept does not begin.
            engine.views(&spec)?.make_folder()?;
            let run = Run::new(Arc::new(spec.plan.clone()));
            (*spec, run)
        }
        Undertaking::Resume(run_id) => take_over(engine, &run_id)?,
    };
    let guard = start_guard(&spec, &locks.trees)?;
    let paths = engine.paths(&spec.task_id, &spec.run_id);
    let views = engine.views(&spec)?;
    let stop_listening = AtomicBool::new(false);
    // A run goes on without one: it is told so when it looks for it.
    let channel = match setup.server.is_empty() {
        true => None,
        false => Channel::open(engine.state(), &spec.run_id).ok(),
    };
    let servers = Servers::new(setup.server.clone());
    std::thread::scope(|scope| {
        let door = Door::at(&locks.door);
        let mut own_door = door.handle();
        let knocks = sender.clone();
        let stopped = &stop_listening;
        scope.spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                let message = match door.wait(channel.as_ref()) {
                    Some(visitor) => Message::Visitor(visitor),
                    None => Message::Knock,
                };
                if knocks.send(message).is_err() {
                    break;
                }
            }
        });
        let mut runner = Runner {
            env: stage_env::of_run(&spec, &paths, &setup.env),
            grace: Duration::from_millis(spec.grace_ms),
            bell: Bell::at(&locks.bell),
            news: Bell::at(&engine.news_bell()),
            admission,
            queue,
            looked: None,
            servers,
            run: before,
            live: Vec::new(),
            above: Vec::new(),
            work_due: None,
            asked: widen::Asked::default(),
            todo: VecDeque::new(),
            manifest: record::Schedule::default(),
            leaving: None,
            untold: Untold::default(),
            unanswered: false,
            stop_when_frozen: false,
            thaw_on_continue: false,
            continued: false,
            interrupts: 0,
            shown: false,
            engine,
            spec,
            paths,
            views,
            guard,
            setup,
            sender,
            scope,
            watcher,
        };
        let outcome = runner.work(&inbox);
        if outcome.is_err() {
            // Nobody would see to them any more.
            runner.live.iter().for_each(|live| live.control.kill());
        }
        stop_listening.store(true, Ordering::Release);
        if runner.shown {
            runner.engine.home().close_run(&runner.spec.run_id);
        }
        own_door.knock();
        runner.bell.ring();
        let ended = (runner.spec, runner.run);
        outcome.map(|()| ended)
    })
}

/// A run that has succeeded has nothing left to run; it is refused before anything is touched.
fn refuse_what_is_done(engine: &Engine, run: &RunId) -> Result<(), EngineError> {
    match engine.journal().row(run)?.status {
        RunStatus::Succeeded => {
            Err(EngineError::Refused { run: run.clone(), refusal: Refusal::Succeeded })
        }
        _ => Ok(()),
    }
}

/// How long whoever holds the lock of a run that nobody is to run may take to let it go.
const LEAVING: Duration = Duration::from_secs(15);

/// Takes the run's lock. A runner that has written down the end of its run is still there for a
/// moment, and so is whoever recovers a run: these are waited for.
fn take_lock(engine: &Engine, run: &RunId, lock: &Path) -> Result<Hold, EngineError> {
    let deadline = Instant::now() + LEAVING;
    loop {
        if let Some(hold) = Hold::take(lock).map_err(EngineError::Supervision)? {
            return Ok(hold);
        }
        let wanted = match engine.journal().row(run) {
            Ok(row) => row.status.wants_runner(),
            // Whoever holds it is about to write it down.
            Err(StoreError::NoSuchRun(_)) => false,
            Err(error) => return Err(error.into()),
        };
        if (wanted && !engine.is_recovering(run)?) || Instant::now() >= deadline {
            return Err(EngineError::Alive { run: run.clone() });
        }
        // Somebody else may take it up meanwhile, which the next look finds.
        let soon = Instant::now() + Duration::from_millis(20);
        supervise::wait_until_free(lock, soon).map_err(EngineError::Supervision)?;
    }
}

/// Makes sure that nothing is left of the run's earlier life, and that the journal says so.
fn take_over(engine: &mut Engine, run_id: &RunId) -> Result<(RunSpec, Run), EngineError> {
    let (spec, events) = engine.journal().load(run_id)?;
    let mut run = Run::replay(Arc::new(spec.plan.clone()), &events);
    recover::sweep(engine, run_id, &events)?;
    if run.status().wants_runner() {
        run = engine.write_down_loss(&spec, run)?;
    }
    Ok((spec, run))
}

fn start_guard(spec: &RunSpec, trees: &std::path::Path) -> Result<Guard, EngineError> {
    let choice = match spec.supervision.as_str() {
        "auto" => RungChoice::Automatic,
        name => {
            let rung = Rung::ALL.into_iter().find(|rung| rung.to_string() == name);
            let unfit = || EngineError::Unfit(format!("`{name}` is no way to hold processes"));
            RungChoice::Only(rung.ok_or_else(unfit)?)
        }
    };
    let trees = Hold::share(trees).map_err(EngineError::Supervision)?;
    let held = || EngineError::Leftovers {
        run: spec.run_id.clone(),
        reason: "their supervisor does not let go of them".to_owned(),
    };
    let mark = channel::mark_of(&spec.run_id);
    Guard::start(trees.ok_or_else(held)?, mark, choice).map_err(EngineError::Supervision)
}

struct Runner<'scope, 'env, 'a> {
    engine: &'a mut Engine,
    spec: RunSpec,
    run: Run,
    paths: RunPaths,
    views: Views,
    bell: Bell,
    /// Rung with what others than those who look at this run may wait for.
    news: Bell,
    /// How many runs its parent may have, for a run that was spawned.
    admission: Option<Admission>,
    /// It waits for its turn among those.
    queue: bool,
    /// When it last looked whether those are alive.
    looked: Option<Instant>,
    /// Those at the other ends of the run's channel.
    servers: Servers,
    guard: Guard,
    setup: RunnerSetup,
    env: Vec<(OsString, OsString)>,
    grace: Duration,
    live: Vec<Live>,
    /// The runs above this one, with what they and all below them may use up.
    above: Vec<(RunId, Limits)>,
    /// When the time that threads were at work is counted next, where there is a limit to that.
    work_due: Option<Instant>,
    /// How much a person was asked for of late.
    asked: widen::Asked,
    /// Tries that are written down and not launched yet.
    todo: VecDeque<(StageIndex, Attempt, Part)>,
    manifest: record::Schedule,
    /// The runner has to go, and the run is to be resumed later; why.
    leaving: Option<String>,
    /// It was paused because a question was not answered in time.
    /// What was kept from its processes and has become no event yet.
    untold: Untold,
    unanswered: bool,
    /// Ctrl-Z: this process stops itself as soon as the run is frozen.
    stop_when_frozen: bool,
    /// It was Ctrl-Z that paused the run, so it goes on with this process.
    thaw_on_continue: bool,
    /// It did, and goes on; the signal that says so is still to come.
    continued: bool,
    interrupts: u32,
    /// The views say all that the journal says.
    shown: bool,
    sender: Sender<Message>,
    scope: &'scope Scope<'scope, 'env>,
    watcher: &'a mut dyn Watcher,
}

impl Runner<'_, '_, '_> {
    fn work(&mut self, inbox: &Receiver<Message>) -> Result<(), EngineError> {
        let events = self.run.decide(&Request::Run { runner: edge::this_runner() });
        let mut events = events
            .map_err(|refusal| EngineError::Refused { run: self.spec.run_id.clone(), refusal })?;
        if let Some(committed) = self.commit_leftovers()? {
            events.insert(0, committed);
        }
        self.above = self.engine.limits_above(&self.spec);
        self.take_up(events)?;
        self.prepare();
        while !self.over() {
            self.begin_in_turn()?;
            self.perform()?;
            if self.over() {
                break;
            }
            match self.next(inbox) {
                Some(message) => self.hear(message)?,
                None => self.saw(&Progress::Tick),
            }
            self.check_overruns()?;
            self.check_threads()?;
            self.check_work()?;
            self.check_questions()?;
            self.check_asked();
            self.leave_to_a_person()?;
            self.write_late_views();
        }
        self.finish_views();
        self.engine.retell_parent(&self.spec);
        Ok(())
    }

    /// A new run is written down with all that follows from its start. What was asked of an
    /// earlier runner, and never answered, is not done now by surprise.
    fn take_up(&mut self, mut events: Vec<Event>) -> Result<(), EngineError> {
        if self.run.head() == Seq::default() {
            let queued = Event::queued(&self.spec.plan);
            events.insert(0, queued.clone());
            let full = |taken: &Result<(), EngineError>| {
                matches!(taken, Err(EngineError::Store(StoreError::TooManyAtOnce { .. })))
            };
            let mut taken = self.happen(events.clone(), Actor::Runner);
            if full(&taken) {
                self.see_to_others();
                taken = self.happen(events, Actor::Runner);
            }
            return match full(&taken) && self.queue {
                true => self.happen(vec![queued], Actor::Runner),
                false => taken,
            };
        }
        let stale = self.engine.journal().asked(&self.spec.run_id)?;
        let answers: Vec<_> =
            stale.iter().map(|asked| (asked.id, Err(Refusal::Interrupted))).collect();
        self.happen_answering(events, Actor::Runner, &answers)
    }

    /// A run that waits for its turn begins when it has come.
    fn begin_in_turn(&mut self) -> Result<(), EngineError> {
        if *self.run.phase() != Phase::Queued {
            return Ok(());
        }
        let events = self.run.decide(&Request::Run { runner: edge::this_runner() });
        match self.happen(events.unwrap_or_default(), Actor::Runner) {
            Err(EngineError::Store(StoreError::TooManyAtOnce { .. })) => {
                if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AT_OTHERS) {
                    self.see_to_others();
                }
                Ok(())
            }
            begun => begun,
        }
    }

    /// A run whose runner died has a place among those of its parent until somebody finds it. Mostly
    /// it is the one who waits for that place who is there to look.
    fn see_to_others(&mut self) {
        self.looked = Some(Instant::now());
        if let Some(admission) = &self.admission {
            let parent = admission.parent.clone();
            // What cannot be seen to now is looked at again.
            let _ = self.engine.refresh_children(&parent);
        }
    }

    /// Nothing more is to be done, and nothing lives.
    fn over(&self) -> bool {
        let ended = matches!(self.run.phase(), Phase::Ended { .. } | Phase::Interrupted { .. });
        ended && self.live.is_empty()
    }

    fn next(&self, inbox: &Receiver<Message>) -> Option<Message> {
        let now = Instant::now();
        let overrun = self.live.iter().filter_map(Live::overruns_at).min();
        let silent = self.live.iter().filter_map(Live::silent_at).min();
        let forced = self.live.iter().filter_map(Live::forced_at).min();
        let tick = self.setup.tick.map(|tick| now + tick);
        let expiry = self.run.next_expiry().map(|at| now + at.since(edge::now()).min(CLOCK_TRUST));
        let turn = (*self.run.phase() == Phase::Queued).then(|| now + TURN);
        let works = self.live.iter().any(Live::is_at_work);
        let work = self.work_due.filter(|_| works);
        let asking = self.asked.again_at();
        let wake = [overrun, silent, forced, work, tick, expiry, turn, asking, self.manifest.due()]
            .into_iter()
            .flatten()
            .min();
        match wake {
            None => inbox.recv().ok(),
            Some(at) => inbox.recv_timeout(at.saturating_duration_since(now)).ok(),
        }
    }

    fn saw(&mut self, progress: &Progress<'_>) {
        self.watcher.saw(&self.spec, &self.run, progress);
    }
}
