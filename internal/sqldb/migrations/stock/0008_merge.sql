-- +goose Up
CREATE TABLE merge_config (
    dealer_group_id TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    name_folded     TEXT    NOT NULL, -- as names are compared
    settings        TEXT    NOT NULL, -- JSON object: whose values to believe
    is_default      BOOLEAN NOT NULL, -- the inventory shows vehicles by it; one of a group at most
    view_id         TEXT,             -- of the merged vehicles that are shown; NULL until they are built for the first time
    view_settings   TEXT,             -- the settings they were built by
    next_view_id    TEXT,             -- of those being built by the settings; NULL when the shown ones are up to date
    refresh_id      TEXT,             -- what builds them
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    PRIMARY KEY (dealer_group_id, id)
);
CREATE UNIQUE INDEX merge_config_name ON merge_config (dealer_group_id, name_folded);
CREATE INDEX merge_config_created ON merge_config (dealer_group_id, created_at DESC, id);

-- Vehicles as a merge config shows them, ready for lists.
CREATE TABLE merged_vehicle (
    dealer_group_id TEXT   NOT NULL,
    view_id         TEXT   NOT NULL,
    vin             TEXT   NOT NULL,
    dealership_id   TEXT,
    status          TEXT   NOT NULL,
    lot_since       BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    search          TEXT   NOT NULL,
    disputed        TEXT   NOT NULL, -- fields about which sources disagree, between commas; '' for none
    conflicts       TEXT   NOT NULL, -- of these, JSON object: field to what is shown and what each source says; '' for none
    made            TEXT   NOT NULL, -- as in vehicle
    document        TEXT   NOT NULL,
    PRIMARY KEY (dealer_group_id, view_id, vin)
);
CREATE INDEX merged_vehicle_status ON merged_vehicle (dealer_group_id, view_id, status, created_at DESC, vin, search);
CREATE INDEX merged_vehicle_created ON merged_vehicle (dealer_group_id, view_id, created_at DESC, vin, search);
CREATE INDEX merged_vehicle_conflicts ON merged_vehicle (dealer_group_id, view_id, created_at DESC, vin, disputed) WHERE disputed <> '';

-- Kept counters of each view. A view has its row from the beginning until the last of its vehicles is deleted.
CREATE TABLE merged_count (
    dealer_group_id TEXT   NOT NULL,
    view_id         TEXT   NOT NULL,
    total           BIGINT NOT NULL,
    active          BIGINT NOT NULL,
    conflicting     BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, view_id)
);
