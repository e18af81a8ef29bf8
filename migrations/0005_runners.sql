-- What runners need: to give a request back, to say how far a worker is,
-- and to be known to be there.

-- How many of its claims were given back. `claims` itself only grows, because
-- pushes are named after it.
ALTER TABLE spawns ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;

-- How far the worker is, in one line.
ALTER TABLE spawns ADD COLUMN progress TEXT;

-- The end of the worker's log, the latest. Apart, so that lists do not read it.
CREATE TABLE spawn_logs (
  id         TEXT NOT NULL PRIMARY KEY REFERENCES spawns (id) ON DELETE CASCADE,
  log        TEXT NOT NULL,
  truncated  INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;

-- When somebody last asked for work in a repo, to the minute.
CREATE TABLE runners (
  repo    TEXT NOT NULL PRIMARY KEY,
  seen_at INTEGER NOT NULL
) WITHOUT ROWID;
