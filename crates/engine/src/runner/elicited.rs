//! What servers across bridges want from a person. It is asked as what a thread's own Codex passes on
//! from servers, and answered to the bridge, which is outside of all that holds the thread: nothing
//! that is held sees what is asked, or could answer it.

use codex::{Answer, Elicitation};
use model::{Attempt, StageIndex};

use super::{Runner, forms};
use crate::{
    EngineError,
    asked::Asker,
    channel::{Bidding, ServedId},
};

impl Runner<'_, '_, '_> {
    /// A server wants something.
    pub(super) fn hear_elicited(
        &mut self,
        stage: StageIndex,
        attempt: Attempt,
        asker: Asker,
        server: &str,
        asked: Elicitation,
    ) -> Result<(), EngineError> {
        let Some(at) = self.live_at(stage, attempt) else {
            self.tell_server(asker, &asked, &Answer::Cancel);
            return Ok(());
        };
        let (message, form) = (asked.message.clone(), asked.form());
        let live = &mut self.live[at];
        live.elicited.insert(asker, asked);
        if let Some(conversation) = &mut live.conversation {
            conversation.note(&forms::message(&format!("? {server} asks: {message}")));
        }
        self.hear_form(stage, &asker, server, &message, form)
    }

    /// Tells a server what came of what it wanted, if it still wants it.
    pub(super) fn answer_server(&mut self, stage: StageIndex, asker: Asker, answer: &Answer) {
        let live = self.live.iter_mut().find(|live| live.stage == stage);
        if let Some(asked) = live.and_then(|live| live.elicited.remove(&asker)) {
            self.tell_server(asker, &asked, answer);
        }
    }

    fn tell_server(&mut self, asker: Asker, asked: &Elicitation, answer: &Answer) {
        if let Asker::Server(served, number) = asker {
            let result = asked.result(answer);
            self.servers.bid(served, &Bidding::Elicited { number, result });
        }
    }

    /// A bridge is gone, and with it its server, which waits for nothing any more.
    pub(super) fn withdraw_all_of(
        &mut self,
        stage: StageIndex,
        served: ServedId,
    ) -> Result<(), EngineError> {
        let asked = self.asked(stage).map(|asked| asked.by(served)).unwrap_or_default();
        asked.iter().try_for_each(|asker| self.withdraw(stage, asker))
    }
}
