//! `delegate.question.enqueue`: asks the parent, or a person.

use model::{Fallback, Matter, Mode, Question, QuestionId, RunId, Timestamp, Urgency};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    caller::Station,
    desk::{Call, Target},
    fault::{Code, Fault},
    names::{self, Named},
    tools::Offer,
};

pub(crate) struct Enqueue;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// The question, in full: whoever answers knows only what stands here. At most 8000 characters.
    prompt: String,
    /// The run whose session, or whose person, should answer. Not needed where your parent is known.
    parent_manifest_path: Option<String>,
    /// Answers to choose from, at most 20; any text will do where there are none.
    #[serde(default)]
    options: Vec<String>,
    /// The answer that you would take for granted.
    default: Option<String>,
    /// How soon somebody should look: `low`, `normal` or `high`.
    urgency: Option<Urgency>,
    /// Close it after so many milliseconds; it stays open for ever when not said.
    expires_in_ms: Option<u64>,
    /// What happens to your run then: `pause` (the default), `resume` or `fail`.
    expiry_fallback: Option<Fallback>,
    /// Whether your run starts no further stage before the answer; true when not said.
    auto_pause: Option<bool>,
    /// A name for this question: asking again with the same name asks nothing new.
    key: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    question_id: QuestionId,
    /// `queued`, or what has become of it when it was asked before.
    status: &'static str,
    /// The run in whose name it is asked.
    run_id: RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_run_id: Option<RunId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    next_step: &'static str,
}

const LONGEST: usize = 8000;
const MOST_OPTIONS: usize = 20;
const LONGEST_OPTION: usize = 500;

impl Offer for Enqueue {
    type Input = Input;
    type Output = Output;
    const NAME: &'static str = "delegate.question.enqueue";
    const TITLE: &'static str = "Ask the parent or a person";
    const ABOUT: &'static str = "Puts a question down for your parent, or for a person, and comes \
        back at once with its id; look for the answer with delegate.question.poll. The question \
        survives everything, and is answered once. Say all that is needed to answer it.";
    const READ_ONLY: bool = false;
    const IDEMPOTENT: bool = false;
    const LEAST: Mode = Mode::QuestionOnly;

    fn call(call: &Call<'_>, input: Input) -> Result<Output, Fault> {
        check(&input)?;
        let parent = parent(call, input.parent_manifest_path.as_deref())?;
        let run = call.own_or_new(parent.as_ref())?;
        let settings = call.desk.config(call.root()?)?.settings.questions;
        let expires_in = match input.expires_in_ms {
            Some(millis) => Some(std::time::Duration::from_millis(millis)),
            None => settings.expires_in,
        };
        let now = engine::now();
        let question_id = match &input.key {
            Some(key) => engine::question_id_of(&run, key),
            None => engine::new_question_id(),
        };
        let question = Question {
            question_id,
            prompt: input.prompt,
            matter: Matter::Question {
                options: input.options,
                default: input.default,
                fallback: input.expiry_fallback.unwrap_or(settings.fallback),
                auto_pause: input.auto_pause.unwrap_or(settings.auto_pause),
                shape: None,
                held: None,
            },
            urgency: input.urgency.unwrap_or_default(),
            stage_id: None,
            thread_id: call.caller.thread.clone(),
            expires_at: expires_in.map(|after| now.after(after)),
        };
        let row = call.here(|engine| Ok(engine.enqueue(&run, question, call.actor())?))?;
        Ok(Output {
            question_id: row.question.question_id,
            status: row.resolved.as_ref().map_or("queued", |(resolution, _)| resolution.as_str()),
            run_id: row.run_id,
            parent_run_id: row.parent_run_id,
            expires_at: row.question.expires_at,
            next_step: "call delegate.question.poll with this question_id and wait_ms",
        })
    }
}

fn check(input: &Input) -> Result<(), Fault> {
    let fault = if input.prompt.trim().is_empty() {
        "the prompt is empty".to_owned()
    } else if input.prompt.chars().count() > LONGEST {
        format!("the prompt has more than {LONGEST} characters")
    } else if input.options.len() > MOST_OPTIONS {
        format!("there are more than {MOST_OPTIONS} options")
    } else if input.options.iter().any(|option| option.trim().is_empty()) {
        "an option is empty".to_owned()
    } else if input.options.iter().any(|option| option.len() > LONGEST_OPTION) {
        format!("an option has more than {LONGEST_OPTION} bytes")
    } else if let (Some(default), false) = (&input.default, input.options.is_empty())
        && !input.options.contains(default)
    {
        "the default is none of the options".to_owned()
    } else if input.key.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST_OPTION) {
        format!("the key is empty, or has more than {LONGEST_OPTION} bytes")
    } else {
        return Ok(());
    };
    Err(Fault::invalid(fault, "ask again, shorter or better"))
}

/// The parent that is named. A delegated run has the parent that it has.
fn parent(call: &Call<'_>, named: Option<&str>) -> Result<Option<Target>, Fault> {
    let Some(text) = named else { return Ok(None) };
    let Station::Run(own) = &call.caller.station else {
        let target = call.find(text)?;
        // A session that names the run standing for itself names no parent.
        let own = call.own()?;
        return Ok(Some(target).filter(|target| Some(&target.run) != own.as_ref()));
    };
    let known = call.here(|engine| Ok(engine.journal().row(own)?.parent_run_id))?;
    let run = match names::named(text) {
        // It may be in a repository that a child has no other business in: it only names whom we
        // know already.
        Ok(Named::Path { run, .. }) => run,
        _ => call.find(text)?.run,
    };
    // The plain prompt gives a run its own manifest as that of its parent: it asks in its own name.
    match run == *own || Some(&run) == known.as_ref() {
        true => Ok(None),
        false => Err(Fault::new(
            Code::Refused,
            "that run is not the parent of yours",
            "leave parent_manifest_path out: your parent is known",
        )),
    }
}
