-- +goose Up

-- JSON list of alert keys, folded: while one of them is open, the alert of the group's silence is not sent; '' for none.
ALTER TABLE awaited ADD COLUMN unless TEXT NOT NULL DEFAULT '';
