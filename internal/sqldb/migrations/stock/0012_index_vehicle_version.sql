-- +goose Up
CREATE INDEX vehicle_version ON vehicle (dealer_group_id, version, vin);
