-- +goose Up
-- What happened on a day of the dealership's calendar.
CREATE TABLE inventory_day (
    dealer_group_id TEXT   NOT NULL,
    dealership_id   TEXT   NOT NULL, -- '' for vehicles without one
    day             BIGINT NOT NULL,
    added           BIGINT NOT NULL,
    sold            BIGINT NOT NULL,
    relisted        BIGINT NOT NULL,
    price_changes   BIGINT NOT NULL, -- of active vehicles
    PRIMARY KEY (dealer_group_id, day, dealership_id)
);
CREATE INDEX inventory_day_dealership ON inventory_day (dealer_group_id, dealership_id, day);

-- Active vehicles by the day from which their days on lot are counted.
CREATE TABLE inventory_age (
    dealer_group_id TEXT   NOT NULL,
    dealership_id   TEXT   NOT NULL, -- '' for vehicles without one
    lot_since       BIGINT NOT NULL,
    active          BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, lot_since, dealership_id)
);
CREATE INDEX inventory_age_dealership ON inventory_age (dealer_group_id, dealership_id, lot_since);

-- What these two tables know. A group without a row was counted from its beginning.
CREATE TABLE inventory_counting (
    dealer_group_id TEXT   NOT NULL,
    strays          BIGINT NOT NULL, -- changes, by programs that don't count, that are in inventory_age
    since           BIGINT NOT NULL, -- day from which inventory_day counts
    PRIMARY KEY (dealer_group_id)
);
