-- A journal of version 2, as its program wrote it, with one run.
PRAGMA foreign_keys = OFF;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE events (
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (run, seq)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "events" VALUES(1,1,1796051907702,'user','{"event":"run_queued","payload":{"pipeline_id":"exec","pipeline_title":"true","stages":1}}');
INSERT INTO "events" VALUES(1,2,1796051907702,'runner','{"event":"run_started","payload":{"runner":{"pid":32741,"boot_id":"00000000-0000-4000-8000-000000000000","hostname":"host"}}}');
INSERT INTO "events" VALUES(1,3,1796051907702,'runner','{"event":"step_started","payload":{"stage_id":"command","stage_index":1,"attempt":1}}');
INSERT INTO "events" VALUES(1,4,1796051907714,'runner','{"event":"step_launched","payload":{"stage_id":"command","stage_index":1,"attempt":1,"tree":{"guard":{"pid":32750,"start_time":1380619},"shim":{"pid":32753,"start_time":1380620},"leader":{"pid":32755,"start_time":1380620},"rung":"cgroup2","cgroup":"/sys/fs/cgroup/unified/codex-orch-213692a1b1a05e64-32750-1","boot_id":"00000000-0000-4000-8000-000000000000","pid_namespace":4026531836,"uid":0}}}');
INSERT INTO "events" VALUES(1,5,1796051907715,'runner','{"event":"step_completed","payload":{"stage_id":"command","stage_index":1,"attempt":1,"exit_code":0}}');
INSERT INTO "events" VALUES(1,6,1796051907715,'runner','{"event":"run_completed","payload":{}}');
CREATE TABLE far_children (
        parent_run_id TEXT NOT NULL,
        run_id TEXT NOT NULL,
        root TEXT NOT NULL,
        PRIMARY KEY (parent_run_id, run_id)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE news (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        question_id TEXT
    ) STRICT;
INSERT INTO "news" VALUES(1,1,6,1796051907715,'ended',NULL);
CREATE TABLE notices (
        id INTEGER PRIMARY KEY REFERENCES news (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        command INTEGER NOT NULL DEFAULT 0,
        webhook INTEGER NOT NULL DEFAULT 0
    ) STRICT;
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
CREATE TABLE requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        body TEXT NOT NULL,
        outcome TEXT
    ) STRICT;
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
    , runner_pid INTEGER, waiting TEXT, spawn_key TEXT, session TEXT, tokens INTEGER NOT NULL DEFAULT 0, turns INTEGER NOT NULL DEFAULT 0, work_ms INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "runs" VALUES(1,'2026-11-30T15-18-27-696Z-2cb0e93c','2cb0e93c','demo',NULL,'exec','exec','true','succeeded',NULL,1796051907702,1796051907702,1796051907715,1796051907715,6,32741,NULL,NULL,NULL,0,0,0);
CREATE TABLE specs (
        run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
        spec TEXT NOT NULL
    ) STRICT;
INSERT INTO "specs" VALUES(1,'{"run_id":"2026-11-30T15-18-27-696Z-2cb0e93c","task_id":"demo","origin":"exec","plan":{"pipeline":"exec","title":"true","source":{"from":"command_line"},"max_parallel":2,"stages":[{"id":"command","title":"true","allow_failure":false,"body":{"command":{"command":{"argv":["true"]},"retries":0}},"source":{"from":"command_line"}}]},"repo":{"root":"/home/you/project","worktree":"/home/you/project","branch":"main","commit":"ccfd69962be7819d5fac987e74407cdec855a7b9","dirty":false},"config":{"effective":{"run":{"default_pipeline":"diagnostics","grace":"10s","max_parallel":2},"supervision":{"rung":"auto"},"prune":{"older_than":"30d"},"delegate":{"mode":"full","child_mode":"question_only","pipelines":"committed","allowed_repos":[]},"limits":{"depth":4,"children":200,"at_once":16,"when_full":"refuse","tokens":null,"turns":null,"work_time":null,"when_spent":"pause","on_usage_limit":"resume","stalled_after":"15m"},"questions":{"expires_in":"never","fallback":"pause","auto_pause":true},"confirm":{"cancel":"owned","expires_in":"1d"},"codex":{"program":"codex","model":null,"effort":null,"sandbox":"workspace-write","idle":"15m","max_attempts":3},"approvals":{"command":"ask","patch":"ask","permissions":"ask","tool":"ask","allow":[],"deny":[],"by_parent":false,"expires_in":"never"},"worktree":{"carry":[],"setup":null,"set_up":true},"notify":{"command":null,"webhook":null,"on":["question","approval","limited","ended","failed"],"retries":3,"timeout":"10s"}},"origins":{"approvals.allow":{"layer":"built_in","place":"built in"},"approvals.by_parent":{"layer":"built_in","place":"built in"},"approvals.command":{"layer":"built_in","place":"built in"},"approvals.deny":{"layer":"built_in","place":"built in"},"approvals.expires_in":{"layer":"built_in","place":"built in"},"approvals.patch":{"layer":"built_in","place":"built in"},"approvals.permissions":{"layer":"built_in","place":"built in"},"approvals.tool":{"layer":"built_in","place":"built in"},"codex.effort":{"layer":"built_in","place":"built in"},"codex.idle":{"layer":"built_in","place":"built in"},"codex.max_attempts":{"layer":"built_in","place":"built in"},"codex.model":{"layer":"built_in","place":"built in"},"codex.program":{"layer":"built_in","place":"built in"},"codex.sandbox":{"layer":"built_in","place":"built in"},"confirm.cancel":{"layer":"built_in","place":"built in"},"confirm.expires_in":{"layer":"built_in","place":"built in"},"delegate.allowed_repos":{"layer":"built_in","place":"built in"},"delegate.child_mode":{"layer":"built_in","place":"built in"},"delegate.mode":{"layer":"built_in","place":"built in"},"delegate.pipelines":{"layer":"built_in","place":"built in"},"limits.at_once":{"layer":"built_in","place":"built in"},"limits.children":{"layer":"built_in","place":"built in"},"limits.depth":{"layer":"built_in","place":"built in"},"limits.on_usage_limit":{"layer":"built_in","place":"built in"},"limits.stalled_after":{"layer":"built_in","place":"built in"},"limits.tokens":{"layer":"built_in","place":"built in"},"limits.turns":{"layer":"built_in","place":"built in"},"limits.when_full":{"layer":"built_in","place":"built in"},"limits.when_spent":{"layer":"built_in","place":"built in"},"limits.work_time":{"layer":"built_in","place":"built in"},"notify.command":{"layer":"built_in","place":"built in"},"notify.on":{"layer":"built_in","place":"built in"},"notify.retries":{"layer":"built_in","place":"built in"},"notify.timeout":{"layer":"built_in","place":"built in"},"notify.webhook":{"layer":"built_in","place":"built in"},"prune.older_than":{"layer":"built_in","place":"built in"},"questions.auto_pause":{"layer":"built_in","place":"built in"},"questions.expires_in":{"layer":"built_in","place":"built in"},"questions.fallback":{"layer":"built_in","place":"built in"},"run.default_pipeline":{"layer":"built_in","place":"built in"},"run.grace":{"layer":"built_in","place":"built in"},"run.max_parallel":{"layer":"built_in","place":"built in"},"supervision.rung":{"layer":"built_in","place":"built in"},"worktree.carry":{"layer":"built_in","place":"built in"},"worktree.set_up":{"layer":"built_in","place":"built in"},"worktree.setup":{"layer":"built_in","place":"built in"}},"hash":"1df9399d17d60f130df3711fbac26991f541608981d46332b85d4269f0dda9f6","approvals":{"command":"ask","patch":"ask","permissions":"ask","tool":"ask","allow":[],"deny":[]}},"limits":{"then":"pause"},"grace_ms":10000,"supervision":"auto"}');
CREATE TABLE ways (
        way TEXT PRIMARY KEY,
        told_at INTEGER,
        failed_at INTEGER,
        failure TEXT,
        lost INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE INDEX runs_tail ON runs (tail);
CREATE INDEX runs_task ON runs (task_id, id);
CREATE INDEX runs_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_status ON runs (status, id);
CREATE INDEX requests_open ON requests (run, id) WHERE outcome IS NULL;
CREATE INDEX requests_run ON requests (run);
CREATE UNIQUE INDEX runs_key ON runs (spawn_key) WHERE spawn_key IS NOT NULL;
CREATE UNIQUE INDEX runs_session ON runs (session) WHERE session IS NOT NULL;
CREATE INDEX questions_run ON questions (run, id);
CREATE INDEX questions_open ON questions (id) WHERE state = 'open';
CREATE INDEX questions_expiry ON questions (expires_at)
        WHERE state = 'open' AND expires_at IS NOT NULL;
CREATE INDEX news_run ON news (run, id);
CREATE INDEX notices_command ON notices (command, id);
CREATE INDEX notices_webhook ON notices (webhook, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('news',1);
COMMIT;
