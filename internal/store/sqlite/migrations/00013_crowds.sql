-- +goose Up

-- When the device was seen for the first time; 1 for one of an older store, which was long ago.
ALTER TABLE device ADD COLUMN first_seen INTEGER NOT NULL DEFAULT 1;

CREATE INDEX device_first_seen ON device (first_seen);

-- 0: it counts by its last hit; 1: the open alert holds it; 2: it was forgotten at that time, and its hits do not count.
ALTER TABLE member ADD COLUMN state INTEGER NOT NULL DEFAULT 0;

-- Its first hit since it last left; 0: unknown.
ALTER TABLE member ADD COLUMN since INTEGER NOT NULL DEFAULT 0;

-- Until now an open alert held all members of its group.
UPDATE member SET state = 1
WHERE EXISTS (SELECT 1 FROM window_group AS g WHERE g.rule = member.rule AND g.grp = member.grp AND g.size > 0);
