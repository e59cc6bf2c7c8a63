//! Approvals that stand in a repository, looked at and taken back from outside of its runs.

use model::{By, QuestionId, Standing};

use crate::{Engine, EngineError, edge};

impl Engine {
    /// What a person has allowed for all runs of the repository, the oldest first.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn standing(&self) -> Result<Vec<Standing>, EngineError> {
        Ok(self.journal().standing()?)
    }

    /// Takes one of them back: whoever wishes for the same next is asked about it again. Says whether
    /// it stood.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn revoke(&mut self, id: &QuestionId, by: &By) -> Result<bool, EngineError> {
        Ok(self.journal_mut().revoke(id, by, edge::now())?)
    }
}
