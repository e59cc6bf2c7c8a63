//! `setup`: registers the delegation server with Codex, and takes that back.

mod unconfined;

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufRead, IsTerminal, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{Common, Outcome};
use crate::{
    failure::{Failure, FailureKind},
    registration::{
        USUAL_NAME,
        enter::{self, Change, NoChange},
        file::{self, Found, Unusable},
        memory::{Memories, Memory},
        program, undo,
        written::{Fault, Written},
    },
    render::{
        diff, json,
        screen::{Screen, Tone, quoted},
    },
    surroundings::Surroundings,
};

/// Register the delegation server with Codex, off until a session asks for it
///
/// Shows what it would change in Codex's config; `--yes` does it, and `--undo` takes it back.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Do it
    #[arg(long, short)]
    yes: bool,

    /// Take back what setup wrote
    #[arg(long, conflicts_with = "repo_only")]
    undo: bool,

    /// The name of the server in Codex's config
    /// [default: `delegation`, or the name under which it is registered]
    #[arg(long, value_name = "NAME", value_parser = server_name, conflicts_with = "repo_only")]
    name: Option<String>,

    /// Only say in your own `orchestrator.toml` what becomes of delegated runs that nothing can confine
    /// on this machine
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["undo", "name", "repo_only"])]
    on_missing: Option<unconfined::OnMissing>,

    /// Only begin a config for this repository, `.codex/orchestrator.toml` (the same as `init`)
    #[arg(long)]
    repo_only: bool,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch setup                what it would change
  codex-orch setup --yes
  codex-orch setup --undo --yes
  codex-orch doctor               whether it works";

/// Begin a config for this repository, `.codex/orchestrator.toml`
///
/// Shows it; `--yes` writes it. A config that is there already stays as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// Do it
    #[arg(long, short)]
    yes: bool,
}

/// What `setup` and `init` print as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// The file that it is about.
    file: String,
    /// The name of the server in it; null where it is about no server.
    name: Option<String>,
    /// Something was changed; otherwise it would be, where there is a change.
    written: bool,
    /// The lines that go and come, marked with `-` and `+`; null where everything is as it should
    /// be already.
    change: Option<String>,
    /// What is good to know about it.
    notes: Vec<String>,
    /// What to type next.
    next: Option<String>,
}

/// Names as Codex takes them.
fn server_name(text: &str) -> Result<String, String> {
    let right = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !text.is_empty() && text.len() <= 64 && text.chars().all(right) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is not a name of a server: it has letters, digits, `-` and `_`, such as `delegation`",
            quoted(text)
        )),
    }
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    if args.repo_only {
        return init(&InitArgs { yes: args.yes }, common);
    }
    if common.names_a_repo() {
        return Err(Failure::usage("`--repo` is only for `setup --repo-only`")
            .hint("the server is registered once for all repositories, and belongs to that of the session"));
    }
    if let Some(wanted) = args.on_missing {
        return unconfined::run(wanted, args.yes, common);
    }
    let here = common.here()?;
    let config = config(&here)?;
    // Nobody else's setup may come between reading and writing.
    let _lock = args.yes.then(|| lock(&here.state)).transpose()?;
    let (found, plan) = plan(args, &here, &config)?;
    let mut told = Told::new(common, &found.path);
    told.document.notes.extend(if args.undo { None } else { unconfined::note(&here) });
    let step = match plan {
        Plan::Change(step) => step,
        Plan::Nothing { name, notes } => return told.nothing(name, notes, args.undo),
    };
    told.show(&found, &step);
    if !(args.yes || told.asks(&step)?) {
        return told.not_done(&step);
    }
    // What was asked on a terminal was not locked meanwhile; a file that was changed is refused.
    let _lock = (!args.yes).then(|| lock(&here.state)).transpose()?;
    carry_out(&here.state, &found, &step)?;
    told.done(&step)
}

/// Codex's config.
pub(crate) fn config(here: &Surroundings) -> Result<PathBuf, Failure> {
    let ours = here.user_file.as_ref().ok_or_else(|| {
        Failure::usage("there is no home folder with Codex's config").hint("set HOME or CODEX_HOME")
    })?;
    let path = ours.with_file_name("config.toml");
    std::path::absolute(&path).map_err(|error| Failure::usage(error.to_string()))
}

/// The path to register this program by.
pub(crate) fn this_program() -> Result<program::Program, Failure> {
    let running = env::current_exe().and_then(|path| path.canonicalize()).map_err(|error| {
        Failure::new(FailureKind::Internal, format!("this program's own file is gone: {error}"))
            .hint("it may have been replaced just now: try again")
    })?;
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    Ok(program::stable(&running, &folders, &env::temp_dir()))
}

/// A change that is not made yet.
struct Step {
    change: Change,
    undo: bool,
    /// The file was made by setup, and nothing else is in it.
    removes_file: bool,
}

/// What there is to do about an entry.
enum Plan {
    Nothing { name: String, notes: Vec<String> },
    Change(Box<Step>),
}

fn plan(args: &Args, here: &Surroundings, config: &Path) -> Result<(Found, Plan), Failure> {
    let found = file::read(config).map_err(unreadable)?;
    let text = found.text.clone().unwrap_or_default();
    let written = Written::read(&config.display().to_string(), text).map_err(broken)?;
    let memories = Memories::read(&here.state).map_err(|error| forgotten(&here.state, &error))?;
    let name = enter::chosen(&written, args.name.as_deref()).map_err(no_change)?;
    let known = memories.of(config, &name);
    let step = match args.undo {
        true => undo::take_back(&written, &name, known).map_err(no_change)?.map(|change| {
            let bare = change.text.trim_start_matches('\u{feff}').trim().is_empty();
            let removes_file = bare && change.memory.made_file;
            Step { change, undo: true, removes_file }
        }),
        false => {
            let program = this_program()?;
            let Some(command) = program.path.to_str() else {
                let text = format!("the path {} is not text", program.path.display());
                return Err(Failure::usage(text).hint("install the program somewhere else"));
            };
            let new = Memory {
                config: config.to_owned(),
                made_file: found.text.is_none(),
                made_folder: !found.has_folder(),
                ..Memory::default()
            };
            let change = enter::set_up(&written, &name, command, new, known);
            let mut change = change.map_err(no_change)?;
            if change.text != written.text() {
                change.notes.extend(program.warning);
            }
            Some(Step { change, undo: false, removes_file: false })
        }
    };
    let plan = match step {
        None => Plan::Nothing { name, notes: Vec::new() },
        Some(step) if !step.removes_file && step.change.text == written.text() => {
            Plan::Nothing { name, notes: step.change.notes }
        }
        Some(step) => {
            found.may_be_replaced().map_err(|error| unusable(FailureKind::Conflict, error))?;
            Plan::Change(Box::new(step))
        }
    };
    Ok((found, plan))
}

/// Writes what was shown, and what is to be remembered of it.
fn carry_out(state: &Path, found: &Found, step: &Step) -> Outcome {
    let internal = |error| unusable(FailureKind::Internal, error);
    let mut memories = Memories::read(state).map_err(|error| forgotten(state, &error))?;
    let Change { name, text, memory, .. } = &step.change;
    match step.undo {
        false => {
            // Remembered first: what was written and is not remembered could not be taken back.
            memories.keep(memory.clone());
            memories.write(state).map_err(|error| forgotten(state, &error))?;
            found.replace(text).map_err(internal)
        }
        true => {
            match step.removes_file {
                true => found.remove(memory.made_folder).map_err(internal)?,
                false => found.replace(text).map_err(internal)?,
            }
            memories.forget(&found.path, name);
            memories.write(state).map_err(|error| forgotten(state, &error))
        }
    }
}

/// One setup after the other.
fn lock(state: &Path) -> Result<File, Failure> {
    let locked = || {
        DirBuilder::new().recursive(true).mode(0o700).create(state)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(state.join("registrations.lock"))?;
        file.lock()?;
        Ok(file)
    };
    locked().map_err(|error| forgotten(state, &error))
}

fn forgotten(state: &Path, error: &io::Error) -> Failure {
    let file = state.join("registrations.json");
    Failure::new(FailureKind::Internal, format!("{}: {error}", file.display()))
        .hint("setup remembers there what it changes; without the file it forgets that")
}

fn unreadable(error: Unusable) -> Failure {
    unusable(FailureKind::Usage, error)
}

fn unusable(kind: FailureKind, error: Unusable) -> Failure {
    let hint = error.hint.clone();
    let kind = if error.moved_on { FailureKind::Conflict } else { kind };
    Failure::new(kind, error).hint_if(hint)
}

fn broken(fault: Fault) -> Failure {
    let hint = fault.hint.clone();
    Failure::usage(fault).hint_if(hint)
}

fn no_change(error: NoChange) -> Failure {
    match error {
        NoChange::Fault(fault) => broken(fault),
        NoChange::Taken(fault) => Failure::new(FailureKind::Conflict, fault)
            .hint("choose another name, as in `codex-orch setup --name delegation2`"),
        NoChange::Several(names) => {
            let text = format!("this program is registered as {}", names.join(" and as "));
            let hint = format!("say which one is meant, as in `--name {}`", names[0]);
            Failure::new(FailureKind::Conflict, text).hint(hint)
        }
    }
}

/// What is told about a change, in words or as a document.
struct Told {
    json: bool,
    screen: Screen,
    document: Document,
}

impl Told {
    fn new(common: &Common, file: &Path) -> Self {
        let file = file.display().to_string();
        let document =
            Document { file, name: None, written: false, change: None, notes: vec![], next: None };
        Self { json: common.json(), screen: Screen::out(), document }
    }

    fn end(self, line: &str, next: Option<String>) -> Outcome {
        if self.json {
            return json::write(&Document { next, ..self.document });
        }
        self.screen.line(&self.screen.paint(Tone::Strong, line));
        if let Some(next) = next {
            self.screen.line(&format!("  {next}"));
        }
        Ok(())
    }

    fn nothing(mut self, name: String, notes: Vec<String>, undo: bool) -> Outcome {
        let file = self.document.file.clone();
        self.document.name = Some(name);
        self.document.notes.splice(0..0, notes);
        self.tell_notes();
        match undo {
            true => self.end(&format!("nothing to take back: {file} has nothing of setup's"), None),
            false => {
                self.end(&format!("already set up in {file}"), Some("codex-orch doctor".to_owned()))
            }
        }
    }

    fn show(&mut self, found: &Found, step: &Step) {
        let before = found.text.as_deref().unwrap_or_default();
        let lines = diff::lines(before, &step.change.text);
        self.document.name = Some(step.change.name.clone());
        self.document.notes.splice(0..0, step.change.notes.iter().cloned());
        if step.removes_file {
            let note = "the file was made by setup, and goes: nothing else is in it";
            self.document.notes.push(note.to_owned());
        } else if found.has_other_names() {
            let note = "the file has another name (a hard link), under which it stays as it is";
            self.document.notes.push(note.to_owned());
        }
        self.tell(&lines);
    }

    fn tell(&mut self, lines: &[String]) {
        self.document.change = Some(lines.join("\n"));
        if self.json {
            return;
        }
        self.screen.line(&self.document.file);
        diff::show(self.screen, lines);
        self.tell_notes();
    }

    fn tell_notes(&self) {
        if self.json {
            return;
        }
        for note in &self.document.notes {
            self.screen.line(&format!("{} {note}", self.screen.paint(Tone::Warning, "note:")));
        }
    }

    /// Asks whoever sits at the terminal, if somebody does.
    fn asks(&self, step: &Step) -> Result<bool, Failure> {
        let what = if step.undo { "take it back?" } else { "write it?" };
        asks(self.json, what)
    }

    fn not_done(self, step: &Step) -> Outcome {
        let undo = if step.undo { " --undo" } else { "" };
        let name = match step.change.name.as_str() {
            USUAL_NAME => String::new(),
            name => format!(" --name {name}"),
        };
        let line = "nothing was changed yet; this does it:";
        self.end(line, Some(format!("codex-orch setup{undo}{name} --yes")))
    }

    fn done(mut self, step: &Step) -> Outcome {
        self.document.written = true;
        let name = &step.change.name;
        match step.undo {
            true => self.end("taken back", None),
            false => {
                let next = format!("codex exec -c 'mcp_servers.{name}.enabled=true' \"...\"");
                self.end("done; off until a session asks for it:", Some(next))
            }
        }
    }
}

fn asks(json: bool, what: &str) -> Result<bool, Failure> {
    let screen = Screen::error();
    if json || !screen.live || !io::stdin().is_terminal() {
        return Ok(false);
    }
    screen.write(&format!("{what} [y/N] "));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::new(FailureKind::Internal, error))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// What a config begins with: everything that can be set, and nothing that is.
const STARTER: &str = r#"# What codex-orch runs in this repository. `codex-orch config` shows every setting in effect,
# `codex-orch plan` what would run, and `codex-orch config check` whether this file is right.

[run]
# default_pipeline = "diagnostics"  # what `start` runs when no pipeline is named
# max_parallel = 4                  # stages at one time, where their needs allow it
# grace = "10s"                     # from asking a process to end to ending it

[supervision]
# rung = "auto"                     # what holds processes: `codex-orch doctor` tries what works

[prune]
# older_than = "30d"                # how old a run is before `prune` takes it

# A pipeline; its stages run one after the other. `codex-orch start checks` runs it.
# [pipelines.checks]
# title = "Checks"
# stages = [
#   { id = "build", command = "make" },
#   { id = "test", command = "make test", timeout = "20m" },
# ]
"#;

pub(crate) fn init(args: &InitArgs, common: &Common) -> Outcome {
    let here = common.here()?;
    let path = here.place.root.join(repo::config::REPO_FILE);
    let mut told = Told::new(common, &path);
    if fs::symlink_metadata(&path).is_ok() {
        let line = format!("{} is there already, and stays as it is", path.display());
        return told.end(&line, Some("codex-orch config check".to_owned()));
    }
    told.tell(&diff::lines("", STARTER));
    if !(args.yes || asks(told.json, "write it?")?) {
        let next = "codex-orch init --yes".to_owned();
        return told.end("nothing was written yet; this does it:", Some(next));
    }
    write_new(&path).map_err(|error| {
        let text = format!("{} cannot be written: {error}", path.display());
        Failure::new(FailureKind::Internal, text)
    })?;
    told.document.written = true;
    told.end("written; nothing in it holds before you make it:", Some("codex-orch plan".to_owned()))
}

/// Writes the file, unless somebody was faster.
fn write_new(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(STARTER.as_bytes())
}
