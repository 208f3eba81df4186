-- +goose Up

-- Of a storm: how many members its next notice may list, since ilert has refused a longer list; 0 is as many as fit.
-- In the column storm, 3 is an alert that ilert has refused in a list of its own: it goes alone, and joins none.
ALTER TABLE alert ADD COLUMN max_listed INTEGER NOT NULL DEFAULT 0;
