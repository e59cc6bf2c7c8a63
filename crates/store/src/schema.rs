//! The steps by which the database came to its shape. They are counted by `user_version`; a step
//! that was ever released is never edited.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior, ffi};

use crate::{
    StoreError,
    patience::{GIVE_UP, watched},
    turn,
};

const STEPS: &[&str] = &["
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        tail TEXT NOT NULL,
        task_id TEXT NOT NULL,
        parent_run_id TEXT,
        origin TEXT NOT NULL,
        pipeline_id TEXT NOT NULL,
        pipeline_title TEXT NOT NULL,
        status TEXT NOT NULL,
        detail TEXT,
        created_at INTEGER NOT NULL,
        started_at INTEGER,
        updated_at INTEGER NOT NULL,
        ended_at INTEGER,
        head INTEGER NOT NULL
    ) STRICT;

    -- Apart from the row that each commit of a run writes anew: with hundreds of stages it is large.
    CREATE TABLE specs (
        run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
        spec TEXT NOT NULL
    ) STRICT;
    CREATE INDEX runs_tail ON runs (tail);
    CREATE INDEX runs_task ON runs (task_id, id);
    CREATE INDEX runs_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
    CREATE INDEX runs_status ON runs (status, id);

    CREATE TABLE events (
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (run, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        body TEXT NOT NULL,
        outcome TEXT
    ) STRICT;
    CREATE INDEX requests_open ON requests (run, id) WHERE outcome IS NULL;
    CREATE INDEX requests_run ON requests (run);
", "
    -- Who runs it, what it waits for, the name that was given to the wish for it, and the session
    -- it stands for.
    ALTER TABLE runs ADD COLUMN runner_pid INTEGER;
    ALTER TABLE runs ADD COLUMN waiting TEXT;
    ALTER TABLE runs ADD COLUMN spawn_key TEXT;
    ALTER TABLE runs ADD COLUMN session TEXT;
    -- What its threads have used up.
    ALTER TABLE runs ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN turns INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN work_ms INTEGER NOT NULL DEFAULT 0;
    CREATE UNIQUE INDEX runs_key ON runs (spawn_key) WHERE spawn_key IS NOT NULL;
    CREATE UNIQUE INDEX runs_session ON runs (session) WHERE session IS NOT NULL;

    -- What runs ask, as their events say it: for lists, and for looking one up by its name.
    CREATE TABLE questions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        question_id TEXT NOT NULL UNIQUE,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        asked_at INTEGER NOT NULL,
        expires_at INTEGER,
        body TEXT NOT NULL,
        state TEXT NOT NULL,
        resolution TEXT,
        resolved_at INTEGER
    ) STRICT;
    CREATE INDEX questions_run ON questions (run, id);
    CREATE INDEX questions_open ON questions (id) WHERE state = 'open';
    CREATE INDEX questions_expiry ON questions (expires_at)
        WHERE state = 'open' AND expires_at IS NOT NULL;

    -- Those events, of all runs in one order, for which somebody may wait. A number is never used
    -- twice, so that it says what a waiter has seen.
    CREATE TABLE news (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        question_id TEXT
    ) STRICT;
    CREATE INDEX news_run ON news (run, id);

    -- Those of the news that a person is to be told and has not been, and by which ways they have.
    CREATE TABLE notices (
        id INTEGER PRIMARY KEY REFERENCES news (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        command INTEGER NOT NULL DEFAULT 0,
        webhook INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX notices_command ON notices (command, id);
    CREATE INDEX notices_webhook ON notices (webhook, id);

    -- How it went with telling them, each way.
    CREATE TABLE ways (
        way TEXT PRIMARY KEY,
        told_at INTEGER,
        failed_at INTEGER,
        failure TEXT,
        lost INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Runs of other repositories that runs of this one started.
    CREATE TABLE far_children (
        parent_run_id TEXT NOT NULL,
        run_id TEXT NOT NULL,
        root TEXT NOT NULL,
        PRIMARY KEY (parent_run_id, run_id)
    ) STRICT, WITHOUT ROWID;
", "
    -- What a person has allowed for all runs of the repository. It outlives the run that had asked.
    CREATE TABLE standing (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        question_id TEXT NOT NULL UNIQUE,
        subject TEXT NOT NULL,
        given_by TEXT NOT NULL,
        given_at INTEGER NOT NULL,
        run_id TEXT NOT NULL,
        revoked_by TEXT,
        revoked_at INTEGER
    ) STRICT;
    CREATE INDEX standing_subject ON standing (subject) WHERE revoked_at IS NULL;
"];

/// The version since which approvals can stand.
pub(crate) const WITH_STANDING: i64 = 3;

/// The version that this program writes.
pub(crate) fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    // The first look of a connection, for which the shared memory may have to be made anew.
    Ok(watched(|| connection.query_row("PRAGMA user_version", [], |row| row.get(0)))?)
}

/// Refuses a database that a newer program wrote.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let found = version(connection)?;
    if found > known() {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: known() });
    }
    Ok(found)
}

/// Brings the database to this program's version.
pub(crate) fn upgrade(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    match check(connection, path) {
        Ok(version) if version == known() => return Ok(()),
        Err(error) if !error.is_busy() => return Err(error),
        _ => {}
    }
    // One at a time: all who have to do with a new repository come at once, and for the lock that a
    // new database wants nobody may wait.
    let _turn = turn::take(path);
    let begun = Instant::now();
    loop {
        match try_upgrade(connection, path) {
            // Somebody goes on without a turn, or looks just then. SQLite says at once that it is
            // busy: waiting with a lock in one's hands could be for ever. We have none any more.
            Err(error) if error.is_busy() && begun.elapsed() < GIVE_UP => {
                std::thread::sleep(Duration::from_millis(2));
            }
            upgraded => return upgraded,
        }
    }
}

fn try_upgrade(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    if check(connection, path)? == known() {
        return Ok(());
    }
    // Some file systems cannot share the memory that WAL needs; there the older way stays, which
    // is slower and just as safe.
    if shares_memory(path)? {
        let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    }
    let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Somebody may have done it while we waited for the lock.
    let done = usize::try_from(check(&step, path)?).unwrap_or(0);
    for sql in STEPS.iter().skip(done) {
        step.execute_batch(sql)?;
    }
    step.pragma_update(None, "user_version", known())?;
    step.commit()?;
    Ok(())
}

/// Whether WAL works beside that path. It is tried with a database that is thrown away: one that
/// was once told to use WAL can no longer be opened where that does not work.
fn shares_memory(path: &Path) -> Result<bool, StoreError> {
    // Several threads may come to a new database at once, each with a trial of its own.
    static TRIALS: AtomicU64 = AtomicU64::new(0);
    let number = TRIALS.fetch_add(1, Ordering::Relaxed);
    let trial = path.with_extension(format!("trial-{}-{number}", std::process::id()));
    let mode = Connection::open(&trial).and_then(|trial| {
        trial.execute_batch("PRAGMA synchronous = OFF")?;
        let mode = "PRAGMA journal_mode = WAL";
        let mode = trial.query_row(mode, [], |row| row.get::<_, String>(0))?;
        // Only what is written is in the memory to be shared.
        trial.execute_batch("CREATE TABLE trial (a)")?;
        Ok(mode)
    });
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut file = trial.clone().into_os_string();
        file.push(ending);
        let _ = std::fs::remove_file(file);
    }
    match mode {
        Ok(mode) => Ok(mode == "wal"),
        Err(error) => match error.sqlite_error().map(|error| error.extended_code) {
            Some(
                ffi::SQLITE_IOERR_SHMOPEN
                | ffi::SQLITE_IOERR_SHMSIZE
                | ffi::SQLITE_IOERR_SHMLOCK
                | ffi::SQLITE_IOERR_SHMMAP,
            ) => Ok(false),
            _ => Err(error.into()),
        },
    }
}
