-- +goose Up

-- 1 if the other condition of the window was true at last_true, and the counts of the condition at that time.
ALTER TABLE window_group ADD COLUMN by_or INTEGER NOT NULL DEFAULT 0;
ALTER TABLE window_group ADD COLUMN was_hits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE window_group ADD COLUMN was_of INTEGER NOT NULL DEFAULT 0;
