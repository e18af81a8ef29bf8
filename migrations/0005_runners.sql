-- What runners need: to give a request back.

-- How many of its claims were given back. `claims` itself only grows, because
-- pushes are named after it.
ALTER TABLE spawns ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
