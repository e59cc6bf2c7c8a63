//! The bare command: what wants to be looked at, and what to type next.

use super::{Common, Outcome, inbox, list, notify};
use crate::{
    look::{
        overview::{self, Extent, Group},
        runs,
    },
    render::{
        json,
        screen::{Screen, Tone},
    },
};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Of every repository that has runs
    #[arg(long)]
    all_repos: bool,
}

/// How many runs of each kind are shown, and how many questions.
const EACH: usize = 8;

pub(crate) fn run(args: &Args, common: &Common) -> Outcome {
    let here = common.here()?;
    let mut engines = here.engines(args.all_repos)?;
    let extent = Extent { all_repos: args.all_repos, questions: EACH, runs: EACH };
    let found = overview::of(&mut engines, extent)?;
    if common.json() {
        return json::write(&found);
    }
    notify::warn(&here, &engines);
    let screen = Screen::out();
    if found.inbox.is_empty() && found.groups.iter().all(|group| group.runs.is_empty()) {
        screen.line(&format!("nothing has been run in {} yet", here.place.root.display()));
        screen.line("  codex-orch start             build, lint and test what is here");
        screen.line("  codex-orch plan              show what that would run");
        screen.line("  codex-orch exec -- CMD       run one command and keep a record of it");
        screen.line("  codex-orch --help            everything else");
        return Ok(());
    }
    let mut gap = !found.inbox.is_empty();
    if gap {
        screen.line(&screen.paint(Tone::Strong, "waiting for you"));
    }
    for entry in &found.inbox {
        inbox::show(screen, entry, args.all_repos);
    }
    for Group { group, runs, total } in found.groups.iter().filter(|group| !group.runs.is_empty()) {
        if std::mem::replace(&mut gap, true) {
            screen.line("");
        }
        let total = usize::try_from(*total).unwrap_or(usize::MAX);
        let more = match total > runs.len() {
            true => format!(" (the newest {} of {total})", runs.len()),
            false => String::new(),
        };
        screen.line(&screen.paint(Tone::Strong, &format!("{group}{more}")));
        let runs: Vec<&runs::Entry> = runs.iter().map(|entry| &entry.run).collect();
        list::show(screen, &runs, args.all_repos, list::Last::Next);
    }
    Ok(())
}
