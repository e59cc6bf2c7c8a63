//! Runner, guard and shim are killed, one or two of them or all at once, at random instants over
//! a whole run; some stages do their best to be left behind. Whatever was killed and whenever:
//! no file is torn, nothing that could be read is lost, nobody is left, the status is true at
//! once, and the run is finished from its first unfinished stage.
//!
//! `E2E_ROUNDS` says how many rounds to play and `E2E_SEED` which ones; a failure names its seed.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    chance::Chance,
    processes::{Family, Seen},
    scratch::{Running, Scratch, say, until, wait_for},
};

/// Four stages, each of which holds a lock with all of its processes, and counts.
const CONFIG: &str = r#"
[run]
grace = "100ms"

[pipelines.four]
stages = [
  { id = "one", command = "sh stage.sh one quick" },
  { id = "two", command = "sh stage.sh two hostile" },
  { id = "three", command = "sh stage.sh three quick" },
  { id = "four", command = "sh stage.sh four hostile" },
]
"#;

/// The lock is held by whoever has inherited descriptor 9: two tries of a stage that overlap,
/// or a stage and what is left of the one before, find it taken.
const STAGE: &str = r#"
exec 9>>held
flock -n 9 || echo "$1" >> overlaps
echo "$1" >> began
if [ "$2" = hostile ]; then
    trap '' TERM INT HUP
    setsid sh -c 'trap "" TERM INT HUP; while :; do sleep 0.02; done' &
    (env -i setsid sh -c 'trap "" TERM; while :; do sleep 0.02; done' &)
    sleep 0.1
fi
echo "$1" >> ended
"#;

const STAGES: [&str; 4] = ["one", "two", "three", "four"];

/// Whom to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Runner,
    Guard,
    Shim,
}

use Victim::{Guard, Runner, Shim};

const ONE_OR_TWO: [&[Victim]; 9] = [
    &[Runner],
    &[Guard],
    &[Shim],
    &[Runner, Guard],
    &[Guard, Runner],
    &[Runner, Shim],
    &[Shim, Runner],
    &[Guard, Shim],
    &[Shim, Guard],
];

const ALL: [&[Victim]; 3] =
    [&[Runner, Guard, Shim], &[Shim, Guard, Runner], &[Guard, Runner, Shim]];

#[test]
fn one_or_two_of_them_killed_at_any_instant_lose_nothing() {
    play(&ONE_OR_TWO, 12);
}

#[test]
fn all_of_them_killed_at_any_instant_lose_nothing() {
    play(&ALL, 6);
}

fn play(victims: &[&[Victim]], rounds: usize) {
    let rounds = std::env::var("E2E_ROUNDS").map_or(rounds, |text| text.parse().unwrap());
    let first = Chance::seed();
    let (whole, rungs) = undisturbed();
    say(&format!("{rounds} rounds from seed {first}, by {rungs:?}; undisturbed takes {whole:?}"));
    let longest = AtomicU64::new(0);
    for (seed, victims) in (first..).zip(victims.iter().cycle()).take(rounds) {
        let round = || Round::new(seed, victims, &rungs).play(whole, &longest);
        if let Err(fault) = std::panic::catch_unwind(round) {
            say(&format!("that was {victims:?} with E2E_SEED={seed} E2E_ROUNDS=1"));
            std::panic::resume_unwind(fault);
        }
    }
    say(&format!("the last process was gone after at most {} ms", longest.into_inner()));
}

/// The ways to hold a tree; each is used where it works.
const RUNGS: [&str; 4] = ["cgroup2", "freezer1", "pidns", "subreaper"];

fn scratch() -> Scratch {
    scratch_with("auto")
}

fn scratch_with(rung: &str) -> Scratch {
    let scratch = Scratch::with(&format!("{CONFIG}\n[supervision]\nrung = \"{rung}\"\n"));
    fs::write(scratch.at("stage.sh"), STAGE).unwrap();
    scratch
}

/// How long a run takes that nobody disturbs, and how its trees can be held here.
fn undisturbed() -> (Duration, Vec<&'static str>) {
    let mut whole = Duration::ZERO;
    let works = |rung: &&str| {
        let scratch = scratch_with(rung);
        let begun = Instant::now();
        if scratch.run(&["start", "four", "--task", "demo"]).code != 0 {
            return false;
        }
        whole = whole.max(begun.elapsed());
        assert_eq!(scratch.text("ended"), "one\ntwo\nthree\nfour\n");
        assert_eq!(scratch.text("overlaps"), "");
        true
    };
    let rungs: Vec<&str> = RUNGS.into_iter().filter(works).collect();
    assert!(rungs.contains(&"subreaper"), "that one works everywhere: {rungs:?}");
    (whole, rungs)
}

struct Round<'a> {
    scratch: Scratch,
    chance: Chance,
    victims: &'a [Victim],
}

impl<'a> Round<'a> {
    fn new(seed: u64, victims: &'a [Victim], rungs: &[&str]) -> Self {
        let mut chance = Chance::of(seed);
        let rung = rungs[usize::try_from(chance.below(rungs.len() as u64)).unwrap()];
        Self { scratch: scratch_with(rung), chance, victims }
    }

    fn play(mut self, whole: Duration, longest: &AtomicU64) {
        let runner = self.scratch.spawn(&["start", "four", "--task", "demo", "--json"]);
        self.await_moment(whole);
        // Somebody may be asking for something just then.
        let asked = self.victims.contains(&Runner) && self.chance.below(3) == 0;
        let pause = asked.then(|| self.scratch.spawn(&["pause", "--task", "demo", "--json"]));
        if asked {
            std::thread::park_timeout(Duration::from_micros(self.chance.below(60_000)));
        }
        let family = self.slay(runner.pid());
        let after = Instant::now();
        let known = self.whole_lines();
        let runner_killed = self.victims.contains(&Runner);
        let answered = self.end_of(runner, runner_killed);
        let Some(run) = self.run() else {
            // It was killed before there was a run.
            wait_for("everybody's end", || self.nobody_is_left(None, &family));
            return;
        };
        if self.victims.len() < 3 {
            wait_for("everybody's end", || self.nobody_is_left(Some(&run), &family));
            let gone = u64::try_from(after.elapsed().as_millis()).unwrap();
            if runner_killed {
                longest.fetch_max(gone, Ordering::Relaxed);
            }
        }
        // Whoever looks at the same moment is told the same.
        let looks = [(); 3].map(|()| self.scratch.spawn(&["status", &run, "--json"]));
        let status = self.scratch.status(&run);
        for look in looks {
            assert_eq!(look.done().answer().text("status"), status);
        }
        // When all were killed, whoever looks has swept before it answers.
        assert!(self.nobody_is_left(Some(&run), &family), "{:?} {family:?}", self.left(&run));
        if let Some(answered) = answered {
            assert_eq!(status, answered, "what was answered stays true");
        }
        self.check_record(&run, &status, &known);
        if let Some(answer) = pause.map(|pause| pause.done().answer())
            && answer.code == 0
        {
            let events = self.scratch.events(&run);
            let paused = events.iter().any(|event| event["event"] == "run_paused");
            assert!(paused, "what was answered has happened: {answer:?} {events:#?}");
        }
        let done = self.completed(&run);
        say(&format!("{:?}: {status} with {} stages done", self.victims, done.len()));
        if status != "succeeded" {
            let allowed = ["interrupted", "failed"];
            assert!(allowed.contains(&status.as_str()), "{status}");
            self.resume(&run, &done);
        }
        assert_eq!(self.scratch.status(&run), "succeeded");
        self.check_record(&run, "succeeded", &known);
        assert_eq!(self.scratch.text("overlaps"), "", "two tries ran at once");
        assert!(self.nobody_is_left(Some(&run), &[]));
        let ended: BTreeSet<_> = self.lines("ended").into_iter().collect();
        assert_eq!(ended, STAGES.map(str::to_owned).into());
    }

    /// A moment by the clock over the whole run, or one close to where something is written.
    fn await_moment(&mut self, whole: Duration) {
        if self.chance.below(2) == 0 {
            let part = self.chance.below(1100);
            std::thread::park_timeout(whole * u32::try_from(part).unwrap() / 1000);
            return;
        }
        let lines = usize::try_from(self.chance.below(17)).unwrap();
        wait_for("the events", || {
            self.whole_lines().len() >= lines || self.lines("ended").len() == STAGES.len()
        });
        std::thread::park_timeout(Duration::from_micros(self.chance.below(4000)));
    }

    /// Kills the victims, one right after the other, and tells who was there.
    fn slay(&self, runner: i32) -> Vec<Seen> {
        let family = Family::of(runner);
        let doomed = self.victims.iter().flat_map(|victim| match victim {
            Runner => vec![runner],
            Guard => family.guards.iter().map(|seen| seen.pid).collect(),
            Shim => family.shims.iter().map(|seen| seen.pid).collect(),
        });
        for pid in doomed.collect::<Vec<_>>() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        family.all
    }

    /// Waits for the runner's end, and gives the status that it answered, if it was not killed.
    fn end_of(&self, runner: Running, killed: bool) -> Option<String> {
        let done = runner.done();
        // It may have ended by itself just before it was to be killed.
        if killed && done.code == 137 {
            return None;
        }
        Some(done.answer().text("status"))
    }

    fn run(&self) -> Option<String> {
        let runs = self.scratch.json(&["list"]);
        let runs = runs.document.get("runs").and_then(Value::as_array).cloned();
        let runs = runs.unwrap_or_default();
        assert!(runs.len() < 2, "{runs:?}");
        Some(runs.first()?.get("run_id")?.as_str()?.to_owned())
    }

    fn nobody_is_left(&self, run: Option<&str>, family: &[Seen]) -> bool {
        let free = File::open(self.scratch.at("held")).map_or(true, |file| file.try_lock().is_ok());
        let marked = run.is_some_and(|run| !self.scratch.processes_of(run).is_empty());
        free && !marked && !family.iter().any(Seen::lives)
    }

    fn left(&self, run: &str) -> Vec<i32> {
        self.scratch.processes_of(run)
    }

    /// What anybody could have read of `events.jsonl` by now.
    fn whole_lines(&self) -> Vec<String> {
        let Ok(runs) = fs::read_dir(self.scratch.at(".runs/demo/cli")) else { return Vec::new() };
        let Some(Ok(run)) = runs.into_iter().next() else { return Vec::new() };
        let text = fs::read_to_string(run.path().join("events.jsonl")).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    fn check_record(&self, run: &str, status: &str, known: &[String]) {
        let events = self.scratch.events(run);
        let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "{events:#?}");
        let text = fs::read_to_string(self.scratch.record(run).join("events.jsonl")).unwrap();
        assert!(text.ends_with('\n'), "the last line is whole");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() >= known.len(), "{known:?} {lines:?}");
        assert_eq!(lines[..known.len()], *known, "what could be read is still there");
        assert_eq!(self.scratch.manifest(run)["status"], status);
    }

    /// The stages of which it is written down that they ended well.
    fn completed(&self, run: &str) -> Vec<String> {
        let events = self.scratch.events(run);
        let ended = events.iter().filter(|event| event["event"] == "step_completed");
        ended.map(|event| event["payload"]["stage_id"].as_str().unwrap().to_owned()).collect()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        self.scratch.text(name).lines().map(ToOwned::to_owned).collect()
    }

    /// Takes the run up until it is done: now and then what takes it up is killed as well.
    fn resume(&mut self, run: &str, done: &[String]) {
        let before = self.lines("began").len();
        if self.chance.below(3) == 0 {
            let again = self.scratch.spawn(&["resume", run, "--json"]);
            let more = before + usize::try_from(self.chance.below(2)).unwrap();
            wait_for("a stage", || self.lines("began").len() >= more);
            let family = self.slay(again.pid());
            self.end_of(again, self.victims.contains(&Runner));
            if self.victims.len() == 3 {
                self.scratch.status(run);
            }
            wait_for("everybody's end", || self.nobody_is_left(Some(run), &family));
        }
        if self.scratch.status(run) != "succeeded" {
            let resumed = self.scratch.json(&["resume", run]);
            assert_eq!(resumed.code, 0, "{resumed:?}");
            assert_eq!(resumed.text("status"), "succeeded");
        }
        let again = self.lines("began").split_off(before);
        for stage in &again {
            assert!(!done.contains(stage), "{stage} was done and ran again: {done:?} {again:?}");
        }
        let first = STAGES.iter().find(|stage| !done.iter().any(|done| done == *stage));
        let began = again.first().map(String::as_str);
        assert_eq!(began, first.copied(), "begins at the first unfinished stage: {done:?}");
    }
}

#[test]
fn a_paused_run_whose_runner_was_killed_goes_on() {
    let scratch = scratch();
    let run = scratch.start("four");
    wait_for("the second stage", || scratch.text("began").contains("two"));
    let paused = scratch.json(&["pause", &run]);
    // Stages this short may have ended meanwhile; then there is another one to freeze.
    assert_eq!(paused.code, 0, "{paused:?}");
    assert_eq!(scratch.status(&run), "paused");
    let pid = scratch.runner(&run);
    let family = Family::of(pid);
    scratch.kill_runner(&run);
    until("its end", || (!family.all.iter().any(Seen::lives)).then_some(()));
    assert_eq!(scratch.status(&run), "interrupted");
    let resumed = scratch.json(&["resume", &run]);
    assert_eq!((resumed.code, resumed.text("status").as_str()), (0, "succeeded"), "{resumed:?}");
    assert_eq!(scratch.text("overlaps"), "");
}

/// Somebody finds a run whose processes were all killed, and is stopped while it clears up. The
/// others wait for it for two seconds, and then say what is true all the same.
#[test]
fn who_is_stopped_while_it_clears_up_does_not_hide_that_the_run_is_interrupted() {
    for _ in 0..40 {
        let scratch = scratch();
        let running = scratch.spawn(&["start", "four", "--task", "demo", "--json"]);
        wait_for("a hostile stage", || scratch.text("began").contains("two"));
        let run = scratch.json(&["list"]).document["runs"][0]["run_id"].clone();
        let run = run.as_str().unwrap();
        let round = Round { scratch, chance: Chance::of(0), victims: &[Runner, Guard, Shim] };
        round.slay(running.pid());
        running.done();
        let scratch = &round.scratch;
        let lock = scratch.journal().with_file_name("runs").join(run).join("recovery.lock");
        let first = scratch.spawn(&["status", run, "--json"]);
        let in_its_hands = loop {
            if held(&lock) {
                first.signal(Signal::SIGSTOP);
                wait_for("it is stopped", || crate::crowd::is_stopped(first.pid()));
                break held(&lock);
            }
            if Seen::at(first.pid()).is_none() {
                break false;
            }
        };
        if in_its_hands {
            assert_eq!(scratch.status(run), "interrupted");
            let list = scratch.json(&["list"]);
            assert_eq!(list.document["runs"][0]["status"], "interrupted", "{list:?}");
        }
        first.signal(Signal::SIGCONT);
        assert_eq!(first.done().answer().text("status"), "interrupted");
        assert_eq!(scratch.json(&["resume", run]).code, 0);
        if in_its_hands {
            return;
        }
    }
    say("skipped: nobody could be caught while clearing up");
}

/// Whether anybody has that lock: asked of the kernel's list, which names no process for it.
fn held(lock: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(data) = fs::metadata(lock) else { return false };
    let inode = format!(":{}", data.ino());
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks
        .lines()
        .any(|line| line.contains("OFDLCK") && line.split(' ').any(|word| word.ends_with(&inode)))
}

#[test]
fn a_run_that_was_answered_for_is_there_whatever_dies_next() {
    for _ in 0..5 {
        let scratch = scratch();
        let run = scratch.start("four");
        let pid = scratch.runner(&run);
        let family = Family::of(pid);
        let others = family.guards.iter().chain(&family.shims).map(|seen| seen.pid);
        // The runner first: it must not live to write down what became of the others.
        for pid in [pid].into_iter().chain(others) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        wait_for("the runner's end", || Seen::at(pid).is_none());
        assert_eq!(scratch.status(&run), "interrupted");
        assert!(scratch.processes_of(&run).is_empty());
        let events = scratch.events(&run);
        assert_eq!(events[0]["event"], "run_queued");
        assert_eq!(events.last().unwrap()["event"], "run_interrupted");
        let resumed = scratch.json(&["resume", &run]);
        assert_eq!((resumed.code, resumed.text("status").as_str()), (0, "succeeded"));
        assert_eq!(scratch.text("overlaps"), "");
    }
}

/// Kills a process and waits until it is gone.
#[track_caller]
pub(crate) fn kill_now(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
    wait_for("its end", || Seen::at(pid).is_none());
}
