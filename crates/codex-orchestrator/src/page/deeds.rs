//! What is done from the page.

use model::{Act, By, ConfirmCancel, Question, QuestionId, Request, Resolution, RunId, Scope};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Desk, PERSON, read, value};
use crate::{
    act::{self, control::Control, go_on, message, word},
    caller,
    failure::Failure,
};

/// Something that is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    repo: String,
    id: QuestionId,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    repo: String,
    id: QuestionId,
    text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approve {
    repo: String,
    id: QuestionId,
    scope: Scope,
}

/// A denial, or what is closed without an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    repo: String,
    id: QuestionId,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    repo: String,
    run: RunId,
    /// In the middle of a turn, too.
    #[serde(default)]
    freeze: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    repo: String,
    run: RunId,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    repo: String,
    run: RunId,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    repo: String,
    run: RunId,
    text: String,
}

/// What became of a run.
#[derive(Debug, Serialize)]
struct Became {
    run_id: RunId,
    /// In a sentence.
    said: String,
}

impl Desk {
    /// What that name stands for, done; nothing where it stands for nothing.
    pub(super) fn deed(
        &self,
        name: &str,
        body: Map<String, Value>,
    ) -> Option<Result<Value, Failure>> {
        Some(match name {
            "answer" => read(body).and_then(|ask| self.answer(ask)),
            "approve" => read(body).and_then(|ask| self.approve(&ask)),
            "deny" => read(body).and_then(|ask| self.deny(ask)),
            "dismiss" => read(body).and_then(|ask| self.dismiss(ask)),
            "revoke" => read(body).and_then(|ask| self.revoke(&ask)),
            "pause" => read(body).and_then(|Pause { repo, run, freeze }| {
                self.control(&repo, run, Act::Pause, Request::Pause { freeze })
            }),
            "cancel" => read(body).and_then(|Cancel { repo, run, reason }| {
                let reason = reason.filter(|reason| !reason.trim().is_empty());
                self.control(&repo, run, Act::Cancel, Request::Cancel { reason })
            }),
            "resume" => read(body).and_then(|ask| self.resume(ask)),
            "message" => read(body).and_then(|ask| self.message(ask)),
            _ => return None,
        })
    }

    fn answer(&self, ask: Answer) -> Result<Value, Failure> {
        let Answer { repo, id, text } = ask;
        if text.trim().is_empty() {
            return Err(Failure::usage("the answer is empty")
                .hint("dismiss it to close it without an answer"));
        }
        self.word(&repo, &id, Act::Answer, |by, _| Resolution::Answered { answer: text, by })
    }

    fn approve(&self, ask: &Approve) -> Result<Value, Failure> {
        self.word(&ask.repo, &ask.id, Act::Approve, word::approved(Some(ask.scope)))
    }

    fn deny(&self, ask: Close) -> Result<Value, Failure> {
        let Close { repo, id, reason } = ask;
        let reason = reason.filter(|reason| !reason.trim().is_empty());
        self.word(&repo, &id, Act::Approve, |by, _| Resolution::Denied { by, reason })
    }

    fn dismiss(&self, ask: Close) -> Result<Value, Failure> {
        let Close { repo, id, reason } = ask;
        let reason = reason.filter(|reason| !reason.trim().is_empty());
        self.word(&repo, &id, Act::Dismiss, |by, _| Resolution::Dismissed { by, reason })
    }

    fn word(
        &self,
        repo: &str,
        id: &QuestionId,
        act: Act,
        resolution: impl FnOnce(By, &Question) -> Resolution,
    ) -> Result<Value, Failure> {
        let mut engine = self.engine(repo)?;
        let row = engine.question(id)?;
        // A person's cancel is not confirmed by anybody.
        let who = (PERSON, act, ConfirmCancel::Owned);
        let (document, _) = word::give(&mut engine, &row, who, resolution)?;
        let tail = document.run_id.tail();
        (self.tell)(&format!("{id} of run {tail} is {}", document.status));
        value(document)
    }

    fn revoke(&self, ask: &Asked) -> Result<Value, Failure> {
        let mut engine = self.engine(&ask.repo)?;
        word::revoke(&mut engine, &ask.id, &PERSON)?;
        (self.tell)(&format!("{} is taken back", ask.id));
        Ok(serde_json::json!({ "question_id": ask.id, "status": "revoked" }))
    }

    fn control(
        &self,
        repo: &str,
        run: RunId,
        act: Act,
        request: Request,
    ) -> Result<Value, Failure> {
        let mut engine = self.run(repo, &run)?;
        let (only, confirm) = (false, ConfirmCancel::Owned);
        let wanted = Control { by: &PERSON, act, request, only, confirm };
        let (_, said) = act::control::control(&mut engine, &run, &wanted)?;
        self.became(run, said)
    }

    fn resume(&self, ask: Resume) -> Result<Value, Failure> {
        let mut engine = self.run(&ask.repo, &ask.run)?;
        go_on::in_background(&mut engine, &ask.run, &PERSON)?;
        let said = format!("run {} goes on", ask.run.tail());
        self.became(ask.run, said)
    }

    fn message(&self, ask: Message) -> Result<Value, Failure> {
        let Message { repo, run, text } = ask;
        let mut engine = self.run(&repo, &run)?;
        let actor = caller::check(&engine, &PERSON, Act::Message, &run, ConfirmCancel::Owned)?;
        let told = message::tell(&mut engine, &run, &text, actor)?;
        self.became(told.run().clone(), told.sentence())
    }

    fn became(&self, run_id: RunId, said: String) -> Result<Value, Failure> {
        (self.tell)(&said);
        value(Became { run_id, said })
    }
}
