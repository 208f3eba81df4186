-- +goose Up

-- The groups that rules wait for. Their times are listened time in milliseconds, see the table listening.
CREATE TABLE awaited (
    rule            TEXT    NOT NULL,
    grp             TEXT    NOT NULL,
    state           INTEGER NOT NULL, -- 0: its silence is an alert, 1: it is silent, 2: it is not awaited until its next message
    expected        INTEGER NOT NULL, -- 1 if the rule names the group
    heard           INTEGER NOT NULL,
    after           INTEGER NOT NULL, -- milliseconds
    at_least        INTEGER NOT NULL,
    age             INTEGER NOT NULL, -- milliseconds
    integration_key TEXT    NOT NULL, -- of the alert, as the next two
    alert_key       TEXT    NOT NULL,
    body            TEXT    NOT NULL,
    count           TEXT    NOT NULL, -- JSON; empty: the rule asks for no number of messages
    PRIMARY KEY (rule, grp)
) WITHOUT ROWID;

-- The time for which the daemon has listened to messages, in one row.
CREATE TABLE listening (
    clock INTEGER NOT NULL, -- milliseconds
    grace INTEGER NOT NULL, -- clock at the end of the last long pause
    at    INTEGER NOT NULL  -- up to which clock counts
);
INSERT INTO listening VALUES (0, 0, 0);
