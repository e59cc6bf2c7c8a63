//! `logs`: what the stages of a run wrote.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use engine::{Ear, Engine, Snapshot, WaitFor};
use model::{RunId, StageStatus};
use serde::Serialize;
use store::{CommandEntry, Manifest};

use super::{Common, Outcome};
use crate::{
    failure::{Failure, FailureKind},
    naming::{Named, RunArgs},
    render::{
        human, json,
        screen::{Screen, Tone, harmless},
    },
};

/// Print what the stages of a run wrote, byte for byte
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,

    /// Only of that stage, by its id or its number
    #[arg(long, short, value_name = "STAGE")]
    stage: Option<String>,

    /// Go on until the run has ended
    #[arg(long, short)]
    follow: bool,

    /// Only the last lines of each stage
    #[arg(long, short = 'n', value_name = "LINES")]
    tail: Option<usize>,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch logs                      all of the latest run
  codex-orch logs 4f9a2c1b -s test     of one stage
  codex-orch logs 4f9a2c1b -n 20 -f    the last lines, and what comes";

/// What `logs` prints as JSON: where the output is, and not the output itself, which need not be
/// text.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    run_id: RunId,
    /// The repository; the paths are relative to it.
    repo_root: String,
    logs: Vec<Entry>,
}

/// The output of one stage.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Entry {
    stage: String,
    log_path: String,
    /// None when it was deleted.
    bytes: Option<u64>,
    status: StageStatus,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let (mut engine, run) = match args.run.find(&here)? {
        Named::Ours(engine, run) => (*engine, run),
        Named::Foreign(manifest, path) => {
            let root = path.ancestors().nth(5).unwrap_or(Path::new("/")).to_owned();
            let stages = chosen(&manifest.commands, args.stage.as_deref())?;
            if common.json() {
                return json::write(&document(&manifest.run_id, &root, &stages));
            }
            let mut printer = Printer::new(root, args.tail, stages.len() > 1);
            printer.print(&stages)?;
            tell_denied(&manifest, &stages);
            tell_servers(None, &manifest, &stages);
            return Ok(());
        }
    };
    if common.json() {
        // Whoever wants to follow wants to know how long they are in the end.
        let runs = [run.clone()];
        if args.follow {
            engine.wait(&runs, WaitFor::All, None)?;
        }
        let snapshot = engine.snapshot(&run)?;
        let stages = chosen(&snapshot.manifest.commands, args.stage.as_deref())?;
        return json::write(&document(&run, snapshot.paths.root(), &stages));
    }
    let snapshot = engine.snapshot(&run)?;
    match args.follow {
        true => follow(&mut engine, &run, snapshot, args),
        false => {
            let stages = chosen(&snapshot.manifest.commands, args.stage.as_deref())?;
            let root = snapshot.paths.root().to_owned();
            Printer::new(root, args.tail, stages.len() > 1).print(&stages)?;
            tell_denied(&snapshot.manifest, &stages);
            tell_servers(Some(&engine), &snapshot.manifest, &stages);
            Ok(())
        }
    }
}

/// Says of stages that reached for what they may not have, which their output may not tell.
fn tell_denied(manifest: &Manifest, stages: &[CommandEntry]) {
    let denied = |stage: &CommandEntry| manifest.caps.as_ref()?.denied.get(&stage.id).copied();
    for stage in stages {
        let count = denied(stage).filter(|count| *count > 0);
        let Some(count) = count.map(|count| usize::try_from(count).unwrap_or(usize::MAX)) else {
            continue;
        };
        let (id, times) = (harmless(&stage.id), human::count(count, "time"));
        let text = format!("`{id}` was denied something, {times}: `cap_denied` in events.jsonl");
        Screen::error().line(&text);
    }
}

/// Says which MCP servers of theirs did not start, and what these said last. That is nowhere but in the
/// state folder, and only a person is to read it.
fn tell_servers(engine: Option<&Engine>, manifest: &Manifest, stages: &[CommandEntry]) {
    let shown = |id: &str| stages.iter().any(|stage| stage.id == id);
    for one in manifest.caps.iter().flat_map(|caps| &caps.not_started) {
        if !shown(&one.stage_id.to_string()) {
            continue;
        }
        let (id, server) = (&one.stage_id, &one.server);
        let mut text = format!("`{id}`: the MCP server `{server}` did not start: {}", one.reason);
        if let Some(engine) = engine {
            let run = &manifest.run_id;
            if let Some(line) = engine.server_said_last(run, server) {
                text.push_str(&format!("; it said last: {line}"));
            }
            text.push_str(&format!("; {}", engine.server_log(run, server).display()));
        }
        Screen::error().line(&harmless(&text));
    }
}

fn document(run: &RunId, root: &Path, stages: &[CommandEntry]) -> Document {
    let entry = |stage: &CommandEntry| {
        let log_path = stage.log_path.clone()?;
        let bytes = std::fs::metadata(root.join(&log_path)).map(|data| data.len()).ok();
        Some(Entry { stage: stage.id.clone(), log_path, bytes, status: stage.status })
    };
    Document {
        run_id: run.clone(),
        repo_root: root.display().to_string(),
        logs: stages.iter().filter_map(entry).collect(),
    }
}

/// Prints what is written until the run has ended.
fn follow(engine: &mut Engine, run: &RunId, mut snapshot: Snapshot, args: &Args) -> Outcome {
    let root = snapshot.paths.root().to_owned();
    let several = snapshot.manifest.commands.len() > 1 && args.stage.is_none();
    let mut printer = Printer::new(root, args.tail, several);
    loop {
        let over = !snapshot.run.status().wants_runner();
        let stages = chosen(&snapshot.manifest.commands, args.stage.as_deref())?;
        printer.print(&stages)?;
        if over {
            tell_denied(&snapshot.manifest, &stages);
            tell_servers(Some(engine), &snapshot.manifest, &stages);
            return Ok(());
        }
        let mut ear = Ear::new();
        ear.listen_to(&engine.bell(run));
        // Output rings no bell; the log itself is watched.
        for stage in &stages {
            if let Some(log) = &stage.log_path
                && stage.status == StageStatus::Running
            {
                ear.listen_to_file(&snapshot.paths.root().join(log));
            }
        }
        // What came between the last look and now.
        printer.print(&stages)?;
        snapshot = engine.snapshot(run)?;
        if snapshot.run.status().wants_runner() {
            ear.wait(None);
            snapshot = engine.snapshot(run)?;
        }
    }
}

/// The stages that have output, or the one that was asked for.
fn chosen(all: &[CommandEntry], stage: Option<&str>) -> Result<Vec<CommandEntry>, Failure> {
    let with_output = all.iter().filter(|entry| entry.kind != "pipeline");
    let Some(wanted) = stage else { return Ok(with_output.cloned().collect()) };
    let found = all.iter().find(|entry| entry.id == wanted || entry.index.to_string() == wanted);
    match found {
        Some(entry) => Ok(vec![entry.clone()]),
        None => {
            let known: Vec<&str> = with_output.map(|entry| entry.id.as_str()).collect();
            let near = known
                .iter()
                .min_by_key(|id| strsim::damerau_levenshtein(id, wanted))
                .map(|id| format!("did you mean `{id}`?"));
            Err(Failure::not_found(format!("the run has no stage `{wanted}`")).hint_if(near))
        }
    }
}

/// Prints logs from where it left off.
struct Printer {
    root: PathBuf,
    tail: Option<usize>,
    headed: bool,
    /// How far each log was printed.
    printed: BTreeMap<String, u64>,
    last: Option<String>,
}

impl Printer {
    fn new(root: PathBuf, tail: Option<usize>, headed: bool) -> Self {
        Self { root, tail, headed, printed: BTreeMap::new(), last: None }
    }

    fn print(&mut self, stages: &[CommandEntry]) -> Outcome {
        for stage in stages {
            let Some(log) = &stage.log_path else { continue };
            match self.print_log(&stage.id, log) {
                Ok(()) => {}
                // Whoever read it has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                // It is about to be made.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && stage.status == StageStatus::Running => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if self.printed.insert(log.clone(), 0).is_none() {
                        let text = format!("the output of `{}` was deleted: {log}", stage.id);
                        Screen::error().line(&text);
                    }
                }
                Err(error) => {
                    let text = format!("{log}: {error}");
                    return Err(Failure::new(FailureKind::Internal, text));
                }
            }
        }
        Ok(())
    }

    fn print_log(&mut self, stage: &str, log: &str) -> io::Result<()> {
        let mut file = File::open(self.root.join(log))?;
        let length = file.metadata()?.len();
        let from = match self.printed.get(log) {
            Some(&printed) => printed,
            None => match self.tail {
                Some(lines) => tail_start(&mut file, length, lines)?,
                None => 0,
            },
        };
        if length <= from {
            self.printed.entry(log.to_owned()).or_insert(from);
            return Ok(());
        }
        let mut out = io::stdout().lock();
        if self.headed && self.last.as_deref() != Some(log) {
            let screen = Screen::out();
            let gap = if self.last.is_some() { "\n" } else { "" };
            let head = screen.paint(Tone::Strong, &format!("==> {stage} <=="));
            writeln!(out, "{gap}{head}")?;
        }
        self.last = Some(log.to_owned());
        file.seek(SeekFrom::Start(from))?;
        let copied = io::copy(&mut file.take(length - from), &mut out)?;
        out.flush()?;
        self.printed.insert(log.to_owned(), from + copied);
        Ok(())
    }
}

/// Where the last lines begin.
fn tail_start(file: &mut File, length: u64, lines: usize) -> io::Result<u64> {
    const PIECE: u64 = 64 * 1024;
    let mut wanted = lines;
    let mut end = length;
    let mut first = true;
    while end > 0 {
        let begin = end.saturating_sub(PIECE);
        let mut piece = vec![0; usize::try_from(end - begin).unwrap_or(0)];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut piece)?;
        for (at, byte) in piece.iter().enumerate().rev() {
            let last_byte = first && at + 1 == piece.len();
            if *byte == b'\n' && !last_byte {
                wanted = wanted.saturating_sub(1);
            }
            if wanted == 0 {
                return Ok(begin + at as u64 + 1);
            }
        }
        first = false;
        end = begin;
    }
    Ok(if lines == 0 { length } else { 0 })
}
