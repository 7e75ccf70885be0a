-- +goose Up
-- A beat counts up, so that others can tell a replica that is gone by their own clocks, whatever it has seen.
ALTER TABLE replica ADD COLUMN beats BIGINT NOT NULL DEFAULT 0;

-- For kind 'hungry': the window in which credits of the subject are called in. 0 for all other kinds.
ALTER TABLE change ADD COLUMN window_no BIGINT NOT NULL DEFAULT 0;

-- The change that called in what replicas held of this subject and window, 0 for none. From then on a replica is
-- granted what its calls wait for and no surplus. A raised limit begins anew.
ALTER TABLE quota ADD COLUMN called_in BIGINT NOT NULL DEFAULT 0;
