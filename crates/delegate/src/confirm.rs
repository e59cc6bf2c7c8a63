//! What an agent may do only if a person says so: put down exactly as it will be done, and done
//! when it is approved, once.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use engine::{Access, Engine, EngineError, Patience};
use model::{
    Actor, Matter, PROMPT_PIPELINE, Question, Request, Resolution, RunId, RunSpec, Urgency,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Admission, QuestionFilter, QuestionRow};

use crate::{
    desk::Call,
    fault::{Code, Fault},
};

/// What is done when it is approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// End a run.
    Cancel {
        /// Its repository.
        root: PathBuf,
        /// Which.
        run_id: RunId,
        /// Not what is below it.
        only: bool,
        /// Why, in the agent's words.
        reason: Option<String>,
    },
    /// Start a run.
    Spawn {
        /// The run, with all that it does.
        spec: Box<RunSpec>,
        /// How many its parent may have.
        admission: Admission,
        /// It waits for its turn.
        queue: bool,
        /// What has changed against what is committed.
        difference: Difference,
    },
}

/// What somebody has to look at who decides whether a run is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Of what it is.
    pub of: Changed,
    /// How that is now, and how it is committed.
    pub text: String,
}

/// What is not as it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// What the pipeline does.
    Pipeline,
    /// The settings and caps that hold it.
    Settings,
    /// Both of these.
    PipelineAndSettings,
    /// The command that verifies a prompt's work, which was said with it.
    Verify,
    /// That and the settings.
    VerifyAndSettings,
}

impl Changed {
    /// The question, about a run that is called that.
    fn question(self, run: &str) -> String {
        match self {
            Self::Pipeline => format!("Start {run}, which is not what is committed?"),
            Self::Settings => {
                format!("Start {run} under settings that are not what is committed?")
            }
            Self::PipelineAndSettings => format!(
                "Start {run}, which is not what is committed, under settings that are not either?"
            ),
            Self::Verify => format!(
                "Start {run}, verified by a command that is not committed and runs outside of \
                 Codex's sandbox?"
            ),
            Self::VerifyAndSettings => format!(
                "Start {run} under settings that are not what is committed, verified by a command \
                 that is not committed either and runs outside of Codex's sandbox?"
            ),
        }
    }
}

impl Action {
    /// The same action has the same digest, also when it is wished for again.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(spec) = value.get_mut("spec").and_then(serde_json::Value::as_object_mut) {
            // What is different with each wish says nothing about what is done.
            spec.remove("run_id");
            if let Some(repo) = spec.get_mut("repo").and_then(serde_json::Value::as_object_mut) {
                // Where it is done says much; the commit there is what the plan was held against.
                repo.retain(|key, _| matches!(key.as_str(), "root" | "worktree"));
            }
        }
        let digest = Sha256::digest(value.to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn prompt(&self) -> String {
        match self {
            Self::Cancel { run_id, reason, .. } => {
                let why = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
                format!("Cancel run {}{why}?", run_id.tail())
            }
            Self::Spawn { spec, difference: Difference { of, text }, .. } => {
                let run = match spec.plan.pipeline.as_str() {
                    PROMPT_PIPELINE => format!("the prompt `{}`", spec.plan.title),
                    pipeline => format!("pipeline `{pipeline}`"),
                };
                format!("{}\n{text}", of.question(&run))
            }
        }
    }

    /// Does it, in the name of the person who approved it. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// What kept it from being done.
    pub fn perform(&self, state: &Path, program: Command) -> Result<RunId, EngineError> {
        match self {
            Self::Cancel { root, run_id, only, reason } => {
                let mut engine = Engine::open(state, root, Access::Look)?;
                if engine.status(run_id)?.ended() {
                    return Ok(run_id.clone());
                }
                let request = Request::Cancel { reason: reason.clone() };
                let patience = Patience::default();
                match only {
                    true => engine.ask(run_id, &request, Actor::User, patience).map(|_| ())?,
                    false => {
                        engine.ask_family(run_id, &request, Actor::User, patience).map(|_| ())?
                    }
                }
                Ok(run_id.clone())
            }
            Self::Spawn { spec, admission, queue, .. } => {
                let root = Path::new(&spec.repo.root);
                let mut engine = Engine::open(state, root, Access::Run)?;
                if engine.journal().row(&spec.run_id).is_ok() {
                    return Ok(spec.run_id.clone());
                }
                let parent_root = spec.grant.as_ref().and_then(|grant| grant.parent_root.as_ref());
                let mut parents = match parent_root {
                    Some(root) => Some(Engine::open(state, root.as_ref(), Access::Look)?),
                    None => None,
                };
                let (spec, admission) = ((**spec).clone(), admission.clone());
                let run = spec.run_id.clone();
                match engine.spawn(program, spec, admission, *queue, parents.as_mut()) {
                    Ok(spawned) => Ok(spawned.run_id().clone()),
                    // It was approved at two terminals at once, and the other was first.
                    Err(_) if engine.journal().row(&run).is_ok() => Ok(run),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// What of a wish a person has decided before.
pub(crate) enum Decided {
    /// It was approved, and this run came of it.
    Run(RunId),
    /// Nothing.
    Not,
}

/// Whether the same was wished for and is being decided, or was decided, just before.
pub(crate) fn decided(call: &Call<'_>, action: &Action) -> Result<Decided, Fault> {
    let Some(own) = call.own()? else { return Ok(Decided::Not) };
    let Some((row, before)) = latest(call, own, &action.digest())? else {
        return Ok(Decided::Not);
    };
    match row.resolved {
        None => Err(waiting(&row.question)),
        Some((Resolution::Denied { reason, .. }, _)) => {
            let why = reason.map_or(String::new(), |reason| format!(": {reason}"));
            Err(Fault::new(Code::Refused, format!("a person denied it{why}"), "do without it"))
        }
        Some((Resolution::Approved { .. }, _)) => match before {
            Action::Spawn { spec, .. } => {
                let over = call.at(Path::new(&spec.repo.root), |engine| {
                    Ok(engine.status(&spec.run_id)?.ended())
                });
                // What was approved has been done; doing it once more is another matter.
                Ok(if over == Ok(false) { Decided::Run(spec.run_id) } else { Decided::Not })
            }
            Action::Cancel { .. } => Ok(Decided::Not),
        },
        Some(_) => Ok(Decided::Not),
    }
}

fn latest(
    call: &Call<'_>,
    own: RunId,
    wanted: &str,
) -> Result<Option<(QuestionRow, Action)>, Fault> {
    const LOOK_BACK: usize = 50;
    let filter =
        QuestionFilter { run: Some(own), limit: Some(LOOK_BACK), ..QuestionFilter::default() };
    let rows = call.here(|engine| Ok(engine.questions(&filter)?))?;
    Ok(rows.into_iter().rev().find_map(|row| match &row.question.matter {
        Matter::Confirmation { digest, action } if digest == wanted => {
            let action = serde_json::from_value(action.clone()).ok()?;
            Some((row, action))
        }
        _ => None,
    }))
}

/// Puts the wish down for a person, unless it is there already, and says so.
pub(crate) fn require(call: &Call<'_>, action: &Action) -> Result<Fault, Fault> {
    let own = call.own_or_new(None)?;
    let digest = action.digest();
    if let Some((row, _)) = latest(call, own.clone(), &digest)?
        && row.resolved.is_none()
    {
        return Ok(waiting(&row.question));
    }
    let expires_in = call.desk.config(call.root()?)?.settings.confirm.expires_in;
    let action_value = serde_json::to_value(action)
        .map_err(|error| Fault::new(Code::Internal, error, "report this as a bug"))?;
    let question = Question {
        question_id: engine::new_question_id(),
        prompt: action.prompt(),
        matter: Matter::Confirmation { action: action_value, digest },
        urgency: Urgency::High,
        stage_id: None,
        thread_id: call.caller.thread.clone(),
        expires_at: Some(engine::now().after(expires_in)),
    };
    let row = call.here(|engine| Ok(engine.enqueue(&own, question, call.actor())?))?;
    Ok(waiting(&row.question))
}

fn waiting(question: &Question) -> Fault {
    let id = &question.question_id;
    Fault::new(
        Code::ConfirmationRequired,
        format!("a person has to approve this first; it waits in their inbox as {id}"),
        format!(
            "tell the user to type `codex-orch approve {id}` (or deny) at a terminal; it is done \
             when they approve it, and delegate.wait with question_ids [\"{id}\"] says so"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_approved_is_told_apart_from_all_else() {
        let cancel = |run: &str, only| Action::Cancel {
            root: PathBuf::from("/r"),
            run_id: run.parse().unwrap(),
            only,
            reason: None,
        };
        let (one, other) =
            ("2026-11-22T10-15-00-123Z-4f9a2c1b", "2026-11-22T10-15-00-123Z-4f9a2c1c");
        assert_eq!(cancel(one, true).digest(), cancel(one, true).digest());
        assert_ne!(cancel(one, true).digest(), cancel(one, false).digest());
        assert_ne!(cancel(one, true).digest(), cancel(other, true).digest());
        assert_eq!(cancel(one, true).digest().len(), 64);
    }
}
