//! Forms by which the client of a session asks whoever sits there (MCP's elicitation): an extra, where
//! the client has them and the settings say so. What is not answered so waits where it would anyway.
//!
//! No form approves anything: a client may accept one by itself.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use model::{QuestionId, Shape};
use rmcp::{
    Peer, RoleServer,
    model::{
        ClientResult, ElicitRequest, ElicitRequestParams, ElicitationAction, ElicitationSchema,
        ServerRequest,
    },
    service::PeerRequestOptions,
};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::oneshot};

/// The same that an agent's answer may have.
const LONGEST: usize = 8000;

/// The client of one connection, if it has forms.
#[derive(Clone)]
pub(crate) struct Forms {
    client: Peer<RoleServer>,
    runtime: Handle,
    seen: Seen,
}

/// What is to be filled in.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) message: String,
    /// Answers to choose from; any text where there are none.
    pub(crate) options: Vec<String>,
    pub(crate) default: Option<String>,
    /// What an answer has to be, of which the client hears as far as it is about text.
    pub(crate) shape: Option<Shape>,
}

/// A form that is before somebody's eyes. When it is dropped the client is told to take it away.
#[derive(Debug)]
pub(crate) struct Shown {
    reply: mpsc::Receiver<Option<String>>,
    _taken_away: oneshot::Sender<()>,
}

/// How a form stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Nobody has said anything yet.
    Open,
    /// Somebody answered.
    Answer(String),
    /// It was declined, or closed, or filled in with what is no answer.
    Nothing,
}

/// Which questions this server has shown already: each is shown once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<BTreeSet<QuestionId>>>);

impl Forms {
    /// Those of the client that makes a call, if it says that it has any. To be called within the
    /// server's runtime.
    pub(crate) fn of(client: &Peer<RoleServer>, seen: &Seen) -> Option<Self> {
        let info = client.peer_info()?;
        let forms = info.capabilities.elicitation.as_ref()?;
        // Before there were kinds of them, all were forms.
        let has = forms.form.is_some() || forms.url.is_none();
        let (client, seen) = (client.clone(), seen.clone());
        has.then(|| Self { client, runtime: Handle::current(), seen })
    }

    /// Shows it, unless that question was shown before. `then` is done when somebody has replied.
    pub(crate) fn show(
        &self,
        question: &QuestionId,
        form: Form,
        then: impl FnOnce() + Send + 'static,
    ) -> Option<Shown> {
        let request = form.request()?;
        let mut seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.insert(question.clone()) {
            return None;
        }
        let (replied, reply) = mpsc::channel();
        let (taken_away, dropped) = oneshot::channel::<()>();
        let client = self.client.clone();
        self.runtime.spawn(async move {
            let options = PeerRequestOptions::no_options();
            let said = match client.send_cancellable_request(request, options).await {
                Err(_) => None,
                Ok(mut asked) => tokio::select! {
                    said = &mut asked.rx => said.ok().and_then(Result::ok),
                    _ = dropped => {
                        let _ = asked.cancel(Some("it is not waited for any more".to_owned())).await;
                        return;
                    }
                },
            };
            let _ = replied.send(said.and_then(|said| form.read(said)));
            then();
        });
        Some(Shown { reply, _taken_away: taken_away })
    }
}

impl fmt::Debug for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forms").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Shown {
    pub(crate) fn reply(&self) -> Reply {
        match self.reply.try_recv() {
            Ok(Some(answer)) => Reply::Answer(answer),
            Err(mpsc::TryRecvError::Empty) => Reply::Open,
            Ok(None) | Err(mpsc::TryRecvError::Disconnected) => Reply::Nothing,
        }
    }
}

impl Form {
    fn request(&self) -> Option<ServerRequest> {
        let schema = serde_json::from_value::<ElicitationSchema>(self.schema()).ok()?;
        let message = self.message.clone();
        let params = ElicitRequestParams::FormElicitationParams {
            meta: None,
            message,
            requested_schema: schema,
        };
        Some(ServerRequest::ElicitRequest(ElicitRequest::new(params)))
    }

    /// Something has to be filled in, so that a client that accepts by itself has nothing to give.
    fn schema(&self) -> Value {
        let mut answer = json!({ "type": "string", "title": "Answer" });
        if !self.options.is_empty() {
            answer["enum"] = json!(self.options);
        }
        if let Some(default) = &self.default {
            answer["default"] = json!(default);
        }
        if let Some(Shape::Text { least, most, format }) = &self.shape {
            let bounds = [("minLength", least), ("maxLength", most)];
            for (name, bound) in bounds.into_iter().filter_map(|(name, it)| Some((name, (*it)?))) {
                answer[name] = json!(bound);
            }
            if let Some(format) = format {
                answer["format"] = json!(format);
            }
        }
        json!({ "type": "object", "properties": { "answer": answer }, "required": ["answer"] })
    }

    /// The answer in what a client says, if there is one.
    fn read(&self, said: ClientResult) -> Option<String> {
        let said = match said {
            ClientResult::ElicitResult(said) => said,
            // What rmcp takes for another kind of result, by how it looks.
            other => serde_json::from_value(serde_json::to_value(other).ok()?).ok()?,
        };
        if said.action != ElicitationAction::Accept {
            return None;
        }
        let answer = said.content?["answer"].as_str()?.to_owned();
        let fits = self.options.is_empty() || self.options.contains(&answer);
        let said = !answer.trim().is_empty() && answer.chars().count() <= LONGEST;
        (fits && said).then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use model::Format;

    use super::*;

    #[test]
    fn only_what_was_filled_in_as_it_was_asked_is_an_answer() {
        let free =
            Form { message: "which?".to_owned(), options: Vec::new(), default: None, shape: None };
        let choice = Form { options: vec!["a".to_owned(), "b".to_owned()], ..free.clone() };
        let read = |form: &Form, said: Value| form.read(serde_json::from_value(said).unwrap());
        let accepted =
            |answer: Value| json!({ "action": "accept", "content": { "answer": answer } });
        assert_eq!(read(&free, accepted(json!("x"))).as_deref(), Some("x"));
        assert_eq!(read(&choice, accepted(json!("b"))).as_deref(), Some("b"));
        assert_eq!(read(&choice, accepted(json!("x"))), None);
        for nothing in [
            accepted(json!(" ")),
            accepted(json!(7)),
            accepted(json!("x".repeat(LONGEST + 1))),
            json!({ "action": "accept", "content": {} }),
            json!({ "action": "accept" }),
            json!({ "action": "decline" }),
            json!({ "action": "cancel", "content": { "answer": "x" } }),
            json!({}),
        ] {
            assert_eq!(read(&free, nothing.clone()), None, "{nothing}");
        }
    }

    #[test]
    fn what_a_form_asks_for_is_what_the_question_asks_for() {
        let mut form = Form {
            message: "which?".to_owned(),
            options: vec!["a".to_owned(), "b".to_owned()],
            default: Some("a".to_owned()),
            shape: None,
        };
        assert!(form.request().is_some());
        assert_eq!(
            form.schema()["properties"]["answer"],
            json!({ "type": "string", "title": "Answer", "enum": ["a", "b"], "default": "a" })
        );
        form = Form { options: Vec::new(), default: None, ..form };
        assert!(form.request().is_some());
        assert_eq!(form.schema()["required"], json!(["answer"]));
        for format in [Format::Email, Format::Uri, Format::Date, Format::DateTime] {
            let shape = Some(Shape::Text { least: None, most: Some(90), format: Some(format) });
            form = Form { shape, ..form };
            let request = serde_json::to_value(form.request()).unwrap();
            assert_eq!(
                request["params"]["requestedSchema"]["properties"]["answer"],
                json!({ "type": "string", "title": "Answer", "maxLength": 90, "format": format.name() })
            );
        }
    }
}
