-- +goose Up

-- An alert may wait until another alert or a silence ends.
ALTER TABLE alert ADD COLUMN unless  TEXT    NOT NULL DEFAULT ''; -- JSON list of folded keys: while one of these alerts is open, this one is not sent for the first time
ALTER TABLE alert ADD COLUMN held_by TEXT    NOT NULL DEFAULT ''; -- the key of these that is open and holds it
ALTER TABLE alert ADD COLUMN silence INTEGER NOT NULL DEFAULT 0;  -- ID of the silence that holds it; 0: none does

-- What is counted of the alerts that wait.
DROP INDEX alert_filter;
CREATE INDEX alert_filter ON alert (filter, claimed, tries, next_try, received_at, silence, held_by, told, held_until) WHERE pending = 1;

-- The keys on which an alert depends that waits to be sent for the first time.
CREATE TABLE dependency (
    integration_key TEXT NOT NULL,
    on_key          TEXT NOT NULL, -- folded
    folded_key      TEXT NOT NULL, -- of the alert that depends on it
    PRIMARY KEY (integration_key, on_key, folded_key)
) WITHOUT ROWID;

CREATE INDEX dependency_alert ON dependency (integration_key, folded_key);

-- The alerts whose keys match a pattern are not sent for a time.
CREATE TABLE silence (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, since people write it down
    pattern    TEXT    NOT NULL,
    comment    TEXT    NOT NULL,
    creator    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL
);

-- The alerts that a person wants to end, until the daemon ends them.
CREATE TABLE closing (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    integration_key TEXT NOT NULL,
    folded_key      TEXT NOT NULL,
    creator         TEXT NOT NULL
);
