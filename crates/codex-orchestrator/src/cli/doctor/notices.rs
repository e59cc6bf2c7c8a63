//! How it goes with telling a person of what happens.

use engine::{Access, Engine};
use model::Way;
use store::WayRow;

use super::{Check, Verdict};
use crate::{
    cli::notify::shown,
    render::{human, screen::harmless},
    surroundings::Surroundings,
};

/// Nothing where nobody is to be told.
pub(super) fn checks(here: &Surroundings) -> Vec<Check> {
    // What is off with the config is said already.
    let Ok(loaded) = here.config(&[]) else { return Vec::new() };
    let settings = &loaded.settings.notify;
    let engine = here.engine(Access::Look).ok();
    let journal = engine.as_ref().map(Engine::journal);
    let rows = journal.and_then(|journal| journal.ways().ok()).unwrap_or_default();
    let mut checks: Vec<Check> = Way::ALL
        .iter()
        .filter_map(|&way| {
            let shown = harmless(&shown(settings, way)?);
            Some(check(way, &shown, rows.iter().find(|row| row.way == way)))
        })
        .collect();
    if let Some(untold) = journal.and_then(|journal| journal.untold().ok().flatten()) {
        let found = format!(
            "{} to be told, the oldest from {}",
            human::count(untold.count as usize, "notice"),
            human::ago(untold.since, engine::now())
        );
        let remedy = "they are tried again; `codex-orch inbox` shows what waits for you";
        checks.push(Check::off("notices", Verdict::Limited, found, remedy));
    }
    checks
}

fn check(way: Way, shown: &str, row: Option<&WayRow>) -> Check {
    let now = engine::now();
    let what = format!("notify.{}", way.as_str());
    let Some(row) = row else { return Check::good(&what, format!("{shown}: not used yet")) };
    match (&row.failure, row.failed_at) {
        (Some(failure), Some(at)) => {
            let lost = match row.lost {
                0 => String::new(),
                lost => format!(" ({} given up)", human::count(lost as usize, "notice")),
            };
            let found = format!("{shown}: {}{lost}, {}", harmless(failure), human::ago(at, now));
            let remedy =
                "mend it in your `orchestrator.toml`; the next notice shows whether it works";
            Check::off(&what, Verdict::Limited, found, remedy)
        }
        _ => {
            let told = row.told_at.map_or("never".to_owned(), |at| human::ago(at, now));
            Check::good(&what, format!("{shown}: last told {told}"))
        }
    }
}
