-- +goose Up
CREATE TABLE rule (
    dealer_group_id TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    enabled         BOOLEAN NOT NULL,
    conditions      TEXT    NOT NULL, -- JSON array, as sent
    actions         TEXT    NOT NULL, -- JSON array, as sent
    created_at      BIGINT  NOT NULL, -- rules run in its order, and it differs between the rules of a group
    updated_at      BIGINT  NOT NULL,
    PRIMARY KEY (dealer_group_id, id)
);
CREATE INDEX rule_created ON rule (dealer_group_id, created_at, id);

-- What is known of a group's rules together. A group that never had any has no row.
CREATE TABLE rule_set (
    dealer_group_id TEXT NOT NULL,
    stamp           TEXT NOT NULL, -- random, another one with every change of rules
    days            TEXT NOT NULL, -- while rules read days_on_lot: the calendar days they last ran for, a line per time zone; else ''
    PRIMARY KEY (dealer_group_id)
);

-- By which edition of rules and merge configs a refresh began.
ALTER TABLE inventory_refresh ADD COLUMN edition BIGINT NOT NULL DEFAULT 0;
