//! What a thread asks for: what policy makes of it, what somebody is asked, and what is passed on to
//! the thread.

use std::time::Duration;

use codex::{Answer, AskId, Wants};
use model::{
    Actor, Asks, Consent, Event, Matter, Question, QuestionId, Recorded, Request, Resolution,
    Scope, StageIndex, Urgency,
};

use super::Runner;
use crate::{
    EngineError,
    conversation::{self, Passed},
    edge,
};

impl Runner<'_, '_, '_> {
    /// What the thread wants to do and may not by itself.
    pub(super) fn hear_wish(
        &mut self,
        stage: StageIndex,
        ask: AskId,
        wants: Wants,
    ) -> Result<(), EngineError> {
        let lasts = conversation::lasts(&wants);
        let asks = match wants {
            Wants::Input { questions } => return self.hear_questions(stage, ask, questions),
            // A form for a person to fill in, which no agent may fill in for them.
            Wants::Elicitation { .. } => {
                return self.consent(stage, &ask, Answer::Decline, "no form is filled in");
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
        let policy = &self.spec.config.approvals;
        match policy.of(&asks) {
            Consent::Allow => self.consent(stage, &ask, Answer::Once, "allowed by the settings"),
            Consent::Deny => self.consent(stage, &ask, Answer::Deny, "denied by the settings"),
            Consent::Ask if self.spec.no_input => {
                self.consent(stage, &ask, Answer::Deny, "denied: nobody is to be asked")
            }
            Consent::Ask => {
                let scopes = match lasts {
                    true => vec![Scope::Once, Scope::Run],
                    false => vec![Scope::Once],
                };
                // A stage that could not be confined runs as its user wants it.
                let cage = self.run.cage(stage).0.map(|cage| &cage["enforced"]);
                let prompt = asks.sentence(cage.is_some_and(|enforced| !enforced.is_null()));
                let matter = Matter::Approval { asks, scopes };
                let question = self.question(stage, prompt, matter);
                let id = question.question_id.clone();
                match self.put(question)? {
                    true => {
                        if let Some(conversation) = self.conversation(stage) {
                            conversation.waits_for(id, ask);
                        }
                        self.hold_clocks();
                        Ok(())
                    }
                    false => self.consent(stage, &ask, Answer::Deny, "denied: the run is ending"),
                }
            }
        }
    }

    fn consent(
        &mut self,
        stage: StageIndex,
        ask: &AskId,
        answer: Answer,
        why: &str,
    ) -> Result<(), EngineError> {
        if let Some(conversation) = self.conversation(stage) {
            conversation.note(&format!("  {why}"));
            conversation.answer(ask, answer);
        }
        Ok(())
    }

    /// What the thread wants to know from whoever is there.
    fn hear_questions(
        &mut self,
        stage: StageIndex,
        ask: AskId,
        questions: Vec<codex::Question>,
    ) -> Result<(), EngineError> {
        if self.spec.no_input || questions.len() != 1 {
            let why = "not answered: nobody is to be asked, or several things at once";
            return self.consent(stage, &ask, Answer::Decline, why);
        }
        for asked in questions {
            let options = asked.options.iter().map(|(option, _)| option.clone()).collect();
            let matter = Matter::Question {
                options,
                default: None,
                fallback: model::Fallback::Resume,
                auto_pause: false,
            };
            let question = self.question(stage, asked.question, matter);
            let id = question.question_id.clone();
            if !self.put(question)? {
                return self.consent(stage, &ask, Answer::Decline, "the run is ending");
            }
            if let Some(conversation) = self.conversation(stage) {
                conversation.waits_for_input(id, ask, asked.id);
            }
        }
        self.hold_clocks();
        Ok(())
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

    /// Writes a question down; says whether it could be asked.
    pub(super) fn put(&mut self, question: Question) -> Result<bool, EngineError> {
        match self.run.decide(&Request::Ask { question: Box::new(question) }) {
            Ok(events) => self.happen(events, Actor::Child).map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Codex does not wait for that answer any more.
    pub(super) fn withdraw(&mut self, stage: StageIndex, ask: &AskId) -> Result<(), EngineError> {
        let gone: Vec<QuestionId> =
            self.conversation(stage).map(|it| it.withdraw(ask)).unwrap_or_default();
        for question_id in gone {
            let request = Request::Resolve { question_id, resolution: Resolution::Withdrawn };
            if let Ok(events) = self.run.decide(&request) {
                self.happen(events, Actor::Runner)?;
            }
        }
        self.hold_clocks();
        Ok(())
    }

    /// Passes on to threads what is written down: answers to what they asked, and messages.
    pub(super) fn pass_on(&mut self, fresh: &[Recorded]) {
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
                    let conversations =
                        self.live.iter_mut().filter_map(|live| live.conversation.as_mut());
                    conversations.for_each(|it| it.pass_on(question_id, passed.clone()));
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
    }
}
