-- +goose Up

-- An integration key is '' for the configured one, env:NAME or file:PATH for one that a rule
-- names, and key:SECRET for one that a message brought. Those of version 1 had no prefix in
-- the outbox; all others were names.
UPDATE outbox SET integration_key = 'key:' || integration_key WHERE integration_key <> '';
DELETE FROM lane; -- is made anew at a start
ALTER TABLE lane ADD COLUMN unproven INTEGER NOT NULL DEFAULT 0; -- 1 while ilert has never taken the key, which a message brought

-- Names that no topic filter can have.
UPDATE tally       SET filter = '#rules' WHERE filter = 'rules';
UPDATE alert       SET filter = '#rules' WHERE filter = 'rules';
UPDATE outbox      SET filter = '#rules' WHERE filter = 'rules';
UPDATE dead_letter SET filter = '#rules' WHERE filter = 'rules';
UPDATE tally       SET filter = '#an earlier subscription' WHERE filter = '(an earlier subscription)';

ALTER TABLE outbox ADD COLUMN folded_key TEXT    NOT NULL DEFAULT ''; -- alert key of body, as in alert
ALTER TABLE outbox ADD COLUMN event_type TEXT    NOT NULL DEFAULT ''; -- of body
ALTER TABLE outbox ADD COLUMN queued_at  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN unproven   INTEGER NOT NULL DEFAULT 0; -- while ilert has never taken the key, which a message brought: bytes of the row; else 0
UPDATE outbox SET queued_at = 1000 * CAST(strftime('%s', 'now') AS INTEGER);
UPDATE outbox SET unproven = length(body) + length(payload) WHERE integration_key <> '';
-- It holds all that is asked of these rows to bound them.
CREATE INDEX outbox_unproven ON outbox (queued_at, id, integration_key, unproven) WHERE unproven > 0;

-- Integration keys of messages that ilert has taken.
CREATE TABLE proven_key (
    fingerprint TEXT    NOT NULL PRIMARY KEY, -- SHA-256 in hexadecimal digits: the key is a secret
    at          INTEGER NOT NULL              -- the first time
) WITHOUT ROWID;

-- What a dead letter was to tell ilert, if ilert refused it.
ALTER TABLE dead_letter ADD COLUMN kind            TEXT NOT NULL DEFAULT ''; -- alert, send, or '' for a message that could not be understood
ALTER TABLE dead_letter ADD COLUMN integration_key TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letter ADD COLUMN folded_key      TEXT NOT NULL DEFAULT ''; -- of the alert, as in alert
ALTER TABLE dead_letter ADD COLUMN event_type      TEXT NOT NULL DEFAULT '';
ALTER TABLE dead_letter ADD COLUMN overtaken_by    TEXT NOT NULL DEFAULT ''; -- event type of what came later of the same alert key and says otherwise
ALTER TABLE dead_letter ADD COLUMN kept            TEXT NOT NULL DEFAULT ''; -- why it was not taken in again, when somebody asked

CREATE INDEX dead_letter_sent ON dead_letter (integration_key, folded_key) WHERE kind = 'send' AND folded_key <> '';
