-- +goose Up
CREATE TABLE audit (
    dealer_group_id TEXT NOT NULL,
    id              TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    event           TEXT NOT NULL,
    actor_type      TEXT NOT NULL,
    actor_id        TEXT NOT NULL,
    actor_name      TEXT NOT NULL,
    subject_type    TEXT NOT NULL,
    subject_id      TEXT NOT NULL,
    ip_address      TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    detail          TEXT NOT NULL, -- JSON object, no secrets
    PRIMARY KEY (dealer_group_id, id)
);
CREATE INDEX audit_created ON audit (dealer_group_id, created_at);
