-- +goose Up

-- The topic filters that the broker's session of a client id may be subscribed to: those of now, and of before
-- until they are known to have ended. Without any there was no session yet.
CREATE TABLE subscription (
    client_id TEXT NOT NULL,
    filter    TEXT NOT NULL,
    PRIMARY KEY (client_id, filter)
) WITHOUT ROWID;
