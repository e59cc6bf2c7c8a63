//! What a run is asked by others: written down by whoever asks, answered by its runner.

use model::{Actor, Refusal, Request, RunId, Timestamp};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Durability, Journal, row_of, unword};
use crate::StoreError;

/// The number of a request, over all runs of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(i64);

/// A request that has not been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRow {
    /// Its number.
    pub id: RequestId,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
    pub actor: Actor,
    /// What is asked.
    pub request: Request,
}

/// The word for a request that was granted; anything else is a refusal.
const GRANTED: &str = "granted";

impl Journal {
    /// Asks the run's runner for something.
    ///
    /// # Errors
    ///
    /// `NoSuchRun`, or when the journal cannot be written.
    pub fn ask(
        &mut self,
        run: &RunId,
        at: Timestamp,
        actor: Actor,
        request: &Request,
    ) -> Result<RequestId, StoreError> {
        let step = self.begin(Durability::Fact)?;
        let (row, _) = row_of(&step, run)?;
        step.prepare_cached("INSERT INTO requests (run, at, actor, body) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                row,
                at.as_millis(),
                actor.as_str(),
                serde_json::to_string(request)?
            ])?;
        let id = RequestId(step.last_insert_rowid());
        step.commit()?;
        Ok(id)
    }

    /// What the run is asked and has not answered, the oldest first.
    ///
    /// # Errors
    ///
    /// `NoSuchRun`, or when the journal cannot be read.
    pub fn asked(&self, run: &RunId) -> Result<Vec<RequestRow>, StoreError> {
        let (row, _) = row_of(&self.connection, run)?;
        let mut statement = self.connection.prepare_cached(
            "SELECT id, at, actor, body FROM requests
             WHERE run = ?1 AND outcome IS NULL ORDER BY id",
        )?;
        let mut rows = statement.query([row])?;
        let mut asked = Vec::new();
        while let Some(row) = rows.next()? {
            let actor: String = row.get(2)?;
            let body: String = row.get(3)?;
            asked.push(RequestRow {
                id: RequestId(row.get(0)?),
                at: Timestamp::from_millis(row.get(1)?),
                actor: unword(&actor)?,
                request: serde_json::from_str(&body)?,
            });
        }
        Ok(asked)
    }

    /// What became of a request; `None` while nobody has answered it.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn answer(&self, request: RequestId) -> Result<Option<Result<(), Refusal>>, StoreError> {
        let outcome: Option<Option<String>> = self
            .connection
            .prepare_cached("SELECT outcome FROM requests WHERE id = ?1")?
            .query_row([request.0], |row| row.get(0))
            .optional()?;
        match outcome.flatten().as_deref() {
            None => Ok(None),
            Some(GRANTED) => Ok(Some(Ok(()))),
            Some(refusal) => Ok(Some(Err(read(refusal)?))),
        }
    }

    /// Takes a request back that nobody has answered. Says whether it was still open.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn withdraw(&mut self, request: RequestId) -> Result<bool, StoreError> {
        let step = self.begin(Durability::Fact)?;
        let gone = step
            .prepare_cached("DELETE FROM requests WHERE id = ?1 AND outcome IS NULL")?
            .execute([request.0])?;
        step.commit()?;
        Ok(gone > 0)
    }
}

/// A refusal as it is kept: a word, or JSON where it says more than a word.
fn written(refusal: &Refusal) -> Result<String, StoreError> {
    Ok(match serde_json::to_value(refusal)? {
        serde_json::Value::String(word) => word,
        more => more.to_string(),
    })
}

fn read(text: &str) -> Result<Refusal, StoreError> {
    match text.starts_with('{') {
        true => Ok(serde_json::from_str(text)?),
        false => unword(text),
    }
}

/// Writes an answer down. The first one stays.
pub(super) fn settle(
    step: &Transaction<'_>,
    request: RequestId,
    outcome: &Result<(), Refusal>,
) -> Result<(), StoreError> {
    let word = match outcome {
        Ok(()) => GRANTED.to_owned(),
        Err(refusal) => written(refusal)?,
    };
    step.prepare_cached("UPDATE requests SET outcome = ?2 WHERE id = ?1 AND outcome IS NULL")?
        .execute(params![request.0, word])?;
    Ok(())
}
