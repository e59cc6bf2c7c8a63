//! What a thread asks for: what policy makes of it, what somebody is asked, and what is passed on to
//! the thread.

use std::time::Duration;

use codex::{Answer, AskId, Form, Wants};
use model::{
    Actor, Asks, Consent, Event, Matter, Question, QuestionId, Recorded, Request, Resolution,
    Scope, StageIndex, Subject, Urgency,
};

use super::{
    Runner,
    forms::{self, Put},
    record,
};
use crate::{
    EngineError,
    asked::{Asked, Asker, Follows, Passed},
    conversation, edge,
};

/// Of one thread, so many asks wait at one time before a server is told that it is too much.
const MOST_ASKS: usize = 10;

impl Runner<'_, '_, '_> {
    /// What the thread wants to do and may not by itself.
    pub(super) fn hear_wish(
        &mut self,
        stage: StageIndex,
        ask: AskId,
        wants: Wants,
    ) -> Result<(), EngineError> {
        let scopes = match conversation::lasts(&wants) {
            true => &[Scope::Once, Scope::Run][..],
            false => &[Scope::Once],
        };
        let asker = &Asker::Thread(ask);
        // What goes beyond what is shown is allowed each time anew.
        let exact = conversation::is_exact(&wants);
        let asks = match wants {
            Wants::Input { questions } => {
                return self.hear_questions(stage, asker, questions, None);
            }
            Wants::Elicitation { server, message, form } => {
                return self.hear_form(stage, asker, &server, &message, form);
            }
            Wants::Command { command, cwd, reason, host, .. } => Asks::Command {
                command: command.unwrap_or_else(|| format!("(reach {})", host.unwrap_or_default())),
                cwd,
                reason,
            },
            Wants::Patch { paths, reason, .. } => {
                Asks::Patch { paths: self.within_tree(paths), reason }
            }
            Wants::Permissions { what, reason } => {
                Asks::Permissions { what: what.to_string(), reason }
            }
            Wants::Tool { server, tool, arguments, .. } => Asks::Tool {
                server,
                tool: tool.unwrap_or_default(),
                arguments: arguments.unwrap_or_default(),
            },
        };
        let held = self.is_held(stage);
        let subject = exact.then(|| Subject::of(&asks, &self.work_tree(), held)).flatten();
        self.hear_asks(stage, asker, asks, scopes, subject)
    }

    /// What somebody has to agree to, unless the settings say what becomes of it.
    fn hear_asks(
        &mut self,
        stage: StageIndex,
        asker: &Asker,
        asks: Asks,
        scopes: &[Scope],
        standing: Option<Subject>,
    ) -> Result<(), EngineError> {
        let consent = self.spec.config.approvals.of(&asks);
        if let (Consent::Ask, Some(subject)) = (consent, &standing)
            && let Some(standing) = self.stands(stage, subject)?
        {
            return self.consent(stage, asker, Answer::Once, &standing.in_words());
        }
        match consent {
            Consent::Allow => self.consent(stage, asker, Answer::Once, "allowed by the settings"),
            Consent::Deny => self.consent(stage, asker, Answer::Deny, "denied by the settings"),
            Consent::Ask if self.spec.no_input => {
                self.consent(stage, asker, Answer::Deny, "denied: nobody is to be asked")
            }
            Consent::Ask => {
                let prompt = asks.sentence(self.is_held(stage));
                let repo = standing.as_ref().map(|_| Scope::Repo);
                let scopes = scopes.iter().copied().chain(repo).collect();
                let matter = Matter::Approval { asks, scopes, standing };
                let question = self.question(stage, prompt, matter);
                if let Some(asked) = self.asked(stage) {
                    asked.consent(question.question_id.clone(), *asker);
                }
                self.put_or_decline(stage, asker, vec![question])
            }
        }
    }

    /// Whether its caps hold the stage. One that could not be confined runs as its user wants it.
    fn is_held(&self, stage: StageIndex) -> bool {
        let cage = self.run.cage(stage).0.map(|cage| &cage["enforced"]);
        cage.is_some_and(|enforced| !enforced.is_null())
    }

    fn consent(
        &mut self,
        stage: StageIndex,
        asker: &Asker,
        answer: Answer,
        why: &str,
    ) -> Result<(), EngineError> {
        if let Some(conversation) = self.conversation(stage) {
            conversation.note(&format!("  {why}"));
        }
        self.answer(stage, asker, answer);
        Ok(())
    }

    /// What the stage waits for.
    pub(super) fn asked(&mut self, stage: StageIndex) -> Option<&mut Asked> {
        let live = self.live.iter_mut().find(|live| live.stage == stage);
        live.map(|live| &mut live.asked)
    }

    /// Tells whoever asked what came of it.
    fn answer(&mut self, stage: StageIndex, asker: &Asker, answer: Answer) {
        match asker {
            Asker::Thread(ask) => {
                if let Some(conversation) = self.conversation(stage) {
                    conversation.answer(ask, answer);
                }
            }
            Asker::Server(..) => self.answer_server(stage, *asker, &answer),
        }
    }

    /// What the thread wants to know from whoever is there, or the server that it has called.
    fn hear_questions(
        &mut self,
        stage: StageIndex,
        asker: &Asker,
        questions: Vec<codex::Question>,
        form: Option<(&str, &str)>,
    ) -> Result<(), EngineError> {
        if self.spec.no_input {
            return self.decline(stage, asker, "nobody is to be asked");
        }
        let put = match forms::put(questions, form) {
            Ok(put) => put,
            Err(why) => return self.decline(stage, asker, why),
        };
        let mut asked = Vec::with_capacity(put.len());
        for Put { prompt, matter, field } in put {
            let question = self.question(stage, prompt, matter);
            if let Some(asked) = self.asked(stage) {
                asked.input(question.question_id.clone(), *asker, field);
            }
            asked.push(question);
        }
        self.put_or_decline(stage, asker, asked)
    }

    /// What a server wants from a person.
    pub(super) fn hear_form(
        &mut self,
        stage: StageIndex,
        asker: &Asker,
        server: &str,
        message: &str,
        form: Form,
    ) -> Result<(), EngineError> {
        // A server asks as often as it likes.
        if self.asked(stage).is_some_and(|asked| asked.asks() >= MOST_ASKS) {
            return self.decline(stage, asker, "too much is asked already");
        }
        let url = match form {
            Form::Fields(fields) => {
                return self.hear_questions(stage, asker, fields, Some((server, message)));
            }
            Form::Strange => return self.decline(stage, asker, "its form is none that we know"),
            Form::Empty => None,
            Form::Visit { url } => match forms::address(&url) {
                Some(url) => Some(url),
                None => return self.decline(stage, asker, "its address cannot be shown"),
            },
        };
        let (server, message) = (forms::message(server), forms::message(message));
        let asks = Asks::Elicitation { server, message, url };
        self.hear_asks(stage, asker, asks, &[Scope::Once], None)
    }

    /// Puts all of it down at once, for that ask, for which the stage waits already.
    fn put_or_decline(
        &mut self,
        stage: StageIndex,
        asker: &Asker,
        asked: Vec<Question>,
    ) -> Result<(), EngineError> {
        if self.put(asked)? {
            self.hold_clocks();
            return Ok(());
        }
        if let Some(asked) = self.asked(stage) {
            asked.withdraw(asker);
        }
        self.decline(stage, asker, "the run is ending, or asks too much")
    }

    fn decline(&mut self, stage: StageIndex, asker: &Asker, why: &str) -> Result<(), EngineError> {
        self.consent(stage, asker, Answer::Decline, &format!("not answered: {why}"))
    }

    pub(super) fn question(&self, stage: StageIndex, prompt: String, matter: Matter) -> Question {
        let expires_in_ms = match matter {
            Matter::Approval { .. } => self.spec.config.approvals.expires_in_ms,
            Matter::Question { .. } | Matter::Confirmation { .. } => None,
        };
        let expires = |ms| edge::now().after(Duration::from_millis(ms));
        Question {
            question_id: edge::new_question_id(),
            prompt,
            matter,
            // A thread stands still until it is answered.
            urgency: Urgency::High,
            stage_id: Some(self.spec.plan.stages[stage.get()].id.clone()),
            thread_id: self.run.thread(stage).and_then(|thread| thread.id.clone()),
            expires_at: expires_in_ms.map(expires),
        }
    }

    /// Writes questions down, in one commit; says whether they could be asked.
    pub(super) fn put(&mut self, questions: Vec<Question>) -> Result<bool, EngineError> {
        let mut foreseen = self.run.clone();
        let mut wishes = Vec::with_capacity(questions.len());
        for question in questions {
            let request = Request::Ask { question: Box::new(question) };
            let Ok(events) = foreseen.decide(&request) else { return Ok(false) };
            record::add(&mut foreseen, &mut Vec::new(), events.clone(), Actor::Child);
            wishes.push((Actor::Child, events));
        }
        self.happen_together(wishes, &[]).map(|()| true)
    }

    /// Nobody waits for that answer any more.
    pub(super) fn withdraw(&mut self, stage: StageIndex, asker: &Asker) -> Result<(), EngineError> {
        let Some(live) = self.live.iter_mut().find(|live| live.stage == stage) else {
            return Ok(());
        };
        live.elicited.remove(asker);
        let gone = live.asked.withdraw(asker);
        self.close_vain(gone)?;
        self.hold_clocks();
        Ok(())
    }

    /// Closes questions to which nobody waits for an answer any more.
    fn close_vain(&mut self, vain: Vec<QuestionId>) -> Result<(), EngineError> {
        for question_id in vain {
            let request = Request::Resolve { question_id, resolution: Resolution::Withdrawn };
            if let Ok(events) = self.run.decide(&request) {
                self.happen(events, Actor::Runner)?;
            }
        }
        Ok(())
    }

    /// Passes on what is written down: answers to whoever asked, and messages to threads.
    pub(super) fn pass_on(&mut self, fresh: &[Recorded]) -> Result<(), EngineError> {
        let mut vain = Vec::new();
        for recorded in fresh {
            match &recorded.event {
                Event::ApprovalResolved { question_id, resolution }
                | Event::QuestionAnswered { question_id, resolution }
                | Event::QuestionClosed { question_id, resolution } => {
                    let passed = match resolution {
                        Resolution::Approved { scope, .. } => {
                            Passed::Yes { always: *scope == Scope::Run }
                        }
                        Resolution::Answered { answer, .. } => Passed::Text(answer.clone()),
                        _ => Passed::No,
                    };
                    let of_all = self
                        .live
                        .iter_mut()
                        .map(|live| (live.stage, live.asked.resolve(question_id, passed.clone())));
                    for (stage, Follows { answer, vain: gone }) in of_all.collect::<Vec<_>>() {
                        vain.extend(gone);
                        if let Some((asker, answer)) = answer {
                            self.answer(stage, &asker, answer);
                        }
                    }
                    self.hold_clocks();
                }
                Event::MessageSent { text } => {
                    let stage = self.run.mid_turn().next();
                    if let Some(conversation) = stage.and_then(|stage| self.conversation(stage)) {
                        conversation.steer(text);
                    }
                }
                _ => {}
            }
        }
        self.close_vain(vain)
    }
}
