-- Repo configuration and spawn requests.

CREATE TABLE configs (
  repo                  TEXT NOT NULL PRIMARY KEY,
  version               INTEGER NOT NULL,      -- the ETag
  enabled               INTEGER NOT NULL,
  remote_agents         TEXT NOT NULL,
  spawn_endpoint        TEXT NOT NULL,
  secrets               TEXT NOT NULL,         -- sealed, the newest first, old ones with an end
  max_spawns_per_minute INTEGER NOT NULL,
  max_workers           INTEGER NOT NULL,
  encrypt               TEXT,
  updated_at            INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE spawns (
  id               TEXT NOT NULL PRIMARY KEY,
  repo             TEXT NOT NULL,
  task             TEXT NOT NULL,
  spawned_by       TEXT NOT NULL,
  requested_by     TEXT NOT NULL,              -- the principal whose token asked
  priority         INTEGER NOT NULL,
  status           TEXT NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'failed')),
  retry            INTEGER NOT NULL,
  labels           TEXT NOT NULL,              -- what a runner must have
  metadata         TEXT NOT NULL,
  key              TEXT UNIQUE,                -- hash of the idempotency key's scope
  content          TEXT,                       -- hash of what that key was used for
  created_at       INTEGER NOT NULL,
  worker_name      TEXT,
  started_at       INTEGER,                    -- when worker_name was set
  claims           INTEGER NOT NULL DEFAULT 0,
  claim_key        TEXT,                       -- hash of the claim's idempotency key
  claimed_by       TEXT,
  lease            TEXT,                       -- the lease's token, sealed
  lease_expires_at INTEGER,
  cancel           INTEGER NOT NULL DEFAULT 0,
  finished_at      INTEGER,
  summary          TEXT,
  failure_reason   TEXT,
  notified_at      INTEGER
) WITHOUT ROWID;

-- What is pending or at work in a repo; finished requests are not in it.
CREATE INDEX spawns_open ON spawns (repo, status, priority DESC, created_at) WHERE finished_at IS NULL;
CREATE INDEX spawns_recent ON spawns (repo, created_at);
CREATE INDEX spawns_unnotified ON spawns (finished_at) WHERE finished_at IS NOT NULL AND notified_at IS NULL;
CREATE UNIQUE INDEX spawns_claimed ON spawns (claim_key) WHERE claim_key IS NOT NULL;
