-- +goose Up

-- The numbers that each process of a publisher gives its events.
CREATE TABLE sequence (
    source   TEXT    NOT NULL,
    process  TEXT    NOT NULL,
    heard_at INTEGER NOT NULL,
    state    BLOB    NOT NULL, -- the consumer's own: which numbers have come
    PRIMARY KEY (source, process)
) WITHOUT ROWID;
