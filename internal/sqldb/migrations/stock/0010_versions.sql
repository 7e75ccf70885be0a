-- +goose Up
-- Parts of n. What is left of it are changes by programs that don't know the columns.
ALTER TABLE inventory_version ADD COLUMN changes BIGINT NOT NULL DEFAULT 0; -- that wrote vehicles, which carry the number
ALTER TABLE inventory_version ADD COLUMN bumps BIGINT NOT NULL DEFAULT 0;   -- that changed how vehicles are shown
