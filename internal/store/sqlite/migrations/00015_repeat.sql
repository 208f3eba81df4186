-- +goose Up

-- An alert that stays true is sent again now and then.
ALTER TABLE alert   ADD COLUMN repeat    INTEGER NOT NULL DEFAULT 0; -- milliseconds after which that is due, as the rule has it; 0: the default, below zero: never
ALTER TABLE alert   ADD COLUMN repeat_at INTEGER NOT NULL DEFAULT 0; -- when it is due; 0: it is not to be repeated now
ALTER TABLE alert   ADD COLUMN opened_at INTEGER NOT NULL DEFAULT 0; -- when ilert took it first
ALTER TABLE awaited ADD COLUMN repeat    INTEGER NOT NULL DEFAULT 0; -- of the alert of the group's silence

CREATE INDEX alert_repeat ON alert (integration_key, repeat_at) WHERE repeat_at > 0;
CREATE INDEX alert_repeat_failed ON alert (integration_key) WHERE repeat_at > 0 AND tries > 0;
