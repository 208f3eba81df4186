-- +goose Up

-- An end by a message may be held: the alert ends only if it was not raised again for so long.
ALTER TABLE alert    ADD COLUMN ends_after INTEGER NOT NULL DEFAULT 0; -- milliseconds for which an end is held; 0: it is not
ALTER TABLE alert    ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0; -- when the held end ends the alert; 0: no end is held
ALTER TABLE rule_end ADD COLUMN holds      INTEGER NOT NULL DEFAULT 0; -- 1 if the ends of alerts with ends_after are held

-- The end of all alerts of an integration key whose keys begin with a prefix: its rule is empty.
ALTER TABLE rule_end ADD COLUMN prefix_key TEXT;                      -- integration key; NULL: the alerts of the rule end
ALTER TABLE rule_end ADD COLUMN prefix     TEXT NOT NULL DEFAULT '';  -- in lower case
ALTER TABLE rule_end ADD COLUMN ended_to   TEXT NOT NULL DEFAULT '';  -- folded key up to which the alerts have ended

-- The messages of a group that have fulfilled the condition in a row.
ALTER TABLE window_group ADD COLUMN in_a_row INTEGER NOT NULL DEFAULT 0;

-- All that is counted of what waits.
DROP INDEX alert_filter;
CREATE INDEX alert_filter ON alert (filter, claimed, tries, next_try, received_at, told, held_until) WHERE pending = 1;
