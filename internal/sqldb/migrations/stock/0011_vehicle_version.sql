-- +goose Up
-- inventory_version.changes when it was written last. They are written one after the other: whoever has seen a version knows all before it.
ALTER TABLE vehicle ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
