-- +goose Up

-- One row for each alert that is open at ilert, or should be, or may be.
CREATE TABLE alert (
    integration_key TEXT    NOT NULL, -- '' is the configured one, so that a mended key goes for what waits
    folded_key      TEXT    NOT NULL, -- alert_key as ilert compares it: trimmed, without case
    alert_key       TEXT    NOT NULL,
    rule            TEXT    NOT NULL, -- that raised it, or ''
    windowed        INTEGER NOT NULL, -- 1 while it belongs to the window of rule and grp
    grp             TEXT    NOT NULL,
    desired         TEXT    NOT NULL, -- what ilert should know: ALERT, ACCEPT or RESOLVE
    told            TEXT    NOT NULL, -- what it was told: '' nothing, ALERT, ACCEPT, or UNSURE while no answer is known
    told_at         INTEGER NOT NULL, -- Unix milliseconds, as all times; 0 is never
    body            TEXT    NOT NULL, -- JSON of what ilert is told, but for keys and type
    priority        TEXT    NOT NULL,
    age_at          INTEGER NOT NULL, -- when it is too old
    ends_at         INTEGER NOT NULL, -- when it ends by itself: too old or too long silent
    said_at         INTEGER NOT NULL, -- who has spoken last of it, and when
    said_by         TEXT    NOT NULL,
    version         INTEGER NOT NULL, -- changes with desired, so that an answer finds out whether it is still the last word
    pending         INTEGER NOT NULL, -- 1 while desired waits to be told
    listing         INTEGER NOT NULL, -- 1 while it waits only because of members that ilert was not told
    claimed         INTEGER NOT NULL, -- 1 while a request is under way
    tries           INTEGER NOT NULL,
    next_try        INTEGER NOT NULL,
    turn            INTEGER NOT NULL, -- of what waits: the lower goes first, by priority, then by kind; -1 does not go alone
    storm           INTEGER NOT NULL, -- 1 for one of many that its rule's storm speaks for, 2 for that
    size            INTEGER NOT NULL, -- of a storm: how many it speaks for
    untold          INTEGER NOT NULL, -- and of how many ilert was not told
    filter          TEXT    NOT NULL, -- from here on: of the message that waits, or waited last; '' is nobody's
    topic           TEXT    NOT NULL,
    payload         BLOB    NOT NULL,
    received_at     INTEGER NOT NULL,
    properties      TEXT    NOT NULL, -- JSON
    PRIMARY KEY (integration_key, folded_key)
) WITHOUT ROWID;

-- They hold all that the queries ask for that look through many of a key's alerts.
CREATE INDEX alert_due ON alert (integration_key, turn, next_try, rule) WHERE pending = 1 AND claimed = 0;
CREATE INDEX alert_storm ON alert (integration_key, pending, rule, folded_key) WHERE storm = 1;
CREATE INDEX alert_filter ON alert (filter, claimed, tries, next_try, received_at) WHERE pending = 1; -- all that is counted of what waits
CREATE INDEX alert_claimed ON alert (integration_key) WHERE claimed = 1; -- to be let go of at a start
CREATE INDEX alert_rule ON alert (rule, told); -- told, to be counted
CREATE INDEX alert_ends ON alert (ends_at) WHERE ends_at > 0;

-- Messages that could not be understood or that ilert called invalid.
CREATE TABLE dead_letter (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again, since people write them down
    filter      TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    payload     BLOB    NOT NULL,
    received_at INTEGER NOT NULL,
    died_at     INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    tries       INTEGER NOT NULL, -- requests to ilert
    properties  TEXT    NOT NULL, -- JSON of the message's user properties
    retry       INTEGER NOT NULL  -- 1 when somebody has asked for it to be taken in again
);

CREATE INDEX dead_letter_retry ON dead_letter (id) WHERE retry = 1;

-- The fates of messages; those that wait are counted in alert and outbox.
CREATE TABLE tally (
    filter    TEXT    NOT NULL PRIMARY KEY,
    received  INTEGER NOT NULL,
    ignored   INTEGER NOT NULL,
    duplicate INTEGER NOT NULL,
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
    body            TEXT    NOT NULL, -- JSON of what ilert is told, but for the integration key
    claimed         INTEGER NOT NULL, -- 1 while a request is under way
    tries           INTEGER NOT NULL,
    next_try        INTEGER NOT NULL,
    filter          TEXT    NOT NULL, -- from here on: of the message; '' is nobody's
    topic           TEXT    NOT NULL,
    payload         BLOB    NOT NULL,
    received_at     INTEGER NOT NULL,
    properties      TEXT    NOT NULL -- JSON
);

CREATE INDEX outbox_lane ON outbox (integration_key, id);
CREATE INDEX outbox_filter ON outbox (filter); -- to be counted

-- The integration keys for which something waits, and when to look at them: when the first
-- of it is due and may be told.
CREATE TABLE lane (
    integration_key TEXT    NOT NULL PRIMARY KEY,
    any_from        INTEGER NOT NULL, -- before then ilert may be told nothing
    singles_from    INTEGER NOT NULL, -- nor alerts of one thing alone
    at              INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX lane_at ON lane (at);

-- How often each rule matched.
CREATE TABLE rule_tally (
    rule    TEXT    NOT NULL PRIMARY KEY,
    matched INTEGER NOT NULL
) WITHOUT ROWID;

-- The window of a group of a rule: what was counted lately.
CREATE TABLE window_group (
    rule            TEXT    NOT NULL,
    grp             TEXT    NOT NULL,
    spec            TEXT    NOT NULL, -- JSON of the window as the rule had it at the last hit
    buckets         TEXT    NOT NULL, -- JSON: [[number, hits, of], ...], the oldest first
    integration_key TEXT    NOT NULL, -- the alert's keys
    folded_key      TEXT    NOT NULL,
    hold            INTEGER NOT NULL, -- milliseconds that it must have been so before ilert is told
    size            INTEGER NOT NULL, -- members that the open alert holds
    untold          INTEGER NOT NULL, -- those of them that ilert was not told
    peak            INTEGER NOT NULL, -- the most that they were
    latest          INTEGER NOT NULL, -- up to when it has counted
    last_true       INTEGER NOT NULL, -- when the condition was last seen to hold
    check_at        INTEGER NOT NULL, -- when to look again
    PRIMARY KEY (rule, grp)
) WITHOUT ROWID;

CREATE INDEX window_group_check ON window_group (check_at) WHERE check_at > 0;

-- Who has hit a window.
CREATE TABLE member (
    rule   TEXT    NOT NULL,
    grp    TEXT    NOT NULL,
    member TEXT    NOT NULL,
    at     INTEGER NOT NULL, -- the last time
    told   INTEGER NOT NULL, -- 1 when ilert was told its name
    PRIMARY KEY (rule, grp, member)
) WITHOUT ROWID;

CREATE INDEX member_at ON member (rule, grp, at);

-- The fleet: devices and when they were seen, give or take an hour.
CREATE TABLE device (
    guid    TEXT    NOT NULL PRIMARY KEY,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX device_seen ON device (seen_at);

-- Fingerprints of the messages that came lately, a row for each transaction.
CREATE TABLE arrival (
    id     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    prints BLOB    NOT NULL -- 8 bytes each
);

-- Who has ended alerts that are no more, for an hour.
CREATE TABLE ended (
    integration_key TEXT    NOT NULL,
    folded_key      TEXT    NOT NULL,
    at              INTEGER NOT NULL,
    source          TEXT    NOT NULL,
    PRIMARY KEY (integration_key, folded_key)
) WITHOUT ROWID;

CREATE INDEX ended_at ON ended (at);
