//! Telling a person what they are to be told.
//!
//! Whoever commits something of the kind, or finds it waiting, starts a process of this program
//! that tells them, and goes on: no run waits for it, and what becomes of it touches no run. There
//! is one such process of a repository at a time, and it ends when nothing is left to be told.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::Scope,
    time::{Duration, Instant},
};

use model::{Event, Question, Resolution, Run, RunSpec, Way};
use store::{Manifest, NoticeRow, RunPaths, StoreError, Telling, manifest_of};
use supervise::Hold;

use crate::{Access, Ear, Engine, EngineError, Nudge, edge, stage_env::MARK, wait_with};

/// Something that a person is to be told.
#[derive(Clone, Debug)]
pub struct NoticeFacts {
    /// What it is about.
    pub row: NoticeRow,
    /// What the run was started with.
    pub spec: RunSpec,
    /// The run as it was then.
    pub run: Run,
    /// The same at a glance.
    pub manifest: Manifest,
    /// Where its files are.
    pub paths: RunPaths,
    /// What is asked, and what became of it by now.
    pub question: Option<(Question, Option<Resolution>)>,
}

/// What came of one try to tell somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Try {
    /// They were told.
    Told,
    /// There is nothing that would tell them that way.
    NoWay,
    /// It went wrong, and may go better the next time.
    Failed {
        /// What went wrong.
        failure: String,
        /// How long whoever is at the other end wants to be left alone.
        not_before: Option<Duration>,
    },
    /// Nobody can say by what they are told, until a person has put that right.
    Stuck {
        /// What is wrong.
        failure: String,
    },
}

/// Whoever tells people.
pub trait Teller: Sync {
    /// Tries to tell them once.
    fn tell(&self, way: Way, notice: &NoticeFacts) -> Try;
}

/// From the first try to the second; each further one is three times as far.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// No two tries are further apart, whatever the other end wants.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How often a process that does not come to an end by itself, and goes on looking, starts somebody
/// who tells what it finds waiting. What keeps them from it may last.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What tells people, as this program starts it.
#[derive(Debug)]
struct Notifier {
    program: Vec<OsString>,
    started: Mutex<Started>,
}

#[derive(Debug, Default)]
struct Started {
    children: Vec<Child>,
    /// When it was last started because something was found waiting, in each repository.
    looked: BTreeMap<PathBuf, Instant>,
}

static NOTIFIER: OnceLock<Notifier> = OnceLock::new();

/// Says once by which program, with its first words, people are told; it is told where. Before that
/// nobody is.
pub fn notify_by(program: Vec<OsString>) {
    let _ = NOTIFIER.set(Notifier { program, started: Mutex::default() });
}

impl Engine {
    /// After a commit: sees to it that somebody tells what there is to be told.
    pub(crate) fn see_to_notices(&self) {
        if let Some(notifier) = self.idle_notifier() {
            notifier.start(self);
        }
    }

    /// The same at a look, for what was left by somebody who was killed.
    pub(crate) fn see_to_old_notices(&self) {
        let Some(notifier) = self.idle_notifier() else { return };
        let now = Instant::now();
        let root = self.root().to_owned();
        let last = notifier.locked().looked.insert(root.clone(), now);
        match last.filter(|last| now.duration_since(*last) < LOOK_AGAIN) {
            Some(last) => drop(notifier.locked().looked.insert(root, last)),
            None => notifier.start(self),
        }
    }

    /// What tells people, where there is something to be told and nobody does it.
    fn idle_notifier(&self) -> Option<&'static Notifier> {
        let notifier = NOTIFIER.get()?;
        let untold = self.writable() && self.journal().is_anything_untold().unwrap_or(false);
        // In this order: whoever lets go of the lock looks once more.
        (untold && !supervise::held(&self.home().notify_lock()).unwrap_or(true)).then_some(notifier)
    }

    /// What a notice is about, as it was then.
    fn notice_facts(&self, row: NoticeRow) -> Result<NoticeFacts, StoreError> {
        let (spec, mut events) = self.journal().load(&row.run_id)?;
        events.retain(|recorded| recorded.seq <= row.seq);
        let run = Run::replay(Arc::new(spec.plan.clone()), &events);
        let paths = self.paths(&spec.task_id, &spec.run_id);
        let manifest = manifest_of(&spec, &run, &paths, Vec::new());
        let question = match events.pop().map(|recorded| recorded.event) {
            Some(Event::QuestionQueued { question } | Event::ConfirmationRequired { question }) => {
                let now = self.journal().question(&question.question_id)?;
                let resolution = now.and_then(|now| now.resolved).map(|(resolution, _)| resolution);
                Some((question, resolution))
            }
            _ => None,
        };
        Ok(NoticeFacts { row, spec, run, manifest, paths, question })
    }
}

impl Notifier {
    /// Starts it, and does not wait. One that cannot be started is started at the next look.
    fn start(&self, engine: &Engine) {
        let Some((program, words)) = self.program.split_first() else { return };
        let child = Command::new(program)
            .args(words)
            .arg("--state")
            .arg(engine.state())
            .arg("--root")
            .arg(engine.root())
            // It belongs to no run, also where it was a process of a run that had something to say.
            .env_remove(MARK)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut started = self.locked();
        started.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        started.children.extend(child);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Started> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells people whatever they are to be told of the repository `root`, in order, and comes back when
/// nothing is left, when it cannot be done now, or at once when somebody else does it.
///
/// # Errors
///
/// When the journal cannot be used.
pub fn tell_people(state: &Path, root: &Path, teller: &dyn Teller) -> Result<(), EngineError> {
    // Whoever started it may leave, and its terminal may close. Whoever leads a group already was
    // started by hand.
    let _ = rustix::process::setsid();
    let mut engine = Engine::open(state, root, Access::Look)?;
    while engine.writable() && engine.journal().is_anything_untold()? {
        let hold = Hold::take(&engine.home().notify_lock()).map_err(EngineError::Supervision)?;
        let Some(_hold) = hold else { break };
        if !tell_all(&mut engine, teller)? {
            break;
        }
        // The lock is let go of here, and then there is another look: whoever wrote something down
        // meanwhile, and found the lock held, relies on that.
    }
    Ok(())
}

/// Anything that whoever tells people hears of.
enum Message {
    Rang,
    Done { id: i64, way: Way, telling: Telling },
}

/// Tells everything, each way in order and both at a time: one that fails does not hold up the
/// other. Says whether all is told, as far as it can be.
fn tell_all(engine: &mut Engine, teller: &dyn Teller) -> Result<bool, EngineError> {
    let (sender, inbox) = channel();
    let nudge = Nudge::new().map_err(EngineError::Supervision)?;
    let mut ear = Ear::new();
    ear.listen_to(&engine.news_bell());
    let own_nudge = nudge.clone();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let rung = sender.clone();
        let stopped = &done;
        scope.spawn(move || {
            while !stopped.load(Ordering::Acquire) && rung.send(Message::Rang).is_ok() {
                wait_with(&[&ear], Some(&own_nudge), None);
            }
        });
        let all = tell_in_order(engine, teller, scope, &sender, &inbox);
        done.store(true, Ordering::Release);
        nudge.now();
        all
    })
}

fn tell_in_order<'scope>(
    engine: &mut Engine,
    teller: &'scope dyn Teller,
    scope: &'scope Scope<'scope, '_>,
    sender: &Sender<Message>,
    inbox: &Receiver<Message>,
) -> Result<bool, EngineError> {
    let mut busy = Vec::new();
    let mut stuck = false;
    loop {
        for &way in Way::ALL {
            if stuck || busy.contains(&way) {
                continue;
            }
            let Some(row) = engine.journal().next_notice(way)? else { continue };
            busy.push(way);
            let (id, sender) = (row.id, sender.clone());
            let facts = engine.notice_facts(row);
            scope.spawn(move || {
                let telling = match facts {
                    Ok(facts) => tell(teller, way, &facts),
                    // It would stand in the way of all others.
                    Err(error) => Telling::GivenUp { failure: error.to_string() },
                };
                let _ = sender.send(Message::Done { id, way, telling });
            });
        }
        if busy.is_empty() {
            return Ok(!stuck);
        }
        match inbox.recv() {
            Ok(Message::Done { id, way, telling }) => {
                engine.journal_mut().note_telling(id, way, &telling, edge::now())?;
                stuck |= matches!(telling, Telling::Stuck { .. });
                busy.retain(|other| *other != way);
            }
            Ok(Message::Rang) | Err(_) => {}
        }
    }
}

/// Tries to tell somebody, as often as they want it to be tried.
fn tell(teller: &dyn Teller, way: Way, notice: &NoticeFacts) -> Telling {
    let mut retries = notice.spec.notify.as_ref().map_or(0, |notify| notify.retries);
    let mut pause = FIRST_PAUSE;
    loop {
        match teller.tell(way, notice) {
            Try::Told => return Telling::Told,
            Try::NoWay => return Telling::NoWay,
            Try::Stuck { failure } => return Telling::Stuck { failure },
            Try::Failed { failure, .. } if retries == 0 => return Telling::GivenUp { failure },
            Try::Failed { not_before, .. } => {
                let wait = not_before.map_or(pause, |wanted| wanted.max(pause));
                std::thread::sleep(wait.min(LONGEST_PAUSE));
                pause = (pause * 3).min(LONGEST_PAUSE);
                retries -= 1;
            }
        }
    }
}
