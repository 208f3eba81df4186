-- +goose Up

-- How much the tables hold that anybody can fill.
CREATE TABLE volume (
    name  TEXT    NOT NULL PRIMARY KEY, -- of the table
    count INTEGER NOT NULL,             -- of its rows
    bytes INTEGER NOT NULL              -- of them
) WITHOUT ROWID;

-- What it may also say, such as a reason, is short.
ALTER TABLE dead_letter ADD COLUMN bytes INTEGER AS (length(CAST(topic AS BLOB)) + length(payload) + length(CAST(properties AS BLOB)));
ALTER TABLE outbox      ADD COLUMN bytes INTEGER AS (length(CAST(body AS BLOB)) + CASE WHEN integration_key LIKE 'key:%' THEN length(CAST(integration_key AS BLOB)) - 4 ELSE 0 END + length(CAST(topic AS BLOB)) + length(payload) + length(CAST(properties AS BLOB)));
CREATE INDEX dead_letter_died ON dead_letter (died_at);

INSERT INTO volume SELECT 'dead_letter', count(*), coalesce(sum(bytes), 0) FROM dead_letter;
INSERT INTO volume SELECT 'outbox', count(*), coalesce(sum(bytes), 0) FROM outbox;
