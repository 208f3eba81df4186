-- +goose Up

-- The end of all alerts and windows of a rule: it waits here while one page of them after the other ends.
ALTER TABLE alert        ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0; -- number of the last end of a rule that the alert has outlived
ALTER TABLE window_group ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0; -- likewise
CREATE TABLE rule_end (
    rule     TEXT    NOT NULL,
    epoch    INTEGER NOT NULL, -- alerts and windows of a lower one end
    at       INTEGER NOT NULL,
    arrived  INTEGER NOT NULL,
    source   TEXT    NOT NULL,
    max_skew INTEGER NOT NULL, -- milliseconds
    windows  INTEGER NOT NULL, -- 1 if the windows are forgotten, too
    kept     TEXT,             -- integration key whose alerts do not end; NULL: all end
    PRIMARY KEY (rule, epoch)
) WITHOUT ROWID;

-- The highest epoch that was ever given, in one row.
CREATE TABLE last_epoch (epoch INTEGER NOT NULL);
INSERT INTO last_epoch VALUES (0);

-- Alerts of a rule in the order of their identities, with all that is asked of many of them.
DROP INDEX alert_rule;
CREATE INDEX alert_rule ON alert (rule, integration_key, folded_key, epoch, desired, told);

-- Of the outbox: the items for integration keys that ilert has never taken.
INSERT INTO volume SELECT 'unproven', count(*), coalesce(sum(unproven), 0) FROM outbox WHERE unproven > 0;
