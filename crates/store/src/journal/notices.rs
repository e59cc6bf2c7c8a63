//! What a person is to be told, and how it went to tell them.

use model::{Notice, Recorded, RunId, Seq, Timestamp, Way};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Durability, Journal, word};
use crate::StoreError;

/// Something that a person is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Its number among the news; later is larger.
    pub id: i64,
    /// The run it is about.
    pub run_id: RunId,
    /// The event it is about, by its number among the run's.
    pub seq: Seq,
    /// When that happened.
    pub at: Timestamp,
    /// What kind of notice it is.
    pub notice: Notice,
}

/// What waits to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untold {
    /// How much.
    pub count: u32,
    /// When the oldest of it happened.
    pub since: Timestamp,
}

/// What came of telling somebody something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Telling {
    /// They were told.
    Told,
    /// There is nothing any more that would tell them that way.
    NoWay,
    /// It was tried often enough.
    GivenUp {
        /// What went wrong the last time.
        failure: String,
    },
    /// It cannot be tried now; it stays to be told.
    Stuck {
        /// Why not.
        failure: String,
    },
}

/// How it goes with telling people one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayRow {
    /// Which way.
    pub way: Way,
    /// When it last worked.
    pub told_at: Option<Timestamp>,
    /// When it last did not.
    pub failed_at: Option<Timestamp>,
    /// What went wrong then.
    pub failure: Option<String>,
    /// How many notices were given up since it last worked.
    pub lost: u32,
}

impl Journal {
    /// Whether there is anything to be told.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn is_anything_untold(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM notices)";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// What waits to be told; `None` when nothing does.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn untold(&self) -> Result<Option<Untold>, StoreError> {
        let sql = "SELECT count(*), min(at) FROM notices JOIN news USING (id)";
        let (count, since): (u32, Option<i64>) =
            self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(since.map(|since| Untold { count, since: Timestamp::from_millis(since) }))
    }

    /// The oldest that is to be told that way.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn next_notice(&self, way: Way) -> Result<Option<NoticeRow>, StoreError> {
        let sql = format!(
            "SELECT news.id, run_id, seq, at, notices.kind
             FROM notices JOIN news USING (id) JOIN runs ON runs.id = news.run
             WHERE {way} = 0 ORDER BY notices.id LIMIT 1",
            way = way.as_str()
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let seq: i64 = row.get(2)?;
        let kind: String = row.get(4)?;
        let run_id: String = row.get(1)?;
        Ok(Some(NoticeRow {
            id: row.get(0)?,
            run_id: super::unword(&run_id)?,
            seq: Seq(u64::try_from(seq).unwrap_or(0)),
            at: Timestamp::from_millis(row.get(3)?),
            notice: super::unword(&kind)?,
        }))
    }

    /// Writes down what came of telling somebody that. What is told by every way is not kept. When
    /// the machine goes down just then, they are told once more.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written.
    pub fn note_telling(
        &mut self,
        id: i64,
        way: Way,
        telling: &Telling,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let step = self.begin(Durability::Trace)?;
        if !matches!(telling, Telling::Stuck { .. }) {
            let sql = format!("UPDATE notices SET {} = 1 WHERE id = ?1", way.as_str());
            step.prepare_cached(&sql)?.execute([id])?;
            step.prepare_cached("DELETE FROM notices WHERE id = ?1 AND command AND webhook")?
                .execute([id])?;
        }
        let (told, failure, lost) = match telling {
            Telling::NoWay => (None, None, 0),
            Telling::Told => (Some(now.as_millis()), None, 0),
            Telling::GivenUp { failure } => (None, Some(failure), 1),
            Telling::Stuck { failure } => (None, Some(failure), 0),
        };
        if told.is_some() || failure.is_some() {
            step.prepare_cached(
                "INSERT INTO ways (way, told_at, failed_at, failure, lost) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (way) DO UPDATE SET
                     told_at = coalesce(excluded.told_at, told_at),
                     failed_at = coalesce(excluded.failed_at, failed_at),
                     failure = excluded.failure,
                     lost = iif(excluded.failure IS NULL, 0, lost + excluded.lost)",
            )?
            .execute(params![
                way.as_str(),
                told,
                failure.map(|_| now.as_millis()),
                failure,
                lost
            ])?;
        }
        step.commit()?;
        Ok(())
    }

    /// How it goes with each way by which anybody was to be told anything.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub fn ways(&self) -> Result<Vec<WayRow>, StoreError> {
        let mut ways = Vec::new();
        for &way in Way::ALL {
            let sql = "SELECT told_at, failed_at, failure, lost FROM ways WHERE way = ?1";
            let row = self.connection.query_row(sql, [way.as_str()], |row| {
                Ok(WayRow {
                    way,
                    told_at: row.get::<_, Option<i64>>(0)?.map(Timestamp::from_millis),
                    failed_at: row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis),
                    failure: row.get(2)?,
                    lost: row.get(3)?,
                })
            });
            ways.extend(row.optional()?);
        }
        Ok(ways)
    }
}

/// Puts the event among what a person is to be told, if its run was started with the wish for it.
pub(super) fn write(
    step: &Transaction<'_>,
    run: i64,
    news: i64,
    recorded: &Recorded,
) -> Result<(), StoreError> {
    let Some(notice) = Notice::of(&recorded.event) else { return Ok(()) };
    step.prepare_cached(
        "INSERT INTO notices (id, kind)
         SELECT ?1, ?2 FROM specs WHERE run = ?3
         AND ?2 IN (SELECT value FROM json_each(spec, '$.notify.on'))",
    )?
    .execute(params![news, word(&notice)?, run])?;
    Ok(())
}
