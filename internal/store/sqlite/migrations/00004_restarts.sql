-- +goose Up

-- The messages that are stored, but whose acknowledgement the broker is not known to have
-- read: a row for each transaction.
CREATE TABLE receipt (
    id       INTEGER PRIMARY KEY,
    session  TEXT NOT NULL, -- of the broker
    receipts BLOB NOT NULL  -- each: packet identifier (2 bytes), subscription (4), fingerprint (8), 1 for a copy (1)
);

-- The sources whose clocks are behind ours.
CREATE TABLE clock (
    source   TEXT    NOT NULL PRIMARY KEY,
    behind   INTEGER NOT NULL, -- milliseconds
    heard_at INTEGER NOT NULL
) WITHOUT ROWID;

-- The requests to ilert of the last minute.
CREATE TABLE request (
    integration_key TEXT    NOT NULL,
    at              INTEGER NOT NULL,
    requests        INTEGER NOT NULL,
    PRIMARY KEY (integration_key, at)
) WITHOUT ROWID;

CREATE INDEX request_at ON request (at);

-- The integration keys for which ilert has asked for no request before a time.
CREATE TABLE hold (
    integration_key TEXT    NOT NULL PRIMARY KEY,
    until           INTEGER NOT NULL
) WITHOUT ROWID;
