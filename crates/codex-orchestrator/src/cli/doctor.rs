//! `doctor`: tries what runs need, and says what to do about what is off.

mod caps;
mod delegation;
mod notices;

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::Path,
    process::{Command, Stdio},
};

use engine::Engine;
use serde::Serialize;

pub(super) use self::caps::unconfined;
use super::{Common, Outcome};
use crate::{
    failure::{Failure, FailureKind},
    render::{
        json,
        screen::{Screen, Tone},
    },
    surroundings::Surroundings,
};

/// Try everything that runs and delegating need here, and say what to do about what is off
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only look; do not try the delegation server and the ways to hold and confine processes
    #[arg(long)]
    pub(crate) quick: bool,
}

/// What `doctor` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// Nothing is in the way of a run, or of delegating one.
    ok: bool,
    checks: Vec<Check>,
}

/// One thing that was tried.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Check {
    what: String,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to do about it.
    remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it should be.
    Good,
    /// It works, with less than it could have.
    Limited,
    /// Runs, or delegating them, do not work.
    Bad,
}

impl Check {
    fn good(what: &str, found: impl Into<String>) -> Self {
        Self { what: what.to_owned(), verdict: Verdict::Good, found: found.into(), remedy: None }
    }

    fn off(what: &str, verdict: Verdict, found: impl Into<String>, remedy: &str) -> Self {
        let remedy = Some(remedy.to_owned());
        Self { what: what.to_owned(), verdict, found: found.into(), remedy }
    }
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let mut checks = vec![
        Check::good("program", format!("codex-orchestrator {}", env!("CARGO_PKG_VERSION"))),
        repository(&here),
        git(),
        config(&here),
        state_folder(&here.state),
        records(&here.place.root),
        journal(&here),
        bells(),
    ];
    checks.extend(notices::checks(&here));
    checks.extend(delegation::checks(&here, args.quick));
    if !args.quick {
        checks.extend(rungs());
        checks.extend(caps::checks());
    }
    let ok = checks.iter().all(|check| check.verdict != Verdict::Bad);
    if common.json() {
        json::write(&Document { ok, checks })?;
    } else {
        show(Screen::out(), &checks);
    }
    if ok { Ok(()) } else { Err(Failure::said(FailureKind::RunFailed)) }
}

fn show(screen: Screen, checks: &[Check]) {
    for check in checks {
        let (mark, tone) = match check.verdict {
            Verdict::Good => ("✓", Tone::Good),
            Verdict::Limited => ("!", Tone::Warning),
            Verdict::Bad => ("✗", Tone::Bad),
        };
        screen.line(&format!("{} {:<16} {}", screen.paint(tone, mark), check.what, check.found));
        if let Some(remedy) = &check.remedy {
            screen.line(&screen.paint(Tone::Faint, &format!("  {:<16} {remedy}", "")));
        }
    }
}

fn repository(here: &Surroundings) -> Check {
    let root = here.place.root.display();
    match &here.place.git {
        Some(_) => Check::good("repository", root.to_string()),
        None => Check::off(
            "repository",
            Verdict::Limited,
            format!("{root} is not under git"),
            "runs are recorded without a commit; `git init` makes it a repository",
        ),
    }
}

fn git() -> Check {
    let asked =
        Command::new("git").arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    match asked {
        Ok(output) if output.status.success() => {
            Check::good("git", String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => Check::off(
            "git",
            Verdict::Limited,
            "not found",
            "without it a run does not know whether there is uncommitted work; install git",
        ),
    }
}

fn config(here: &Surroundings) -> Check {
    match here.config(&[]) {
        Ok(loaded) if loaded.files.is_empty() => {
            Check::good("config", "none; the built-in settings hold")
        }
        Ok(loaded) => Check::good("config", loaded.files.join(", ")),
        Err(failure) => Check::off("config", Verdict::Bad, failure.to_string(), "mend that file"),
    }
}

/// Whether a file can be made in a folder, which is made first, for nobody else to look into.
fn can_write(folder: &Path) -> Result<(), std::io::Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let trial = folder.join(format!(".doctor-{}", std::process::id()));
    let written = fs::write(&trial, "x");
    let removed = fs::remove_file(&trial);
    written.and(removed)
}

fn state_folder(state: &Path) -> Check {
    let shown = state.display();
    match can_write(state) {
        Ok(()) => Check::good("state folder", shown.to_string()),
        Err(error) => Check::off(
            "state folder",
            Verdict::Bad,
            format!("{shown}: {error}"),
            "make it writable, or set CODEX_ORCHESTRATOR_HOME to a folder of yours",
        ),
    }
}

fn records(root: &Path) -> Check {
    let runs = root.join(".runs");
    let writable = match runs.exists() {
        true => can_write(&runs),
        // It is not made just for a look.
        false => rustix::fs::access(root, rustix::fs::Access::WRITE_OK).map_err(Into::into),
    };
    match writable {
        Ok(()) => Check::good("records", runs.display().to_string()),
        Err(error) => Check::off(
            "records",
            Verdict::Bad,
            format!("{}: {error}", runs.display()),
            "runs leave their record in the repository: make it writable",
        ),
    }
}

fn journal(here: &Surroundings) -> Check {
    match here.engine(engine::Access::Look) {
        Ok(engine) => match mode(&engine) {
            Some(mode) if mode == "wal" => Check::good("journal", "readable, in WAL mode"),
            Some(mode) => Check::off(
                "journal",
                Verdict::Limited,
                format!("in {mode} mode"),
                "its file system has no shared memory for WAL: writers wait for each other longer",
            ),
            None => Check::off("journal", Verdict::Bad, "not readable", "look at its permissions"),
        },
        Err(engine::EngineError::Home(store::HomeError::Unknown(_))) => {
            Check::good("journal", "none yet: nothing has been run here")
        }
        Err(error) => {
            let failure = Failure::from(error);
            let remedy = failure.next_step().unwrap_or("look at the state folder").to_owned();
            Check::off("journal", Verdict::Bad, failure.to_string(), &remedy)
        }
    }
}

fn mode(engine: &Engine) -> Option<String> {
    engine.journal().mode().ok()
}

fn bells() -> Check {
    let mut ear = engine::Ear::new();
    // Any folder will do, and the state folder has a check of its own.
    let bell = std::env::temp_dir().join(format!(".doctor-bell-{}", std::process::id()));
    ear.listen_to(&bell);
    let _ = fs::remove_file(&bell);
    match ear.hears() {
        true => Check::good("wake-ups", "by inotify"),
        false => Check::off(
            "wake-ups",
            Verdict::Limited,
            "no inotify instance can be had",
            "whoever waits looks every 20 ms instead; raise fs.inotify.max_user_instances",
        ),
    }
}

/// The ways to hold a process tree: the best that works is taken by itself.
fn rungs() -> Vec<Check> {
    let trials = supervise::probe();
    let any = trials.iter().any(|trial| trial.automatic && trial.result.is_ok());
    let mut checks: Vec<Check> = trials
        .iter()
        .map(|trial| match &trial.result {
            Ok(speed) => {
                let millis = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
                let how = match trial.automatic {
                    true => "works",
                    false => "works, and is used only when it is asked for",
                };
                let found = format!(
                    "{how}: launch {:.1} ms, freeze {:.1} ms, kill {:.1} ms",
                    millis(speed.launched),
                    millis(speed.frozen),
                    millis(speed.killed),
                );
                Check::good(&trial.rung.to_string(), found)
            }
            Err(reason) => Check {
                what: trial.rung.to_string(),
                verdict: Verdict::Limited,
                found: format!("not here: {reason}"),
                remedy: None,
            },
        })
        .collect();
    if !any {
        checks.push(Check::off(
            "supervision",
            Verdict::Bad,
            "no way to hold a process tree works here",
            "processes cannot be supervised without /proc; is it mounted?",
        ));
    }
    checks
}
