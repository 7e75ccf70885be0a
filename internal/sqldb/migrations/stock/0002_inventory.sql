-- +goose Up
CREATE TABLE vehicle (
    dealer_group_id       TEXT   NOT NULL,
    vin                   TEXT   NOT NULL,
    dealership_id         TEXT,
    stock_number          TEXT,
    year                  BIGINT,
    make                  TEXT,
    model                 TEXT,
    trim                  TEXT,
    price_cents           BIGINT,
    mileage               BIGINT,
    condition             TEXT,
    body_style            TEXT,
    status                TEXT   NOT NULL,
    source_integration_id TEXT,
    lot_since             BIGINT NOT NULL, -- day number; days on lot are counted from it
    sold_at               BIGINT,
    created_at            BIGINT NOT NULL,
    updated_at            BIGINT NOT NULL,
    entries               BIGINT NOT NULL, -- of history since it was created
    overrides             TEXT   NOT NULL, -- fields that feeds leave alone, separated by commas
    search                TEXT   NOT NULL, -- VIN, make, model, stock number in lower case, a line each
    origin                TEXT   NOT NULL, -- JSON object: who created it and from where; the first entry of its history
    document              TEXT   NOT NULL, -- as lists show it
    record                TEXT   NOT NULL, -- JSON object of all canonical values
    PRIMARY KEY (dealer_group_id, vin),
    FOREIGN KEY (dealer_group_id, dealership_id) REFERENCES dealership (dealer_group_id, id)
);
-- The orders of lists. search stands last, so that a substring is looked for in the index alone.
CREATE INDEX vehicle_status ON vehicle (dealer_group_id, status, created_at DESC, vin, search);
CREATE INDEX vehicle_created ON vehicle (dealer_group_id, created_at DESC, vin, search);
CREATE INDEX vehicle_integration ON vehicle (dealer_group_id, source_integration_id, created_at DESC, vin) WHERE source_integration_id IS NOT NULL;
CREATE INDEX vehicle_dealership ON vehicle (dealer_group_id, dealership_id) WHERE dealership_id IS NOT NULL;

-- What changed since a vehicle was created, entry by entry. What it began with follows from its record and the
-- entries; who created it stands beside the record.
CREATE TABLE vehicle_history (
    dealer_group_id TEXT   NOT NULL,
    vin             TEXT   NOT NULL,
    n               BIGINT NOT NULL, -- from 1, without gaps
    change_type     TEXT   NOT NULL,
    changed_fields  TEXT   NOT NULL, -- JSON object: field to {"old","new"}
    source          TEXT   NOT NULL,
    actor_type      TEXT   NOT NULL,
    actor_id        TEXT   NOT NULL,
    actor_name      TEXT   NOT NULL,
    file            TEXT   NOT NULL,
    line            BIGINT NOT NULL, -- 0 without a file
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, vin, n)
);

-- Kept counters. Sums and the counts beside them are over active vehicles that tell the value.
CREATE TABLE inventory_count (
    dealer_group_id TEXT   NOT NULL,
    dealership_id   TEXT   NOT NULL, -- '' counts vehicles without one
    total           BIGINT NOT NULL,
    active          BIGINT NOT NULL,
    active_new      BIGINT NOT NULL,
    active_used     BIGINT NOT NULL,
    price_count     BIGINT NOT NULL,
    price_cents     BIGINT NOT NULL,
    mileage_count   BIGINT NOT NULL,
    mileage_sum     BIGINT NOT NULL,
    lot_since_sum   BIGINT NOT NULL, -- over all active vehicles
    PRIMARY KEY (dealer_group_id, dealership_id)
);

-- Rises with everything that changes what the group's inventory shows.
CREATE TABLE inventory_version (
    dealer_group_id TEXT   NOT NULL,
    n               BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id)
);
