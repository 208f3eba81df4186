-- +goose Up

-- When that began of which the alert tells, and when and why it has ended; 0 and '': not known.
ALTER TABLE alert ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alert ADD COLUMN ended_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alert ADD COLUMN ended_by TEXT NOT NULL DEFAULT '';
