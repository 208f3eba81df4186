-- +goose Up

-- One row for each alert that is open at ilert, or should be, or may be.
CREATE TABLE alert (
    integration_key TEXT    NOT NULL, -- '' is the configured one, so that a mended key goes for what waits
    folded_key      TEXT    NOT NULL, -- alert_key as ilert compares it: trimmed, without case
    alert_key       TEXT    NOT NULL,
    desired         TEXT    NOT NULL, -- what ilert should know: ALERT or RESOLVE
    told            TEXT    NOT NULL, -- what it was told: '' nothing, ALERT, or UNSURE while no answer is known
    told_at         INTEGER NOT NULL, -- Unix milliseconds
    summary         TEXT    NOT NULL,
    details         TEXT    NOT NULL,
    priority        TEXT    NOT NULL,
    version         INTEGER NOT NULL, -- changes with desired, so that an answer finds out whether it is still the last word
    pending         INTEGER NOT NULL, -- 1 while desired waits to be told
    claimed         INTEGER NOT NULL, -- 1 while a request is under way
    tries           INTEGER NOT NULL,
    next_try        INTEGER NOT NULL, -- Unix milliseconds
    filter          TEXT    NOT NULL, -- from here on: of the message that waits, or waited last
    topic           TEXT    NOT NULL,
    payload         BLOB    NOT NULL,
    received_at     INTEGER NOT NULL, -- Unix milliseconds
    PRIMARY KEY (integration_key, folded_key)
) WITHOUT ROWID;

CREATE INDEX alert_due ON alert (priority, next_try) WHERE pending = 1 AND claimed = 0;
CREATE INDEX alert_filter ON alert (filter) WHERE pending = 1; -- to be counted

-- Messages that could not be understood or that ilert called invalid.
CREATE TABLE dead_letter (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, since people write them down
    filter      TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    payload     BLOB    NOT NULL,
    received_at INTEGER NOT NULL, -- Unix milliseconds
    died_at     INTEGER NOT NULL, -- Unix milliseconds
    reason      TEXT    NOT NULL,
    tries       INTEGER NOT NULL, -- requests to ilert
    retry       INTEGER NOT NULL  -- 1 when somebody has asked for it to be taken in again
);

CREATE INDEX dead_letter_retry ON dead_letter (id) WHERE retry = 1;

-- The fates of messages; those that wait are counted in alert and outbox.
CREATE TABLE tally (
    filter    TEXT    NOT NULL PRIMARY KEY,
    received  INTEGER NOT NULL,
    ignored   INTEGER NOT NULL,
    merged    INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    dead      INTEGER NOT NULL,
    purged    INTEGER NOT NULL
) WITHOUT ROWID;

-- What ilert is told just so, one request for each message, in the order of arrival
-- within an integration key.
CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY,
    integration_key TEXT    NOT NULL, -- '' is the configured one
    path            TEXT    NOT NULL, -- of ilert's API
    body            BLOB    NOT NULL, -- the request's, but for the integration key
    claimed         INTEGER NOT NULL, -- 1 while a request is under way
    tries           INTEGER NOT NULL,
    next_try        INTEGER NOT NULL, -- Unix milliseconds
    filter          TEXT    NOT NULL, -- from here on: of the message
    topic           TEXT    NOT NULL,
    payload         BLOB    NOT NULL,
    received_at     INTEGER NOT NULL  -- Unix milliseconds
);

CREATE INDEX outbox_lane ON outbox (integration_key, id);
CREATE INDEX outbox_filter ON outbox (filter); -- to be counted
