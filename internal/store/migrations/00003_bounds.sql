-- +goose Up

-- How much the tables hold that anybody can fill, without counting it.
CREATE TABLE volume (
    name  TEXT    NOT NULL PRIMARY KEY, -- of the table
    count INTEGER NOT NULL,             -- of its rows
    bytes INTEGER NOT NULL              -- of them
) WITHOUT ROWID;

-- What it may also say, such as a reason, is short.
ALTER TABLE dead_letter ADD COLUMN bytes INTEGER AS (length(CAST(topic AS BLOB)) + length(payload) + length(CAST(properties AS BLOB)));
ALTER TABLE outbox      ADD COLUMN bytes INTEGER AS (length(CAST(body AS BLOB)) + length(CAST(integration_key AS BLOB)) + length(CAST(topic AS BLOB)) + length(payload) + length(CAST(properties AS BLOB)));
CREATE INDEX dead_letter_died ON dead_letter (died_at, id, bytes);

INSERT INTO volume SELECT 'dead_letter', count(*), coalesce(sum(bytes), 0) FROM dead_letter;
INSERT INTO volume SELECT 'outbox', count(*), coalesce(sum(bytes), 0) FROM outbox;
INSERT INTO volume SELECT 'device', count(*), 0 FROM device;

-- +goose StatementBegin
CREATE TRIGGER dead_letter_added AFTER INSERT ON dead_letter BEGIN
    UPDATE volume SET count = count + 1, bytes = bytes + NEW.bytes WHERE name = 'dead_letter';
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER dead_letter_gone AFTER DELETE ON dead_letter BEGIN
    UPDATE volume SET count = count - 1, bytes = bytes - OLD.bytes WHERE name = 'dead_letter';
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outbox_added AFTER INSERT ON outbox BEGIN
    UPDATE volume SET count = count + 1, bytes = bytes + NEW.bytes WHERE name = 'outbox';
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER outbox_gone AFTER DELETE ON outbox BEGIN
    UPDATE volume SET count = count - 1, bytes = bytes - OLD.bytes WHERE name = 'outbox';
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER device_added AFTER INSERT ON device BEGIN
    UPDATE volume SET count = count + 1 WHERE name = 'device';
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER device_gone AFTER DELETE ON device BEGIN
    UPDATE volume SET count = count - 1 WHERE name = 'device';
END;
-- +goose StatementEnd
