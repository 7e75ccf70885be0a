-- +goose Up
-- What each source says of a vehicle. What the inventory shows follows from these rows; the vehicle's own row holds it
-- ready for lists.
CREATE TABLE vehicle_source (
    dealer_group_id TEXT    NOT NULL,
    vin             TEXT    NOT NULL,
    source_id       TEXT    NOT NULL, -- integration.id, 'api' or 'import'
    standing        TEXT    NOT NULL, -- lists: its files say what is there; adds: they only add to what others list; lead: its values fill gaps
    record          TEXT    NOT NULL, -- JSON object of all canonical values
    status          TEXT    NOT NULL, -- as this source alone would show it
    search          TEXT    NOT NULL, -- VIN, make, model, stock number in lower case, a line each
    row_hash        BIGINT  NOT NULL, -- of the row it was read from, 0 when the row must be read again
    created_at      BIGINT  NOT NULL,
    changed_at      BIGINT  NOT NULL, -- who changed last is shown
    missed_syncs    BIGINT  NOT NULL, -- files in a row that did not list the vehicle
    missed_since    BIGINT,
    gone_at         BIGINT,           -- given up as sold
    PRIMARY KEY (dealer_group_id, vin, source_id)
);
-- A source's own list, and the VINs it lists.
CREATE INDEX vehicle_source_list ON vehicle_source (dealer_group_id, source_id, created_at DESC, vin, status);

INSERT INTO vehicle_source (dealer_group_id, vin, source_id, standing, record, status, search, row_hash, created_at, changed_at, missed_syncs)
SELECT dealer_group_id, vin,
    coalesce(source_integration_id, CASE WHEN origin LIKE '{"source":"api"%' THEN 'api' ELSE 'import' END),
    'lists', record, status, search, 0, created_at, updated_at, 0
FROM vehicle;
-- Overrides are values of the API. Of a record that stands here for them alone no other value counts: the source's is newer.
INSERT INTO vehicle_source (dealer_group_id, vin, source_id, standing, record, status, search, row_hash, created_at, changed_at, missed_syncs)
SELECT dealer_group_id, vin, 'api', 'lists', record, status, search, 0, created_at, created_at, 0
FROM vehicle WHERE overrides <> '' AND (source_integration_id IS NOT NULL OR origin NOT LIKE '{"source":"api"%');

DROP INDEX vehicle_integration;
ALTER TABLE vehicle ADD COLUMN relisted_at BIGINT;
ALTER TABLE vehicle DROP COLUMN record;
ALTER TABLE vehicle DROP COLUMN stock_number;
ALTER TABLE vehicle DROP COLUMN year;
ALTER TABLE vehicle DROP COLUMN make;
ALTER TABLE vehicle DROP COLUMN model;
ALTER TABLE vehicle DROP COLUMN trim;
ALTER TABLE vehicle DROP COLUMN price_cents;
ALTER TABLE vehicle DROP COLUMN mileage;
ALTER TABLE vehicle DROP COLUMN condition;
ALTER TABLE vehicle DROP COLUMN body_style;
