//! `inbox --standing`, and `dismiss` of what it shows: what is allowed for all runs of a repository.

use engine::Engine;
use model::{QuestionId, Standing};
use serde::Serialize;
use store::FoundQuestion;

use super::{Common, Outcome};
use crate::{
    act, caller,
    failure::Failure,
    look::{self, standing::Entry},
    render::{
        human, json,
        screen::{Screen, Tone, harmless, quoted},
    },
    surroundings::Surroundings,
};

/// What `inbox --standing` prints as JSON, and `dismiss` of one of those.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub(crate) struct Document {
    /// The oldest first.
    standing: Vec<Entry>,
}

/// Shows what stands.
pub(crate) fn show(common: &Common, all_repos: bool) -> Outcome {
    let mut entries = Vec::new();
    for engine in common.here()?.engines(all_repos)? {
        entries.extend(look::standing::of(&engine)?);
    }
    if common.json() {
        return json::write(&Document { standing: entries });
    }
    let (screen, now) = (Screen::out(), engine::now());
    if entries.is_empty() {
        screen.line("nothing is allowed for this repository but what settings say");
    }
    for Entry { standing, what, repo_root, .. } in &entries {
        let Standing { question_id, by, at, run_id, .. } = standing;
        screen.line(&format!(
            "{} {}  allowed by a {}, {}, when run {} asked{}",
            screen.paint(Tone::Warning, "✓"),
            screen.paint(Tone::Strong, question_id.as_str()),
            by.as_str(),
            human::ago(*at, now),
            run_id.tail(),
            screen.paint(
                Tone::Faint,
                &if all_repos { format!("  {repo_root}") } else { String::new() }
            ),
        ));
        screen.line(&format!("    {}", harmless(what)));
        screen.line(&screen.paint(Tone::Faint, &format!("  codex-orch dismiss {question_id}")));
    }
    Ok(())
}

/// What stands by that name, or by the beginning of it: in this repository, else in any.
pub(crate) fn find(here: &Surroundings, word: &str) -> Result<Option<Found>, Failure> {
    let near = here.engines(false)?;
    let mut found: Vec<Found> = Vec::new();
    for engine in near.into_iter().chain(Engine::all(&here.state)?) {
        let stand = engine.standing()?.into_iter();
        let mut named: Vec<Standing> = stand
            .filter(|one| !word.is_empty() && one.question_id.as_str().starts_with(word))
            .collect();
        let Some(one) = named.pop() else { continue };
        let meant = |id: &QuestionId| *id == one.question_id;
        let alone = match engine.find_question(word)? {
            FoundQuestion::None => true,
            FoundQuestion::One(row) => meant(&row.question.question_id),
            FoundQuestion::Many(_) => false,
        };
        if !(named.is_empty() && alone) {
            let text = format!("{} may be one of several", quoted(word));
            return Err(Failure::not_found(text).hint("give more of the id"));
        }
        if engine.root() == here.place.root {
            return Ok(Some(Found { engine, standing: one }));
        }
        if !found.iter().any(|other| meant(&other.standing.question_id)) {
            found.push(Found { engine, standing: one });
        }
    }
    if found.len() > 1 {
        let text = format!("{} may be of several repositories", quoted(word));
        return Err(Failure::not_found(text).hint("give more of the id, or --repo"));
    }
    Ok(found.pop())
}

/// What is to be taken back, and where.
pub(crate) struct Found {
    engine: Engine,
    standing: Standing,
}

/// Takes it back.
pub(crate) fn revoke(found: Found, common: &Common) -> Outcome {
    let Found { mut engine, standing } = found;
    let by = caller::by(&engine);
    act::word::revoke(&mut engine, &standing.question_id, &by)?;
    let entry = look::standing::entry(&engine, standing, "revoked");
    if common.json() {
        return json::write(&Document { standing: vec![entry] });
    }
    let text = format!("{} is taken back: {}", entry.standing.question_id, harmless(&entry.what));
    Screen::out().line(&format!("{text}; whoever wants that next is asked about again"));
    Ok(())
}
