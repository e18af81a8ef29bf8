-- Spawn requests that are pushed, what comes back, and who did what.

ALTER TABLE spawns ADD COLUMN pushed_at INTEGER;  -- handed to the mailbox that pushes it
ALTER TABLE spawns ADD COLUMN callback  TEXT;     -- webhook-id of the last callback about it

CREATE INDEX spawns_unpushed ON spawns (repo, created_at) WHERE pushed_at IS NULL AND status = 'pending';

-- The version that the pushing mailbox has confirmed.
ALTER TABLE configs ADD COLUMN pushing_version INTEGER NOT NULL DEFAULT 0;

CREATE INDEX configs_unsettled ON configs (repo) WHERE version <> pushing_version;

-- Callbacks that were taken: each webhook-id once per repo.
CREATE TABLE callbacks (
  repo TEXT NOT NULL,
  id   TEXT NOT NULL,
  at   INTEGER NOT NULL,
  PRIMARY KEY (repo, id)
) WITHOUT ROWID;

CREATE INDEX callbacks_at ON callbacks (at);

-- Ids begin with the time, so they are the order, and old ones come first.
CREATE TABLE audit (
  id       TEXT NOT NULL PRIMARY KEY,
  repo     TEXT NOT NULL,             -- empty for tokens
  at       INTEGER NOT NULL,
  token_id TEXT NOT NULL,
  kind     TEXT NOT NULL,
  owner    TEXT NOT NULL,
  action   TEXT NOT NULL,
  subject  TEXT NOT NULL,
  detail   TEXT,
  scopes   TEXT                       -- of a token: the repos that it concerns
) WITHOUT ROWID;

CREATE INDEX audit_repo ON audit (repo, id);
