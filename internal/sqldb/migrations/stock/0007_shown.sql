-- +goose Up
-- Where what is shown differs from what the sources' last changes give: set by a rule, or taken from another source by the
-- merge config. JSON object of field to {"value","rule"}, '' for nowhere.
ALTER TABLE vehicle ADD COLUMN made TEXT NOT NULL DEFAULT '';

-- Who set the fields that vehicle.overrides names. Those of before this table have no row.
CREATE TABLE vehicle_override (
    dealer_group_id TEXT   NOT NULL,
    vin             TEXT   NOT NULL,
    field           TEXT   NOT NULL,
    actor_type      TEXT   NOT NULL,
    actor_id        TEXT   NOT NULL,
    actor_name      TEXT   NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id, vin, field)
);

-- Rises with everything that changes how vehicles are shown: rules and the default merge config.
CREATE TABLE inventory_edition (
    dealer_group_id TEXT   NOT NULL,
    n               BIGINT NOT NULL,
    PRIMARY KEY (dealer_group_id)
);

-- Passages over all vehicles after which they show what rules and merge configs say.
CREATE TABLE inventory_refresh (
    dealer_group_id TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    reason          TEXT    NOT NULL, -- rules, merge, day
    dry             BOOLEAN NOT NULL,
    status          TEXT    NOT NULL, -- queued, running, completed, failed
    detail          TEXT    NOT NULL,
    total           BIGINT  NOT NULL,
    done            BIGINT  NOT NULL,
    vehicles        BIGINT  NOT NULL, -- that show something else
    findings        TEXT    NOT NULL, -- JSON object
    after_vin       TEXT    NOT NULL, -- the last vehicle that is done with
    actor_type      TEXT    NOT NULL,
    actor_id        TEXT    NOT NULL,
    actor_name      TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    started_at      BIGINT,
    ended_at        BIGINT,
    PRIMARY KEY (dealer_group_id, id)
);
