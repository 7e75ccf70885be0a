-- +goose Up
-- Whose changes are the last, at random: two transactions may have had the same number, one of which was rolled back.
ALTER TABLE inventory_version ADD COLUMN mark BIGINT NOT NULL DEFAULT 0;
