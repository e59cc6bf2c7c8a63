//! Codex, runner, guard and shim are killed, one or two of them or all at once, at random instants
//! of a run whose thread asks a question, wants something approved, changes files and is checked.
//! Whatever was killed and whenever: the run is finished by the same thread, no turn that had ended
//! is repeated, all that was changed is committed, and nobody is left.
//!
//! `E2E_ROUNDS` says how many rounds to play and `E2E_SEED` which ones; a failure names its seed.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    chance::Chance,
    client::say as tell,
    desk::Desk,
    model::{Reply, Request, call, function, say},
    patience::{LONG, wait_for},
    processes::{Seen, at_home, below},
    threads::{in_background, runs, status},
};

/// Whom to kill, by the name that it goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Codex,
    Runner,
    Guard,
    Shim,
}

use Victim::{Codex, Guard, Runner, Shim};

const VICTIMS: [&[Victim]; 10] = [
    &[Codex],
    &[Runner],
    &[Guard],
    &[Shim],
    &[Codex, Runner],
    &[Runner, Guard],
    &[Shim, Runner],
    &[Guard, Shim],
    &[Codex, Shim],
    &[Runner, Guard, Shim, Codex],
];

#[test]
fn whoever_is_killed_at_any_instant_the_thread_goes_on_to_its_end() {
    if Desk::confining().is_none() {
        return;
    }
    let rounds = std::env::var("E2E_ROUNDS").map_or(3, |text| text.parse().expect("a number"));
    let first = Chance::seed();
    // The shortest of several: a moment that comes when all is over is none.
    let undisturbed = (0..3).map(|_| Round::new(first, &[]).play(Duration::ZERO));
    let whole = undisturbed.min().expect("several");
    tell(&format!("{rounds} rounds from seed {first}; undisturbed takes {whole:?}"));
    for seed in (first..).take(rounds) {
        let at = Chance::of(seed).below(VICTIMS.len() as u64);
        let victims = VICTIMS[usize::try_from(at).expect("a small number")];
        let round = || Round::new(seed, victims).play(whole);
        if let Err(fault) = std::panic::catch_unwind(round) {
            tell(&format!("that was {victims:?} with E2E_SEED={seed} E2E_ROUNDS=1"));
            std::panic::resume_unwind(fault);
        }
    }
}

struct Round {
    desk: Desk,
    chance: Chance,
    victims: &'static [Victim],
    /// All that were seen.
    family: Vec<Seen>,
}

/// The thread's part, from its prompt.
fn work(outside: &Path, seen: &Request) -> Reply {
    match seen.outputs() {
        [] => runs("echo one >> made"),
        [_] => call("delegate.question.enqueue", json!({ "prompt": "Which colour?" })),
        [_, asked] => call(
            "delegate.question.poll",
            json!({ "question_id": asked["question_id"], "wait_ms": 30_000 }),
        ),
        [_, _, _] => function(
            "",
            "exec_command",
            &json!({
                "cmd": format!("touch {}", outside.display()),
                "sandbox_permissions": "require_escalated",
                "justification": "it is outside",
            }),
        ),
        [_, _, _, _] => runs("echo two >> made"),
        _ => say("It is painted."),
    }
}

impl Round {
    fn new(seed: u64, victims: &'static [Victim]) -> Self {
        let desk = Desk::registered().expect("there is a client");
        let outside = desk.shelf().join("outside");
        desk.model.play("paint it", move |seen| work(&outside, seen));
        desk.model.play("You were cut off", |seen| match seen.outputs() {
            [] => runs("echo more >> made"),
            _ => say("It is painted after all."),
        });
        desk.model.play("Your work was checked", |seen| match seen.outputs() {
            [] => runs("echo right >> made"),
            _ => say("It is right now."),
        });
        Self { desk, chance: Chance::of(seed.wrapping_mul(7919)), victims, family: Vec::new() }
    }

    fn play(mut self, whole: Duration) -> Duration {
        let verify = "test -s made; echo checked > checked";
        let words = ["--verify", verify, "--max-attempts", "5"];
        let id = in_background(&self.desk, &words, "paint it");
        let times = if self.victims.is_empty() { 0 } else { 1 + self.chance.below(2) };
        let begun = Instant::now();
        let mut killed = 0;
        for _ in 0..times {
            let moment = self.moment(whole);
            self.tend_until(&id, moment);
            killed += self.slay(&id);
            wait_for("the end of what was cut off", || self.settles(&id));
            if status(&self.desk, &id)["status"] == "succeeded" {
                break;
            }
            self.resume(&id);
        }
        // What was killed may fail a turn, and so may what it leaves behind.
        for _ in 0..5 {
            self.tend(&id);
            if status(&self.desk, &id)["status"] == "succeeded" {
                break;
            }
            self.resume(&id);
        }
        let took = begun.elapsed();
        self.check(&id, killed);
        took
    }

    fn moment(&mut self, whole: Duration) -> Instant {
        let part = u32::try_from(self.chance.below(1000)).expect("a small number");
        Instant::now() + whole * part / 1000
    }

    fn resume(&self, id: &str) {
        let resumed = self.desk.orch(&["resume", "--detach", id]);
        let error = resumed["error"]["message"].to_string();
        assert!(resumed["error"].is_null() || error.contains("succeeded"), "{resumed}");
    }

    /// Answers and approves whatever is asked.
    fn tend_once(&self) {
        let inbox = self.desk.orch(&["inbox"]);
        for asked in inbox["questions"].as_array().into_iter().flatten() {
            let id = asked["question_id"].as_str().expect("an id");
            let word = match asked["kind"] == "approval" {
                true => format!("approve {id}"),
                false => format!("answer {id} green"),
            };
            // It may be withdrawn, or answered, meanwhile.
            let line = format!("codex-orch {word}");
            self.desk.run("script", &["-qec", &line, "/dev/null"]);
        }
    }

    fn tend_until(&self, id: &str, moment: Instant) {
        while Instant::now() < moment && !self.is_over(id) {
            self.tend_once();
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn tend(&self, id: &str) {
        let deadline = Instant::now() + LONG;
        while !self.is_over(id) {
            assert!(Instant::now() < deadline, "{}", status(&self.desk, id));
            self.tend_once();
        }
    }

    fn is_over(&self, id: &str) -> bool {
        let status = status(&self.desk, id)["status"].clone();
        ["succeeded", "failed", "interrupted", "cancelled"].map(Value::from).contains(&status)
    }

    /// Whether the run goes on, or is over, with nothing left of what was killed.
    fn settles(&self, id: &str) -> bool {
        self.tend_once();
        self.is_over(id)
    }

    /// Kills the victims, one right after the other, and tells how many there were.
    fn slay(&mut self, id: &str) -> usize {
        let runner = status(&self.desk, id)["host"]["pid"].as_i64().expect("a runner");
        let runner = Seen::at(i32::try_from(runner).expect("a number"));
        let below = runner.map(|runner| below(runner.pid)).unwrap_or_default();
        let family: Vec<Seen> = runner.into_iter().chain(below).collect();
        let of = |victim: &Victim| match victim {
            Runner => runner.into_iter().collect(),
            named => family.iter().copied().filter(|seen| is(*named, seen.pid)).collect::<Vec<_>>(),
        };
        let doomed: Vec<Seen> = self.victims.iter().flat_map(of).collect();
        for seen in &doomed {
            let _ = kill(Pid::from_raw(seen.pid), Signal::SIGKILL);
        }
        self.family.extend(family);
        doomed.len()
    }

    fn check(&self, id: &str, killed: usize) {
        let desk = &self.desk;
        let ended = status(desk, id);
        assert_eq!(ended["status"], "succeeded", "{ended}");
        let events = self.events(&ended);
        let of = |name: &str| {
            let found = events.iter().enumerate().filter(|(_, event)| event["event"] == name);
            found.map(|(at, event)| (at, event["payload"].clone())).collect::<Vec<_>>()
        };
        let turns = of("turn_started");
        let begun = turns.first().expect("a turn").0;
        let mut threads = of("thread_started");
        // Of what is before the first turn, the last counts: Codex keeps no thread without a turn.
        let before = threads.iter().filter(|(at, _)| *at < begun).count();
        threads.drain(..before.saturating_sub(1));
        let threads: BTreeSet<String> =
            threads.iter().map(|(_, it)| it["thread_id"].to_string()).collect();
        assert_eq!(threads.len(), 1, "{threads:?} {events:#?}");
        let completed = of("turn_ended").into_iter().filter(|(_, it)| it["outcome"] == "completed");
        let completed = completed.count();
        assert_eq!(completed, 1, "a turn that ended is not repeated: {events:#?}");
        assert_eq!(ended["questions"]["open"], 0, "{ended}");
        let commit = ended["codex"]["commit"].as_str().unwrap_or_default().to_owned();
        let tree = ended["worktree"]["path"].as_str().expect("a folder");
        let made = desk.run("git", &["show", &format!("{commit}:made")]);
        let lies = fs::read_to_string(Path::new(tree).join("made")).expect("a file");
        assert_eq!(String::from_utf8_lossy(&made.stdout), lies, "it is committed: {ended}");
        wait_for("everybody's end", || {
            at_home(&desk.home()).is_empty() && !self.family.iter().any(Seen::lives)
        });
        let turns = turns.len();
        tell(&format!("{:?}: {killed} killed, {turns} turns, {lies:?}", self.victims));
    }

    fn events(&self, run: &Value) -> Vec<Value> {
        let text = self.desk.text(run["events_path"].as_str().expect("a path"));
        text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    }
}

fn is(victim: Victim, pid: i32) -> bool {
    let of = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let (words, name) = (of("cmdline"), of("comm"));
    match victim {
        Codex => words.split(|byte| *byte == 0).any(|word| word == b"app-server"),
        Guard => name.trim_ascii() == b"orch-guard",
        Shim => name.trim_ascii() == b"orch-shim",
        Runner => false,
    }
}
