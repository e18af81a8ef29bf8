-- The registry: who may speak (principals, tokens) and who is there (agents).
-- Times are milliseconds since the epoch. Lists and maps are JSON text.

-- An owner is either a user or a service, never both.
CREATE TABLE principals (
  owner TEXT NOT NULL PRIMARY KEY,
  kind  TEXT NOT NULL CHECK (kind IN ('user', 'service'))
) WITHOUT ROWID;

CREATE TABLE tokens (
  id           TEXT NOT NULL PRIMARY KEY,
  hash         TEXT NOT NULL UNIQUE,  -- SHA-256 of the token, hex; the token itself is nowhere
  kind         TEXT NOT NULL CHECK (kind IN ('admin', 'user', 'service')),
  owner        TEXT NOT NULL,
  repos        TEXT NOT NULL,
  description  TEXT,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,
  last_used_at INTEGER
) WITHOUT ROWID;

CREATE TABLE agents (
  repo            TEXT NOT NULL,
  name            TEXT NOT NULL,
  id              TEXT NOT NULL,
  type            TEXT NOT NULL,
  location        TEXT NOT NULL CHECK (location IN ('local', 'remote')),
  owner           TEXT NOT NULL,
  status          TEXT NOT NULL CHECK (status IN ('active', 'idle', 'stopped')),
  endpoint        TEXT NOT NULL,
  delivery        TEXT NOT NULL CHECK (delivery IN ('webhook', 'stream', 'polling')),
  delivery_reason TEXT,
  instance        TEXT,
  metadata        TEXT NOT NULL,
  last_seen       INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  generation      INTEGER NOT NULL,
  revision        INTEGER NOT NULL,
  deleted_at      INTEGER,
  -- A tombstone whose mailbox has not confirmed that it is closed.
  closing         INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (repo, name)
) WITHOUT ROWID;

CREATE INDEX agents_closing ON agents (deleted_at) WHERE closing = 1;
