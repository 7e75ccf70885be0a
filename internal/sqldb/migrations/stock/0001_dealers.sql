-- +goose Up
CREATE TABLE dealership (
    dealer_group_id TEXT NOT NULL,
    id              TEXT NOT NULL,
    name            TEXT NOT NULL,
    codes           TEXT NOT NULL, -- JSON array of texts, leading zeros kept
    address         TEXT NOT NULL,
    city            TEXT NOT NULL,
    region          TEXT NOT NULL,
    postal_code     TEXT NOT NULL,
    country         TEXT NOT NULL,
    phone           TEXT NOT NULL,
    website         TEXT NOT NULL,
    time_zone       TEXT NOT NULL, -- IANA
    currency        TEXT NOT NULL, -- ISO 4217
    latitude        DOUBLE PRECISION,
    longitude       DOUBLE PRECISION,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, id)
);
CREATE INDEX dealership_created ON dealership (dealer_group_id, created_at DESC, id);

CREATE TABLE dealership_alias (
    dealer_group_id TEXT NOT NULL,
    id              TEXT NOT NULL,
    dealership_id   TEXT NOT NULL,
    alias           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, id),
    FOREIGN KEY (dealer_group_id, dealership_id) REFERENCES dealership (dealer_group_id, id) ON DELETE CASCADE
);
CREATE INDEX dealership_alias_dealership ON dealership_alias (dealer_group_id, dealership_id);

-- Every text by which a feed may name a dealership: its name, codes and aliases, folded. One owner each.
CREATE TABLE dealership_spelling (
    dealer_group_id TEXT NOT NULL,
    folded          TEXT NOT NULL,
    dealership_id   TEXT NOT NULL,
    PRIMARY KEY (dealer_group_id, folded),
    FOREIGN KEY (dealer_group_id, dealership_id) REFERENCES dealership (dealer_group_id, id) ON DELETE CASCADE
);
CREATE INDEX dealership_spelling_dealership ON dealership_spelling (dealer_group_id, dealership_id);
