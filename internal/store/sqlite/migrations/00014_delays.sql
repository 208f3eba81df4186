-- +goose Up

-- The time in milliseconds for which the daemon must have listened to messages since heard, a time of the table
-- listening, before the alert is sent; 0: it does not wait for that. Column next_try alone says when older rows are sent.
ALTER TABLE alert ADD COLUMN delay INTEGER NOT NULL DEFAULT 0;
ALTER TABLE alert ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;

CREATE INDEX alert_delay ON alert (delay + heard) WHERE delay > 0;
