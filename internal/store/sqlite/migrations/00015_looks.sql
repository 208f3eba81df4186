-- +goose Up

-- An alert that stays true is sent again now and then.
ALTER TABLE alert   ADD COLUMN repeat    INTEGER NOT NULL DEFAULT 0; -- milliseconds after which that is due, as the rule has it; 0: the default, below zero: never
ALTER TABLE alert   ADD COLUMN repeat_at INTEGER NOT NULL DEFAULT 0; -- when it is due; 0: it is not to be repeated now
ALTER TABLE alert   ADD COLUMN opened_at INTEGER NOT NULL DEFAULT 0; -- when ilert took it first
ALTER TABLE awaited ADD COLUMN repeat    INTEGER NOT NULL DEFAULT 0; -- of the alert of the group's silence

UPDATE alert SET opened_at = told_at WHERE told <> '';

CREATE INDEX alert_repeat ON alert (integration_key, repeat_at) WHERE repeat_at > 0;
CREATE INDEX alert_repeat_failed ON alert (integration_key) WHERE repeat_at > 0 AND tries > 0;

-- What ilert shows of an alert is looked at, if there is an API key.
ALTER TABLE alert ADD COLUMN shown         TEXT    NOT NULL DEFAULT ''; -- at the last look: open, accepted, missing, closed (by a person), or '' if that is not known
ALTER TABLE alert ADD COLUMN differs_since INTEGER NOT NULL DEFAULT 0;  -- since when it is not what it should be; 0: it is, or is not known

-- The ends of alerts that ilert has taken, until a look finds that ilert does not show the alert any more.
CREATE TABLE resolution (
    integration_key TEXT    NOT NULL,
    folded_key      TEXT    NOT NULL,
    alert_key       TEXT    NOT NULL,
    rule            TEXT    NOT NULL,
    storm           INTEGER NOT NULL, -- 1 if it was the storm of the rule
    body            TEXT    NOT NULL,
    priority        TEXT    NOT NULL,
    since           INTEGER NOT NULL, -- when the end was sent first
    at              INTEGER NOT NULL, -- when it was sent last
    PRIMARY KEY (integration_key, folded_key)
) WITHOUT ROWID;

CREATE INDEX resolution_at ON resolution (at);
