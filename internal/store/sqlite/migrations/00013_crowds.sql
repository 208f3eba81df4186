-- +goose Up

-- When the device was seen for the first time; 1 for one of an older store, which was long ago.
ALTER TABLE device ADD COLUMN first_seen INTEGER NOT NULL DEFAULT 1;

CREATE INDEX device_first_seen ON device (first_seen);
