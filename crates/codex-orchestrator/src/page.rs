//! What is behind the local page: the documents and deeds that commands have, for the person whom the
//! page let in.

mod deeds;
mod log;
mod peer;
mod view;

use std::{net::SocketAddr, path::Path, sync::Mutex};

use engine::{Access, Engine};
use model::{By, Door, RunId};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use web::{Code, Fault, Leave};

use crate::{
    failure::{Failure, FailureKind},
    surroundings::Surroundings,
};

/// Answers what the page asks.
pub(crate) struct Desk {
    here: Surroundings,
    /// Of every repository that has runs, and not of this one alone.
    all_repos: bool,
    /// Told of each thing that is done, and of whoever is not let in.
    tell: Box<dyn Fn(&str) + Send + Sync>,
    /// Who was not let in last: one that tries again and again is told of once.
    turned_away: Mutex<Option<String>>,
}

/// Whoever the page let in.
const PERSON: By = By::Person { door: Door::Page };

impl Desk {
    pub(crate) fn new(
        here: Surroundings,
        all_repos: bool,
        tell: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self { here, all_repos, tell: Box::new(tell), turned_away: Mutex::default() }
    }

    /// The repositories that the page shows.
    fn engines(&self) -> Result<Vec<Engine>, Failure> {
        Ok(self.here.engines(self.all_repos)?)
    }

    /// One of them.
    fn engine(&self, root: &str) -> Result<Engine, Failure> {
        let root = Path::new(root);
        if !self.all_repos && root != self.here.place.root {
            let text = format!("this page is not for {}", root.display());
            return Err(Failure::not_found(text).hint("`codex-orch ui --all-repos` shows all"));
        }
        Ok(Engine::open(&self.here.state, root, Access::Look)?)
    }

    fn run(&self, root: &str, run: &RunId) -> Result<Engine, Failure> {
        let engine = self.engine(root)?;
        engine.journal().row(run).map_err(engine::EngineError::from)?;
        Ok(engine)
    }
}

impl web::Desk for Desk {
    fn call(
        &self,
        name: &str,
        body: Map<String, Value>,
        leave: &Leave,
    ) -> Option<Result<Value, Fault>> {
        let answer = match name {
            "look" => read(body).and_then(|ask| self.look(&ask, leave)),
            "log" => read(body).and_then(|ask| self.log(&ask)),
            "diff" => read(body).and_then(|ask| self.diff(&ask)),
            _ => self.deed(name, body)?,
        };
        Some(answer.map_err(|failure| fault(&failure)))
    }

    fn admits(&self, peer: SocketAddr, own: SocketAddr) -> Result<(), String> {
        let verdict = peer::admits(peer, own);
        if let Err(why) = &verdict
            && let Ok(mut last) = self.turned_away.lock()
            && last.as_ref() != Some(why)
        {
            (self.tell)(&format!("turned away: {why}"));
            *last = Some(why.clone());
        }
        verdict
    }
}

/// What is asked, if it is asked for rightly.
fn read<T: DeserializeOwned>(body: Map<String, Value>) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(body)).map_err(Failure::usage)
}

fn value(document: impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(document).map_err(|error| Failure::new(FailureKind::Internal, error))
}

fn fault(failure: &Failure) -> Fault {
    let code = match failure.kind {
        FailureKind::Usage => Code::Usage,
        FailureKind::NotFound => Code::NotFound,
        FailureKind::TimedOut => Code::TimedOut,
        FailureKind::Internal => Code::Internal,
        FailureKind::Conflict
        | FailureKind::RunFailed
        | FailureKind::Cancelled
        | FailureKind::Interrupted
        | FailureKind::Unattended
        | FailureKind::Command(_) => Code::Conflict,
    };
    let next_step = failure.next_step().map(ToOwned::to_owned);
    Fault { code, message: failure.to_string(), next_step }
}
