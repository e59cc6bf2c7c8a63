//! Approvals that stand. One begins with the event that says so, in its commit, and outlives the run
//! that had asked; it ends when a person takes it back.

use model::{
    By, Event, Matter, Question, QuestionId, Recorded, Resolution, RunId, Scope, Standing, Subject,
    Timestamp,
};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{Durability, Journal};
use crate::{StoreError, schema};

const COLUMNS: &str = "question_id, subject, given_by, given_at, run_id";

impl Journal {
    /// Those that nobody has taken back, the oldest first.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn standing(&self) -> Result<Vec<Standing>, StoreError> {
        // One that cannot be written stays what an older program has made of it.
        if schema::check(&self.connection, &self.path)? < schema::WITH_STANDING {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT {COLUMNS} FROM standing WHERE revoked_at IS NULL ORDER BY id");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(standing(row)?);
        }
        Ok(found)
    }

    /// The one for that, if there is one.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn stands(&self, subject: &Subject) -> Result<Option<Standing>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM standing WHERE subject = ?1 AND revoked_at IS NULL LIMIT 1"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([serde_json::to_string(subject)?])?;
        rows.next()?.map(standing).transpose()
    }

    /// Takes back what was allowed under that name, and whatever says the same. Says whether anything
    /// stood.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn revoke(&mut self, id: &QuestionId, by: &By, at: Timestamp) -> Result<bool, StoreError> {
        let step = self.begin(Durability::Fact)?;
        let revoked = step
            .prepare_cached(
                "UPDATE standing SET revoked_at = ?2, revoked_by = ?3 WHERE revoked_at IS NULL
                 AND subject = (SELECT subject FROM standing WHERE question_id = ?1)",
            )?
            .execute(params![id.as_str(), at.as_millis(), serde_json::to_string(by)?])?;
        step.commit()?;
        Ok(revoked > 0)
    }
}

fn standing(row: &Row<'_>) -> Result<Standing, StoreError> {
    let broken = |what: String| StoreError::Storage(format!("a row of the journal: {what}").into());
    let id: String = row.get(0)?;
    let subject: String = row.get(1)?;
    let by: String = row.get(2)?;
    let run: String = row.get(4)?;
    Ok(Standing {
        question_id: id.parse().map_err(|bad: model::BadQuestionId| broken(bad.to_string()))?,
        subject: serde_json::from_str(&subject)?,
        by: serde_json::from_str(&by)?,
        at: Timestamp::from_millis(row.get(3)?),
        run_id: run.parse().map_err(|bad: model::BadRunId| broken(bad.to_string()))?,
    })
}

/// Keeps what the event says of an approval that is to stand.
pub(super) fn write(
    step: &Transaction<'_>,
    run: i64,
    recorded: &Recorded,
) -> Result<(), StoreError> {
    let Event::ApprovalResolved {
        question_id,
        resolution: Resolution::Approved { by, scope: Scope::Repo },
    } = &recorded.event
    else {
        return Ok(());
    };
    let asked: Option<(String, String)> = step
        .prepare_cached(
            "SELECT body, runs.run_id FROM questions JOIN runs ON runs.id = run
             WHERE question_id = ?1 AND run = ?2",
        )?
        .query_row(params![question_id.as_str(), run], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((body, run_id)) = asked else { return Ok(()) };
    let question: Question = serde_json::from_str(&body)?;
    let Matter::Approval { standing: Some(subject), .. } = question.matter else { return Ok(()) };
    let run_id: RunId = run_id.parse().map_err(|bad: model::BadRunId| {
        StoreError::Storage(format!("a row of the journal: {bad}").into())
    })?;
    step.prepare_cached(
        "INSERT INTO standing (question_id, subject, given_by, given_at, run_id)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        question_id.as_str(),
        serde_json::to_string(&subject)?,
        serde_json::to_string(by)?,
        recorded.at.as_millis(),
        run_id.as_str(),
    ])?;
    Ok(())
}
