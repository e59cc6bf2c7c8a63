//! The bare command: what wants to be looked at, and what to type next.

use engine::{Access, Engine, EngineError};
use model::RunStatus;
use store::{Filter, HomeError};

use super::{Common, Outcome, list};
use crate::render::{
    human, json,
    screen::{Screen, Tone},
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Of every repository that has runs
    #[arg(long)]
    all_repos: bool,
}

/// How many runs of each kind are shown.
const EACH: usize = 8;

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let mut engines = match args.all_repos {
        true => Engine::all(&here.state)?,
        false => match here.engine(Access::Look) {
            Ok(engine) => vec![engine],
            Err(EngineError::Home(HomeError::Unknown(_))) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
    };
    let groups: [(&str, &[RunStatus], &str); 4] = [
        ("interrupted", &[RunStatus::Interrupted], "codex-orch resume RUN, or resume --all"),
        ("running", &[RunStatus::InProgress, RunStatus::Queued], "codex-orch status RUN --watch"),
        ("paused", &[RunStatus::Paused], "codex-orch resume RUN"),
        (
            "ready to be looked at",
            &[RunStatus::Succeeded, RunStatus::Failed, RunStatus::Cancelled],
            "codex-orch status RUN, logs RUN, resume RUN",
        ),
    ];
    let mut shown = Vec::new();
    for (title, statuses, next) in groups {
        let mut entries = Vec::new();
        let mut total = 0;
        for engine in &mut engines {
            let filter =
                Filter { statuses: statuses.to_vec(), limit: Some(EACH), ..Filter::default() };
            entries.extend(list::list(engine, &filter)?);
            for status in statuses {
                total += engine.journal().count(*status).map_err(EngineError::from)?;
            }
        }
        shown.push((title, entries, total, next));
    }
    if common.json() {
        let groups: Vec<_> = shown
            .iter()
            .map(|(title, entries, total, next)| {
                serde_json::json!({ "group": title, "runs": entries, "total": total, "next": next })
            })
            .collect();
        return json::write(&serde_json::json!({ "groups": groups }));
    }
    let screen = Screen::out();
    if shown.iter().all(|(_, entries, _, _)| entries.is_empty()) {
        screen.line(&format!("nothing has been run in {} yet", here.place.root.display()));
        screen.line("  codex-orch start             build, lint and test what is here");
        screen.line("  codex-orch plan              show what that would run");
        screen.line("  codex-orch exec -- CMD       run one command and keep a record of it");
        screen.line("  codex-orch --help            everything else");
        return Ok(());
    }
    for (title, entries, total, next) in
        shown.iter().filter(|(_, entries, _, _)| !entries.is_empty())
    {
        let total = usize::try_from(*total).unwrap_or(usize::MAX);
        let more = match total > entries.len() {
            true => format!(" ({} of {})", entries.len(), human::count(total, "run")),
            false => String::new(),
        };
        screen.line(&screen.paint(Tone::Strong, &format!("{title}{more}")));
        list::show(screen, entries, args.all_repos);
        screen.line(&screen.paint(Tone::Faint, &format!("  next: {next}")));
        screen.line("");
    }
    Ok(())
}
