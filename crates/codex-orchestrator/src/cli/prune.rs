//! `prune`: removes runs that are over.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use engine::{Engine, EngineError, Idle, StoredCaches};
use model::{RunStatus, TaskId, Timestamp};
use serde::Serialize;
use store::{Filter, RunRow, Sort};

use worktree::{Kept, Repo, What};

use super::{Common, Outcome};
use crate::{
    failure::{Failure, FailureKind},
    look::own_tree::failure,
    render::{
        human, json,
        screen::{Screen, Tone},
    },
};

/// Remove the records and the output of runs that are over
///
/// Says what it would remove; `--yes` does it. What is not finished, and may be resumed, stays; and so
/// does a run whose work tree has what nothing else has: `apply`, merge or `discard` it first.
/// What confined stages have downloaded stays as well, unless its repository is not there any more.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only runs to which nothing has happened for so long: `7d`, `12h`, `0s`
    /// [default: the setting prune.older_than]
    #[arg(long, value_name = "T", value_parser = model::parse_duration)]
    older_than: Option<Duration>,

    /// Only runs in that state: succeeded, failed or cancelled; may be repeated
    #[arg(long, value_name = "STATUS")]
    status: Vec<RunStatus>,

    /// Only runs of that task
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,

    /// Of every repository that has runs
    #[arg(long)]
    all_repos: bool,

    /// Also what confined stages have downloaded; what one has that is at work stays
    #[arg(long)]
    caches: bool,

    /// Do it
    #[arg(long, short)]
    yes: bool,
}

const EXAMPLES: &str = "\
Examples:
  codex-orch prune                                  what 30 days of rest would remove
  codex-orch prune --older-than 7d --yes
  codex-orch prune --caches --yes
  codex-orch prune --status failed --task 1203 --older-than 0s --yes";

/// What `prune` prints as JSON.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// They are gone; otherwise they would be.
    removed: bool,
    /// Nothing has happened to them for so long.
    older_than: String,
    runs: Vec<Entry>,
    /// Runs that stay, because nothing else has their work.
    held: Vec<HeldEntry>,
    /// Folders of what confined stages have downloaded.
    caches: Vec<CachesEntry>,
    /// What of all caches only somebody left who was killed; it goes with any of this.
    leftover_bytes: u64,
    /// What all of it takes on the disk, with work trees.
    bytes: u64,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
struct CachesEntry {
    /// The repository; null where nobody knows any more.
    repo_root: Option<String>,
    /// It is not there any more. Otherwise its caches were asked for.
    gone: bool,
    bytes: u64,
    /// How many stages at work have some, which stay.
    in_use: u32,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
struct HeldEntry {
    run_id: String,
    repo_root: String,
    /// The work tree or branch that holds it.
    what: String,
    why: String,
    bytes: u64,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Entry {
    run_id: model::RunId,
    task_id: TaskId,
    status: RunStatus,
    repo_root: String,
    /// Its work tree, branch and snapshot, which go with it.
    trees: Vec<String>,
    bytes: u64,
}

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let unfinished = args.status.iter().find(|status| !status.ended());
    if let Some(status) = unfinished {
        return Err(Failure::usage(format!("runs that are {status} are not finished, and stay"))
            .hint("`codex-orch cancel` ends a run"));
    }
    let here = common.here()?;
    let older_than = match args.older_than {
        Some(older_than) => older_than,
        None => here.config(&[])?.settings.prune.older_than,
    };
    let engines = here.engines(args.all_repos)?;
    let since = engine::now().as_millis();
    let older = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
    let filter = Filter {
        task: args.task.clone(),
        statuses: match args.status.as_slice() {
            [] => vec![RunStatus::Succeeded, RunStatus::Failed, RunStatus::Cancelled],
            some => some.to_vec(),
        },
        idle_since: Some(Timestamp::from_millis(since.saturating_sub(older))),
        sort: Sort::OldestFirst,
        ..Filter::default()
    };
    let roots: Vec<PathBuf> = engines.iter().map(|engine| engine.root().to_owned()).collect();
    let (mut entries, mut held) = (Vec::new(), Vec::new());
    for mut engine in engines {
        let mut rows = engine.journal().list(&filter).map_err(EngineError::from)?;
        let (repo, kept) = trees(&engine)?;
        let of = |row: &RunRow| {
            let run = row.run_id.as_str().to_owned();
            kept.iter().filter(move |kept| kept.run == run)
        };
        rows.retain(|row| match holds(of(row)) {
            None => true,
            Some(kept) => {
                held.push(held_entry(&engine, kept));
                false
            }
        });
        for row in &rows {
            entries.push(entry(&engine, row, of(row)));
        }
        if let Some(repo) = repo.as_ref().filter(|_| args.yes) {
            take_away(&engine, repo, &rows)?;
        }
        if args.yes {
            engine.forget(&rows).map_err(|error| Failure::new(FailureKind::Internal, error))?;
        }
    }
    let (caches, leftover_bytes) = caches(args, &here.state, &roots)?;
    let of_runs: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let of_caches: u64 = caches.iter().map(|entry| entry.bytes).sum();
    let document = Document {
        removed: args.yes,
        older_than: model::show_duration(older_than),
        runs: entries,
        held,
        caches,
        leftover_bytes,
        bytes: of_runs + of_caches + leftover_bytes,
    };
    tell(document, common)
}

/// The caches that can go, of the gone and of `roots` if they are asked for, and what of all others
/// nobody needs. With `--yes` they do.
fn caches(
    args: &Args,
    state: &Path,
    roots: &[PathBuf],
) -> Result<(Vec<CachesEntry>, u64), Failure> {
    let (mut entries, mut leftovers) = (Vec::new(), 0);
    // Who chooses among the runs means nothing else.
    let chooses = args.task.is_some() || !args.status.is_empty();
    if chooses && !args.caches {
        return Ok((entries, leftovers));
    }
    for stored in StoredCaches::all(state)? {
        let gone = stored.is_gone();
        let asked =
            args.caches && stored.root().is_some_and(|root| roots.iter().any(|one| one == root));
        if !asked && (!gone || chooses) {
            leftovers += stored.leftovers(args.yes)?;
            continue;
        }
        let Idle { bytes, in_use } = if args.yes { stored.remove()? } else { stored.idle() };
        let repo_root = stored.root().map(|root| root.display().to_string());
        entries.push(CachesEntry { repo_root, gone, bytes, in_use });
    }
    Ok((entries, leftovers))
}

/// What is kept of runs in git, where there is any.
fn trees(engine: &Engine) -> Result<(Option<Repo>, Vec<Kept>), Failure> {
    let folder = engine.own_trees();
    if !folder.exists() {
        return Ok((None, Vec::new()));
    }
    // Without git there is nothing of it to be kept any more.
    let Ok(repo) = Repo::at(engine.root()) else { return Ok((None, Vec::new())) };
    let kept = worktree::list(&repo, &folder).map_err(failure)?;
    Ok((Some(repo), kept))
}

/// What has work of a run that nothing else has.
fn holds<'a>(kept: impl Iterator<Item = &'a Kept>) -> Option<&'a Kept> {
    let kept: Vec<&Kept> = kept.collect();
    let is_tree = |kept: &&Kept| matches!(kept.what, What::Worktree(_));
    // Where there is a work tree, it has all that the others have.
    let telling = |one: &&Kept| match one.what {
        What::Worktree(_) => true,
        What::Branch(..) | What::Snapshot(..) => !kept.iter().any(is_tree),
        // What a checkout was before, of a run that is not of interest any more.
        What::BeforeApply(..) => false,
    };
    kept.iter().copied().filter(telling).find(|one| one.held.is_some())
}

/// Takes away what is kept of these runs: work trees first, which leave a snapshot behind.
fn take_away(engine: &Engine, repo: &Repo, rows: &[RunRow]) -> Outcome {
    for trees in [true, false] {
        let kept = worktree::list(repo, &engine.own_trees()).map_err(failure)?;
        for one in kept.iter().filter(|one| matches!(one.what, What::Worktree(_)) == trees) {
            let is_meant = rows.iter().any(|row| row.run_id.as_str() == one.run);
            if is_meant && one.held.is_none() {
                worktree::prune(repo, one, &[]).map_err(failure)?;
            }
        }
    }
    Ok(())
}

fn name(kept: &Kept) -> String {
    match &kept.what {
        What::Worktree(folder) => folder.display().to_string(),
        What::Branch(name, _) | What::Snapshot(name, _) | What::BeforeApply(name, _) => {
            name.clone()
        }
    }
}

fn held_entry(engine: &Engine, kept: &Kept) -> HeldEntry {
    HeldEntry {
        run_id: kept.run.clone(),
        repo_root: engine.root().display().to_string(),
        what: name(kept),
        why: kept.held.unwrap_or_default().to_owned(),
        bytes: kept.size,
    }
}

fn entry<'a>(engine: &Engine, row: &RunRow, kept: impl Iterator<Item = &'a Kept>) -> Entry {
    let kept: Vec<&Kept> = kept.collect();
    let in_git: u64 = kept.iter().map(|kept| kept.size).sum();
    let folder = engine.paths(&row.task_id, &row.run_id).absolute("");
    Entry {
        run_id: row.run_id.clone(),
        task_id: row.task_id.clone(),
        status: row.status,
        repo_root: engine.root().display().to_string(),
        trees: kept.iter().map(|kept| name(kept)).collect(),
        bytes: size(&folder).unwrap_or(0).saturating_add(in_git),
    }
}

/// What a folder takes on the disk.
fn size(folder: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let data = entry.metadata()?;
        bytes += match data.is_dir() {
            true => size(&entry.path())?,
            false => data.blocks() * 512,
        };
    }
    Ok(bytes)
}

fn tell(document: Document, common: &Common) -> Outcome {
    if common.json() {
        return json::write(&document);
    }
    let screen = Screen::out();
    for entry in &document.runs {
        let size = human::size(entry.bytes);
        screen.line(&format!("{}  {}  {}  {size}", entry.run_id, entry.task_id, entry.status));
    }
    for held in &document.held {
        let size = human::size(held.bytes);
        screen.line(&screen.paint(
            Tone::Warning,
            &format!("{}  stays, {size}: {}: {}", held.run_id, held.what, held.why),
        ));
    }
    for caches in &document.caches {
        let whose =
            caches.repo_root.as_deref().unwrap_or("a repository that nobody knows any more");
        let gone = if caches.gone { ", which is gone" } else { "" };
        let stays = match caches.in_use {
            0 => String::new(),
            some => {
                let stages = human::count(usize::try_from(some).unwrap_or(usize::MAX), "stage");
                format!("; what {stages} at work may change stays")
            }
        };
        let size = human::size(caches.bytes);
        screen.line(&format!("caches of {whose}{gone}  {size}{stays}"));
    }
    if document.leftover_bytes > 0 {
        let size = human::size(document.leftover_bytes);
        screen.line(&format!("what killed stages left in caches  {size}"));
    }
    let mut what = Vec::new();
    if !document.runs.is_empty() {
        what.push(human::count(document.runs.len(), "run"));
    }
    if !document.caches.is_empty() || document.leftover_bytes > 0 {
        what.push("caches".to_owned());
    }
    let (what, size) = (what.join(" and "), human::size(document.bytes));
    match (what.is_empty(), document.removed) {
        (true, _) => screen.line(&format!(
            "nothing to remove: nothing that is over has been at rest for {}",
            document.older_than
        )),
        (false, true) => screen.line(&format!("removed {what}, {size} freed")),
        (false, false) => {
            screen.line(&screen.paint(
                Tone::Strong,
                &format!("would remove {what} and free {size}; `--yes` does it"),
            ))
        }
    }
    Ok(())
}
